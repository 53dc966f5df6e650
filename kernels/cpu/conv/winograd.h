// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/winograd.h — dense 3x3 convolutions with a quarter of the products:
// https://arxiv.org/abs/1509.09308.
#pragma once
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {

/// Null unless the weights are constant and the shape promises a gain.
PlanPtr plan_winograd(const Site& s);

}  // namespace fovea::kernels::cpu
