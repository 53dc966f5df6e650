// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/resize/separable.h — results made of weighted elements, one dimension of an image after the other.
#pragma once
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/resize/taps.h"

namespace fovea::kernels::cpu {

/// From x [N, C, (H,) W], operand 0, the result [N, C, (H',) W'], both f32 or both bf16 and in one memory order. `rows`
/// has a list for each of H', `columns` for each of W'. Null for anything else.
PlanPtr separable_plan(const Site& s, Taps rows, Taps columns);

}  // namespace fovea::kernels::cpu
