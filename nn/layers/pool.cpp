// SPDX-License-Identifier: Apache-2.0
// nn/layers/pool.cpp — pooling of images.
#include "nn/layers/pool.h"

#include "engine/ops/ops.h"

namespace fovea {
namespace {

constexpr std::string_view kTypes[] = {"avg", "max", "avgmax", "catavgmax"};

std::string_view plain(std::string_view type) {    // without "fast"
  if (type == "fast") return "avg";
  if (type.starts_with("fast")) type.remove_prefix(4);
  return type;
}

PoolOptions op_options(Size2 kernel, const Pool2dOptions& o) {
  const Size2 stride = o.stride == Size2(0) ? kernel : o.stride;
  PoolOptions p{.kernel = kernel.dims(),
                .stride = stride.dims(),
                .ceil_mode = o.ceil_mode,
                .count_include_pad = o.count_include_pad};
  switch (o.padding.kind) {
    case Padding::Kind::symmetric:
      p.pad = {symmetric_padding(kernel.h, stride.h), symmetric_padding(kernel.w, stride.w)};
      break;
    case Padding::Kind::same: p.same = true; break;
    case Padding::Kind::valid: p.pad = {0, 0}; break;
    case Padding::Kind::fixed: p.pad = o.padding.amount.dims(); break;
  }
  return p;
}

// The outer product of binomial coefficients, [1, 1, n, n], sums to one.
Tensor binomial_filter(int n) {
  std::vector<float> row(1, 1.0f);
  for (int i = 1; i < n; ++i) {
    std::vector<float> next(row.size() + 1, 0.0f);
    for (size_t j = 0; j < row.size(); ++j) next[j] += row[j] / 2, next[j + 1] += row[j] / 2;
    row = std::move(next);
  }
  std::vector<float> all;
  for (const float a : row)
    for (const float b : row) all.push_back(a * b);
  return from(std::span<const float>(all), {1, 1, n, n});
}

}  // namespace

GlobalPool::GlobalPool(std::string_view type, bool flatten, bool channels_last)
    : type_(type), flatten_(flatten && !type.empty()), channels_last_(channels_last) {
  if (type.empty()) return;
  for (const std::string_view known : kTypes)
    if (plain(type) == known) return;
  throw Error(Error::Kind::argument, str_cat("no global pooling '", type, "'"),
              "there are '', avg, max, avgmax, catavgmax, and each with 'fast' in front");
}

int GlobalPool::width() const { return plain(type_) == "catavgmax" ? 2 : 1; }

Tensor GlobalPool::forward(const Tensor& x) {
  if (identity()) return x;
  const Dims space = channels_last_ ? Dims{1, 2} : Dims{2, 3};
  const KeepDims keep = flatten_ ? drop_dims : keep_dims;
  const std::string_view type = plain(type_);
  if (type == "avg") return mean(x, space, keep);
  if (type == "max") return amax(x, space, keep);
  const Tensor average = mean(x, space, keep), largest = amax(x, space, keep);
  if (type == "avgmax") return (average + largest) * 0.5;
  return cat({average, largest}, flatten_ || !channels_last_ ? 1 : 3);
}

Tensor AvgPool2d::forward(const Tensor& x) { return avg_pool(x, op_options(kernel_, options_)); }
Tensor MaxPool2d::forward(const Tensor& x) { return max_pool(x, op_options(kernel_, options_)); }

Tensor ZeroPad2d::forward(const Tensor& x) { return pad_last(x, {amounts_.begin(), amounts_.end()}); }

BlurPool2d::BlurPool2d(int channels, int filter, int stride, bool reflect)
    : channels_(channels), filter_(filter), stride_(stride), reflect_(reflect) {
  if (filter < 2) throw Error(Error::Kind::argument, str_cat("a blur filter has at least 2 taps, not ", filter));
}

Tensor BlurPool2d::forward(const Tensor& x) {
  const int64_t p = symmetric_padding(filter_, stride_);
  const Tensor weight = contiguous(expand(cast(binomial_filter(filter_), x.dtype()), {channels_, 1, filter_, filter_}));
  const ConvOptions o{.stride = {stride_, stride_}, .pad = {reflect_ ? 0 : p, reflect_ ? 0 : p}, .groups = channels_};
  return conv(reflect_ ? pad_last(x, {p, p, p, p}, PadMode::reflect) : x, weight, {}, o);
}

std::unique_ptr<Module> anti_alias(std::string_view kind, int channels, int stride) {
  if (kind.empty()) return nullptr;
  if (kind == "avg" || kind == "avgpool") return std::make_unique<AvgPool2d>(stride);
  if (kind == "blur" || kind == "blurpool") return std::make_unique<BlurPool2d>(channels, 3, stride);
  if (kind == "blurpc") return std::make_unique<BlurPool2d>(channels, 3, stride, false);
  throw Error(Error::Kind::argument, str_cat("no anti-aliasing '", kind, "'"), "there are avg, blur and blurpc");
}

}  // namespace fovea
