// SPDX-License-Identifier: Apache-2.0
// nn/layers/conv.cpp — convolutions of images.
#include "nn/layers/conv.h"

#include "nn/layers/conv_attrs.h"

namespace fovea {
namespace {

std::vector<int64_t> shares(int channels, size_t n) {
  std::vector<int64_t> s(n, channels / static_cast<int>(n));
  s[0] += channels - s[0] * static_cast<int64_t>(n);
  return s;
}

}  // namespace

ConvOptions op_options(const Conv2dOptions& o, Size2 kernel) {
  ConvOptions c{.stride = o.stride.dims(), .dilation = o.dilation.dims(), .groups = o.groups};
  switch (o.padding.kind) {
    case Padding::Kind::symmetric:
      c.pad = {symmetric_padding(kernel.h, o.stride.h, o.dilation.h),
               symmetric_padding(kernel.w, o.stride.w, o.dilation.w)};
      break;
    case Padding::Kind::same: c.same = true; break;
    case Padding::Kind::valid: c.pad = {0, 0}; break;
    case Padding::Kind::fixed: c.pad = o.padding.amount.dims(); break;
  }
  return c;
}

void want_groups(int in, int out, int groups) {
  if (groups < 1 || in < 1 || out < 1 || in % groups != 0 || out % groups != 0)
    throw Error(Error::Kind::argument,
                str_cat("a convolution from ", in, " to ", out, " channels cannot have ", groups, " groups"),
                current_scope());
}

Tensor standardized(const Tensor& weight, double eps) {
  const auto [variance, average] = var_mean(weight, {1, 2, 3}, keep_dims);
  return (weight - average) * rsqrt(variance + eps);
}

int symmetric_padding(int kernel, int stride, int dilation) { return ((stride - 1) + dilation * (kernel - 1)) / 2; }

Padding parse_padding(std::string_view name) {
  if (name.empty()) return {};
  if (name == "same") return Padding::Kind::same;
  if (name == "valid") return Padding::Kind::valid;
  throw Error(Error::Kind::argument, str_cat("no padding '", name, "'"),
              "there are '' (symmetric), 'same' and 'valid'");
}

Conv2d::Conv2d(int in, int out, Size2 kernel, const Conv2dOptions& o) : kernel_(kernel), options_(o) {
  want_groups(in, out, o.groups);
  const int fan_in = in / o.groups * kernel.h * kernel.w;
  weight = param("weight", {out, in / o.groups, kernel.h, kernel.w}, init::torch_default(fan_in));
  if (o.bias) bias = param("bias", {out}, init::torch_default(fan_in));
}

Tensor Conv2d::forward(const Tensor& x) {
  const Tensor w = options_.standardize > 0 ? standardized(weight, options_.standardize) : Tensor(weight);
  return conv(x, w, bias, op_options(options_, kernel_));
}

int Conv2d::in_channels() const { return static_cast<int>(weight->dim(1)) * options_.groups; }

void Conv2d::resize(int in, int out) {
  if (options_.groups > 1) options_.groups = in;
  want_groups(in, out, options_.groups);
  weight.set(meta_tensor(make_meta(weight->dtype(), {out, in / options_.groups, kernel_.h, kernel_.w})));
  if (bias) bias.set(meta_tensor(make_meta(bias->dtype(), {out})));
}

MixedConv2d::MixedConv2d(int in, int out, const std::vector<int>& kernels, const Conv2dOptions& o)
    : splits_(shares(in, kernels.size())) {
  const bool depthwise = o.groups == in && o.groups > 1;
  if (!depthwise && o.groups != 1)
    throw Error(
        Error::Kind::argument,
        str_cat("convolutions of several kernel sizes have 1 group or are depthwise, not ", o.groups, " groups"));
  const std::vector<int64_t> outs = shares(out, kernels.size());
  for (size_t i = 0; i < kernels.size(); ++i) {
    Conv2dOptions part = o;
    part.groups = depthwise ? static_cast<int>(splits_[i]) : 1;
    convs_.push_back(
        add(std::to_string(i), Conv2d(static_cast<int>(splits_[i]), static_cast<int>(outs[i]), kernels[i], part)));
  }
}

Tensor MixedConv2d::forward(const Tensor& x) {
  Tensors parts = split(x, splits_, 1);
  for (size_t i = 0; i < parts.size(); ++i) parts[i] = convs_[i](parts[i]);
  return cat(std::span<const Tensor>(parts), 1);
}

CondConv2d::CondConv2d(int in, int out, Size2 kernel, const Conv2dOptions& o, int experts)
    : in_(in), out_(out), kernel_(kernel), options_(o) {
  want_groups(in, out, o.groups);
  const int fan_in = in / o.groups * kernel.h * kernel.w;
  weight = param("weight", {experts, int64_t{out} * fan_in}, init::torch_default(fan_in));
  if (o.bias) bias = param("bias", {experts, out}, init::torch_default(fan_in));
}

double CondConv2d::fan_out() const { return double(kernel_.h) * kernel_.w * out_ / options_.groups; }

// Samples become groups of one convolution, so each has a kernel of its own.
Tensor CondConv2d::operator()(const Tensor& x, const Tensor& routing) {
  const Scope scope(name());
  const int64_t n = x.dim(0), h = x.dim(2), w = x.dim(3);
  const Tensor kernels = reshape(matmul(routing, weight), {n * out_, in_ / options_.groups, kernel_.h, kernel_.w});
  const Tensor offsets = bias ? reshape(matmul(routing, bias), {n * out_}) : Tensor();
  ConvOptions o = op_options(options_, kernel_);
  o.groups = options_.groups * n;
  const Tensor y = conv(reshape(x, {1, n * in_, h, w}), kernels, offsets, o);
  return reshape(y, {n, out_, y.dim(2), y.dim(3)});
}

std::unique_ptr<Module> conv2d(int in, int out, const std::vector<int>& kernels, const Conv2dOptions& o) {
  if (kernels.empty()) throw Error(Error::Kind::argument, "a convolution without a kernel size", current_scope());
  if (kernels.size() == 1) return std::make_unique<Conv2d>(in, out, kernels[0], o);
  return std::make_unique<MixedConv2d>(in, out, kernels, o);
}

}  // namespace fovea
