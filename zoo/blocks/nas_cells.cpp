// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/nas_cells.cpp — the parts of searched cells.
#include "zoo/blocks/nas_cells.h"

#include "engine/ops/ops.h"
#include "nn/layers/act.h"
#include "nn/layers/conv_norm_act.h"
#include "nn/layers/norm.h"
#include "nn/layers/pool.h"

namespace fovea::zoo {
namespace {

constexpr BatchNormOptions kNorm{.eps = 1e-3};

Sequential separable(int in, int out, int kernel, int stride, const Padding& padding) {
  Sequential s;
  s.add("depthwise_conv2d", Conv2d(in, in, kernel, {.stride = stride, .groups = in, .padding = padding}));
  s.add("pointwise_conv2d", Conv2d(in, out, 1));
  return s;
}

}  // namespace

ActConvBn::ActConvBn(int in, int out, int stride) {
  act_ = add("act", Activation(act::relu));
  conv_ = add("conv", Conv2d(in, out, 1, {.stride = stride}));
  bn_ = add("bn", BatchNorm2d(out, kNorm));
}

Tensor ActConvBn::forward(const Tensor& x) { return bn_(conv_(act_(x))); }

BranchSeparables::BranchSeparables(int in, int out, int kernel, int stride, const Padding& padding) {
  act_1_ = add("act_1", Activation(act::relu));
  separable_1_ = add("separable_1", separable(in, out, kernel, stride, padding));
  bn_sep_1_ = add("bn_sep_1", BatchNorm2d(out, kNorm));
  act_2_ = add("act_2", Activation(act::relu));
  separable_2_ = add("separable_2", separable(out, out, kernel, 1, padding));
  bn_sep_2_ = add("bn_sep_2", BatchNorm2d(out, kNorm));
}

Tensor BranchSeparables::forward(const Tensor& x) {
  return bn_sep_2_(separable_2_(act_2_(bn_sep_1_(separable_1_(act_1_(x))))));
}

std::unique_ptr<Module> nas_max_pool(int stride, const Padding& padding) {
  return std::make_unique<MaxPool2d>(3, Pool2dOptions{.stride = stride, .padding = padding});
}

std::unique_ptr<Module> nas_avg_pool(int stride, const Padding& padding) {
  const bool zeros_count = padding.kind == Padding::Kind::same && stride > 1;
  return std::make_unique<AvgPool2d>(3,
                                     Pool2dOptions{.stride = stride,
                                                   .padding = zeros_count ? padding : Padding(Padding::Kind::symmetric),
                                                   .count_include_pad = zeros_count});
}

Sequential every_other_pixel(int in, int out, bool shifted) {
  Sequential s;
  if (shifted) s.add("pad", ZeroPad2d({-1, 1, -1, 1}));
  s.add("avgpool", AvgPool2d(1, {.stride = 2, .padding = 0}));
  s.add("conv", Conv2d(in, out, 1));
  return s;
}

void CellNet::stem(std::string_view name, int in, int out) {
  stem_ = add(
      name,
      ConvNormAct(in, out, 3,
                  {.conv{.stride = 2, .padding = Padding::Kind::valid}, .norm{.eps = kNorm.eps}, .act = act::none}));
}

void CellNet::end(int channels) {
  act_ = add("act", Activation(act::relu));
  classifier("last_linear", channels);
}

Tensor CellNet::forward_features(const Tensor& image) {
  Tensor x = stem_(image), before = x;
  if (tap(stem_->name(), x)) return x;
  for (const Step& s : steps_) {
    const Tensor y = run(*s.cell, Tensors{x, before})[0];
    if (!s.after.keeps_before) before = x;
    x = y;
    if (s.after.level.empty()) continue;
    const Tensor level = relu(x);
    if (tap(s.after.level, level)) return level;
  }
  x = act_(x);
  tap("act", x);
  return x;
}

}  // namespace fovea::zoo
