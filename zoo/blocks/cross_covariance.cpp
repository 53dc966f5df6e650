// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/cross_covariance.cpp — channels attend to channels; waves along both sides of a map.
#include "zoo/blocks/cross_covariance.h"

#include <cmath>
#include <numbers>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/conv.h"

namespace fovea::zoo {
namespace {

constexpr int kHidden = 32;  // waves of each coordinate

// Rounded to f32 wherever the paper's code is.
float wave(int at, int size, int channel) {
  const float angle =
      static_cast<float>(at + 1) / (static_cast<float>(size) + 1e-6f) * static_cast<float>(2 * std::numbers::pi);
  const float slow = angle / std::pow(10000.0f, 2 * static_cast<float>(channel / 2) / kHidden);
  return channel % 2 == 0 ? std::sin(slow) : std::cos(slow);
}

}  // namespace

PositionalEncodingFourier::PositionalEncodingFourier(int dim) {
  token_projection_ = add("token_projection", Conv2d(2 * kHidden, dim, 1, {.padding = 0, .bias = true}));
}

Tensor PositionalEncodingFourier::operator()(int height, int width) {
  const Scope scope(name());
  Tensor waves = empty({1, 2 * kHidden, height, width});
  float* at = waves.mutable_data<float>().data();
  for (int c = 0; c < 2 * kHidden; ++c)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) *at++ = c < kHidden ? wave(y, height, c) : wave(x, width, c - kHidden);
  return token_projection_(cast(waves, token_projection_->weight->dtype()));
}

CrossCovariance::CrossCovariance(int dim, const CrossCovarianceOptions& o) : heads_(o.heads) {
  head_channels(dim, heads_);
  temperature_ = param("temperature", {heads_, 1, 1}, init::ones());
  qkv_ = add("qkv", Linear(dim, 3 * dim, o.qkv_bias));
  attn_drop_ = add("attn_drop", Dropout(o.attn_drop));
  proj_ = add("proj", Linear(dim, dim));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
}

Tensor CrossCovariance::forward(const Tensor& x) {
  const auto [q, k, v] = split_qkv(qkv_(x), heads_);  // [N, heads, L, D]
  const Tensor scores = matmul(transpose(normalize(q, 2), 2, 3), normalize(k, 2)) * *temperature_;
  const Tensor y = matmul(v, transpose(attn_drop_(softmax(scores, -1)), 2, 3));
  return proj_drop_(proj_(merge_heads(y)));
}

}  // namespace fovea::zoo
