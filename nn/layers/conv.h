// SPDX-License-Identifier: Apache-2.0
// nn/layers/conv.h — Conv2d with timm's ways of padding, its mixed and conditional relatives, and one function that
// picks.
#pragma once
#include <string_view>
#include <vector>

#include "nn/module.h"

namespace fovea {

/// Height and width; one number stands for both.
struct Size2 {
  int h = 1, w = 1;
  constexpr Size2() = default;
  constexpr Size2(int both) : h(both), w(both) {}  // NOLINT: meant to be implicit
  constexpr Size2(int h_, int w_) : h(h_), w(w_) {}
  Dims dims() const { return {h, w}; }
  friend bool operator==(const Size2&, const Size2&) = default;
};

/// How much is added around an image: timm's strings, or a number.
struct Padding {
  enum class Kind : uint8_t {
    // "": PyTorch's, ((stride - 1) + dilation (kernel - 1)) / 2 on both sides
    symmetric,
    same,                                          // TensorFlow's, by the size of the image
    valid,                                         // none
    fixed,                                         // amount, on both sides
  } kind = Kind::symmetric;
  Size2 amount = 0;
  constexpr Padding() = default;
  constexpr Padding(Kind k) : kind(k) {}           // NOLINT: meant to be implicit
  constexpr Padding(int n) : kind(Kind::fixed), amount(n) {}           // NOLINT
  constexpr Padding(Size2 n) : kind(Kind::fixed), amount(n) {}         // NOLINT
};
Padding parse_padding(std::string_view timm_name);  // "", "same", "valid"
int symmetric_padding(int kernel, int stride = 1, int dilation = 1);

struct Conv2dOptions {
  Size2 stride = 1, dilation = 1;
  int groups = 1;
  Padding padding = {};
  bool bias = false;
  // not 0: each output's weights have mean 0 and variance 1, but for this epsilon; https://arxiv.org/abs/1903.10520
  double standardize = 0;
};

class Conv2d final : public Module {
 public:
  Conv2d(int in, int out, Size2 kernel, const Conv2dOptions& o = {});
  Tensor forward(const Tensor& x) override;

  int in_channels() const;
  int out_channels() const { return static_cast<int>(weight->dim(0)); }
  Size2 kernel() const { return kernel_; }
  int groups() const { return options_.groups; }
  const Conv2dOptions& options() const { return options_; }
  /// Another number of channels, before there are bytes: in and out, grouped as before (depthwise stays depthwise).
  void resize(int in, int out);

  Param weight, bias;                              // [out, in / groups, kh, kw]; [out]

 private:
  Size2 kernel_;
  Conv2dOptions options_;
};

/// Several kernel sizes, each on its share of the channels: MixConv, https://arxiv.org/abs/1907.09595.
class MixedConv2d final : public Module {
 public:
  MixedConv2d(int in, int out, const std::vector<int>& kernels, const Conv2dOptions& o);   // groups == in: depthwise
  Tensor forward(const Tensor& x) override;

 private:
  std::vector<int64_t> splits_;
  std::vector<Ref<Conv2d>> convs_;
};

/// A kernel for each sample, mixed from experts: CondConv, https://arxiv.org/abs/1904.04971.
class CondConv2d final : public Module {
 public:
  CondConv2d(int in, int out, Size2 kernel, const Conv2dOptions& o, int experts);
  Tensor operator()(const Tensor& x, const Tensor& routing);           // routing [N, experts]
  double fan_out() const;

  Param weight, bias;                              // [experts, out * in / groups * kh * kw]; [experts, out]

 private:
  int in_, out_;
  Size2 kernel_;
  Conv2dOptions options_;
};

/// One kernel size: Conv2d; several: MixedConv2d.
std::unique_ptr<Module> conv2d(int in, int out, const std::vector<int>& kernels, const Conv2dOptions& o = {});

}  // namespace fovea
