// SPDX-License-Identifier: Apache-2.0
// nn/layers/token_norm.h — the norms of token models, over the last dimension: RmsNorm, Affine, and picking one
// by a TokenNorm.
#pragma once
#include <memory>
#include <string_view>

#include "nn/module.h"

namespace fovea {

/// x / root mean square, without centring: https://arxiv.org/abs/1910.07467.
class RmsNorm final : public Module {
 public:
  explicit RmsNorm(int channels, double eps = 1e-6, bool affine = true);
  Tensor forward(const Tensor& x) override;
  Param weight;

 private:
  double eps_;
};

/// alpha x + beta: what stands for a norm in ResMLP, https://arxiv.org/abs/2105.03404.
class Affine final : public Module {
 public:
  explicit Affine(int channels);
  Tensor forward(const Tensor& x) override;

 private:
  Param alpha_, beta_;
};

/// Which norm a token model uses, as data.
struct TokenNorm {
  enum class Kind : uint8_t { none, layer, rms, simple, affine } kind = Kind::layer;
  double eps = 1e-6;
  constexpr explicit operator bool() const { return kind != Kind::none; }
  friend bool operator==(const TokenNorm&, const TokenNorm&) = default;
};
std::string_view name_of(TokenNorm::Kind k);

/// Null for none.
std::unique_ptr<Module> token_norm(const TokenNorm& n, int channels);

}  // namespace fovea
