// SPDX-License-Identifier: Apache-2.0
// nn/layers/layer_scale.cpp — one product.
#include "nn/layers/layer_scale.h"

#include "engine/ops/ops.h"

namespace fovea {

LayerScale::LayerScale(int channels, double start, bool channels_first) : channels_first_(channels_first) {
  gamma = param("gamma", {channels}, init::constant(start));
}

Tensor LayerScale::forward(const Tensor& x) { return channels_first_ ? x * reshape(gamma, {1, -1, 1, 1}) : x * *gamma; }

}  // namespace fovea
