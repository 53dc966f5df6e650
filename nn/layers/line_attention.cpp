// SPDX-License-Identifier: Apache-2.0
// nn/layers/line_attention.cpp — gates for pixels from the means of rows and columns.
#include "nn/layers/line_attention.h"

#include "engine/ops/ops.h"
#include "nn/layers/norm.h"

namespace fovea {
namespace {

// [N, C, H, 1] and [N, C, 1, W].
Tensor row_means(const Tensor& x) { return mean(x, {3}, keep_dims); }
Tensor column_means(const Tensor& x) { return mean(x, {2}, keep_dims); }

Tensor with_skip(const Tensor& y, const Tensor& x, bool skip) { return skip ? y + x : y; }

// What the reduction's ratio is made smaller by, so that both branches have about as many weights as one squeeze.
constexpr double kShare = 2.0 / 3;
int reduced(int channels, SqueezeOptions o, double ratio) {
  if (o.ratio > 0) o.ratio *= kShare;
  return reduced_channels(channels, o, ratio * kShare, 8);
}

Conv2d along(int channels, Size2 kernel, bool bias) {
  return {channels, channels, kernel, {.groups = channels, .bias = bias}};
}

}  // namespace

CoordinateAttention::CoordinateAttention(int channels, const SqueezeOptions& o, bool skip)
    : gate_(o.gate),
      skip_(skip) {
  const int inner = reduced(channels, o, 1.0 / 16);
  conv1_ = add("conv1", Conv2d(channels, inner, 1));
  bn1_ = add("bn1", BatchNorm2d(inner, {}, o.act.value_or(act::hard_swish)));
  conv_h_ = add("conv_h", Conv2d(inner, channels, 1));
  conv_w_ = add("conv_w", Conv2d(inner, channels, 1));
}

Tensor CoordinateAttention::forward(const Tensor& x) {
  const int64_t h = x.dim(2), w = x.dim(3);
  const Tensor y = bn1_(conv1_(cat({row_means(x), transpose(column_means(x), 2, 3)}, 2)));
  const Tensor rows = activate(conv_h_(narrow(y, 2, 0, h)), gate_);
  const Tensor columns = activate(conv_w_(transpose(narrow(y, 2, h, w), 2, 3)), gate_);
  return with_skip(x * columns * rows, x, skip_);
}

SimpleCoordinateAttention::SimpleCoordinateAttention(int channels, const SqueezeOptions& o, bool skip)
    : act_(o.act.value_or(act::silu)), gate_(o.gate), skip_(skip) {
  const int inner = reduced(channels, o, 1.0 / 4);
  fc1_ = add("fc1", Linear(channels, inner));
  fc_h_ = add("fc_h", Linear(inner, channels));
  fc_w_ = add("fc_w", Linear(inner, channels));
}

Tensor SimpleCoordinateAttention::forward(const Tensor& x) {
  const auto inside = [&](int over) { return activate(fc1_(transpose(mean(x, {over}), 1, 2)), act_); };
  const Tensor rows = unsqueeze(transpose(fc_h_(inside(3)), 1, 2), -1);
  const Tensor columns = unsqueeze(transpose(fc_w_(inside(2)), 1, 2), -2);
  return with_skip(x * activate(rows + columns, gate_), x, skip_);
}

EfficientLocalAttention::EfficientLocalAttention(int channels, const LineOptions& o)
    : act_(o.act.value_or(act::silu)), gate_(o.gate), skip_(o.skip) {
  const int kernel = o.kernel ? o.kernel : 7;
  conv_h_ = add("conv_h", along(channels, {kernel, 1}, o.bias));
  conv_w_ = add("conv_w", along(channels, {1, kernel}, o.bias));
  if (!o.norm) return;
  norm_h_ = add("norm_h", GroupNorm(channels, 1));
  norm_w_ = add("norm_w", GroupNorm(channels, 1));
}

Tensor EfficientLocalAttention::forward(const Tensor& x) {
  const Tensor rows = activate(activate(norm_h_(conv_h_(row_means(x))), act_), gate_);
  const Tensor columns = activate(activate(norm_w_(conv_w_(column_means(x))), act_), gate_);
  return with_skip(x * rows * columns, x, skip_);
}

StripAttention::StripAttention(int channels, const LineOptions& o) : gate_(o.gate), skip_(o.skip) {
  if (!o.convolve) return;
  const int kernel = o.kernel ? o.kernel : 3;
  conv_h_ = add("conv_h", along(channels, {kernel, 1}, o.bias));
  conv_w_ = add("conv_w", along(channels, {1, kernel}, o.bias));
}

Tensor StripAttention::forward(const Tensor& x) {
  return with_skip(x * activate(conv_h_(row_means(x)) + conv_w_(column_means(x)), gate_), x, skip_);
}

}  // namespace fovea
