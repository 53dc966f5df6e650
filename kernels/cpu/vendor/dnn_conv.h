// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/vendor/dnn_conv.h — the gradients of convolutions' weights, by oneDNN.
#pragma once
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {

/// Null where oneDNN has nothing good.
PlanPtr plan_dnn_conv_dw(const Site& s);

}  // namespace fovea::kernels::cpu
