// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/normed_layers.cpp — layers with norms, and the layers that they become.
#include "zoo/blocks/normed_layers.h"

#include "engine/ops/ops.h"

namespace fovea::zoo {

ConvNorm::ConvNorm(std::string_view name, int in, int out, int kernel, const Conv2dOptions& o, double gain) {
  conv = add(name, Conv2d(in, out, kernel, o));
  bn = add("bn", BatchNorm2d(out, {.gain = gain}));
}

std::unique_ptr<Module> ConvNorm::layer() {
  return fused_conv(*this, *conv, Branches([this](const Tensor& x) { return branches(x); }));
}

LinearNorm::LinearNorm(std::string_view name, int in, int out, double gain) {
  linear = add(name, Linear(in, out, false));
  bn = add("bn", BatchNorm2d(out, {.gain = gain}));
}

Tensor LinearNorm::branches(const Tensor& x) {
  const Tensor y = linear(x);
  return y.rank() == 2 ? bn(y) : reshape(bn(flatten(y, 0, -2)), y.shape());
}

std::unique_ptr<Module> LinearNorm::layer() {
  return fused_linear(*this, linear->in_features(), linear->out_features(),
                      Branches([this](const Tensor& x) { return branches(x); }));
}

NormLinear::NormLinear(std::string_view name, int in, int out, double drop_rate) {
  bn = add("bn", BatchNorm2d(in));
  if (drop_rate > 0) drop_ = add("drop", Dropout(drop_rate));
  linear = add(name, Linear(in, out));
  linear->weight.slot().init = init::trunc_normal(0.02);
  linear->bias.slot().init = init::zeros();
}

std::unique_ptr<Module> NormLinear::layer() {
  return fused_linear(*this, linear->in_features(), linear->out_features(),
                      Branches([this](const Tensor& x) { return branches(x); }));
}

NormLinears::NormLinears(int in, int classes, bool distilled) : in_(in), classes_(classes) {
  if (classes == 0) return;
  head_ = add("head", NormLinear("l", in, classes));
  if (distilled) head_dist_ = add("head_dist", NormLinear("l", in, classes));
}

Tensor NormLinears::branches(const Tensor& x) { return head_dist_ ? (head_(x) + head_dist_(x)) * 0.5 : head_(x); }

std::pair<Tensor, Tensor> NormLinears::heads(const Tensor& x) {
  const Scope scope(name());
  if (!head_dist_ || fused()) return {forward(x), {}};
  return {head_(x), head_dist_(x)};
}

std::unique_ptr<Module> NormLinears::layer() {
  if (!head_) return nullptr;
  return fused_linear(*this, in_, classes_, Branches([this](const Tensor& x) { return branches(x); }));
}

}  // namespace fovea::zoo
