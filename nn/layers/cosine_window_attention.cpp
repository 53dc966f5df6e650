// SPDX-License-Identifier: Apache-2.0
// nn/layers/cosine_window_attention.cpp — CosineWindowAttention.
#include "nn/layers/cosine_window_attention.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/window_sdpa.h"

namespace fovea {

CosineWindowAttention::CosineWindowAttention(int heads, double attn_drop, const Shape& scale)
    : heads_(heads),
      attn_drop_(attn_drop) {
  logit_scale_ = param("logit_scale", scale, init::constant(std::log(10.0)));
}

Tensor CosineWindowAttention::operator()(const Tensor& x, const Tensor& mask) {
  const Scope scope(name());
  return attend(x, mask);
}

// Divided by the root of their mean square, D channels have the length sqrt(D): the product of two such vectors is D
// times the cosine.
Tensor CosineWindowAttention::attend(const Tensor& x, const Tensor& mask) {
  constexpr double kEps = 1e-24;
  const Tensor all = products(x);
  const int64_t heads = heads_, d = all.dim(2) / (3 * heads);
  const Tensor each = reshape(all, {all.dim(0), all.dim(1), 3 * heads, d});
  const Tensor unit = rms_norm(slice(each, 2, 0, 2 * heads), {}, kEps / static_cast<double>(d));
  const Tensor most = scalar(std::log(100.0), logit_scale_);
  const Tensor scale = reshape(exp(minimum(logit_scale_, most)), {heads, 1});
  const auto by_head = [](const Tensor& t) { return permute(t, {0, 2, 1, 3}); };
  const bool drops = training() && attn_drop_ > 0;
  const AttentionOptions options{
      .scale = 1.0 / static_cast<double>(d), .dropout = drops ? attn_drop_ : 0, .key = drops ? next_key() : 0};
  const Tensor y = window_sdpa({by_head(slice(unit, 2, 0, heads) * scale), by_head(slice(unit, 2, heads, 2 * heads)),
                                by_head(slice(each, 2, 2 * heads, 3 * heads))},
                               bias(), mask, options);
  return proj_drop_(proj_(y));
}

}  // namespace fovea
