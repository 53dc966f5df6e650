// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/transposed.h — transposed convolutions, which the gradients of convolutions are, too.
#pragma once
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {

/// Of conv_dx in f32. Null for strides of more than 64 places in all.
PlanPtr plan_transposed(const Site& s);

}  // namespace fovea::kernels::cpu
