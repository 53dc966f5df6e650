// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/few.h — convolutions of images with few channels: the first ones of most networks.
#pragma once
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {

/// Null unless the shape is one of theirs.
PlanPtr plan_few(const Site& s);

}  // namespace fovea::kernels::cpu
