// SPDX-License-Identifier: Apache-2.0
// nn/layers/token_norm.cpp — RmsNorm, Affine and the choice between norms.
#include "nn/layers/token_norm.h"

#include "engine/ops/ops.h"
#include "nn/layers/norm.h"
#include "nn/layers/simple_norm.h"

namespace fovea {

RmsNorm::RmsNorm(int channels, double eps, bool affine) : eps_(eps) {
  if (affine) weight = param("weight", {channels}, init::ones());
}
Tensor RmsNorm::forward(const Tensor& x) { return rms_norm(x, weight, eps_); }

Affine::Affine(int channels) {
  alpha_ = param("alpha", {1, 1, channels}, init::ones());
  beta_ = param("beta", {1, 1, channels}, init::zeros());
}
Tensor Affine::forward(const Tensor& x) { return x * *alpha_ + *beta_; }

std::string_view name_of(TokenNorm::Kind k) {
  constexpr std::string_view names[] = {"none", "layer", "rms", "simple", "affine"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

std::unique_ptr<Module> token_norm(const TokenNorm& n, int channels) {
  switch (n.kind) {
    case TokenNorm::Kind::none: return nullptr;
    case TokenNorm::Kind::rms: return std::make_unique<RmsNorm>(channels, n.eps);
    case TokenNorm::Kind::affine: return std::make_unique<Affine>(channels);
    case TokenNorm::Kind::simple: return std::make_unique<SimpleNorm>(channels, n.eps);
    case TokenNorm::Kind::layer: break;
  }
  return std::make_unique<LayerNorm>(channels, n.eps);
}

}  // namespace fovea
