// SPDX-License-Identifier: Apache-2.0
// nn/layers/pool.h — pooling of images: to one value a channel (GlobalPool), in windows, and blurred before taking
// fewer.
#pragma once
#include <array>
#include <string>
#include <string_view>

#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea {

/// timm's SelectAdaptivePool2d to size 1. Types: "", avg, max, avgmax, catavgmax and the same with "fast" in front
/// ("fast" is fastavg).
class GlobalPool final : public Module {
 public:
  explicit GlobalPool(std::string_view type = "avg", bool flatten = true, bool channels_last = false);
  Tensor forward(const Tensor& x) override;        // N,C,H,W or N,H,W,C; flattened to N,C unless the type is ""
  const std::string& type() const { return type_; }
  bool identity() const { return type_.empty(); }
  int width() const;                               // how many times the channels come out: 2 for catavgmax

 private:
  std::string type_;
  bool flatten_, channels_last_;
};

struct Pool2dOptions {
  Size2 stride = 0;                                // 0: the kernel
  Padding padding = 0;
  bool ceil_mode = false, count_include_pad = true;
};
class AvgPool2d final : public Module {
 public:
  explicit AvgPool2d(Size2 kernel, const Pool2dOptions& o = {}) : kernel_(kernel), options_(o) {}
  Tensor forward(const Tensor& x) override;

 private:
  Size2 kernel_;
  Pool2dOptions options_;
};
class MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(Size2 kernel, const Pool2dOptions& o = {}) : kernel_(kernel), options_(o) {}
  Tensor forward(const Tensor& x) override;

 private:
  Size2 kernel_;
  Pool2dOptions options_;
};

/// Zeros around an image, which a maximum over windows then counts.
class ZeroPad2d final : public Module {
 public:
  explicit ZeroPad2d(std::array<int, 4> left_right_top_bottom) : amounts_(left_right_top_bottom) {}
  Tensor forward(const Tensor& x) override;

 private:
  std::array<int, 4> amounts_;
};

/// A binomial filter and then every stride-th pixel: https://arxiv.org/abs/1904.11486.
class BlurPool2d final : public Module {
 public:
  explicit BlurPool2d(int channels, int filter = 3, int stride = 2, bool reflect = true);
  Tensor forward(const Tensor& x) override;

 private:
  int channels_, filter_, stride_;
  bool reflect_;
};

/// What stands in for a stride against aliasing, by timm's names: "avg", "blur", "blurpc"; "" gives null.
std::unique_ptr<Module> anti_alias(std::string_view kind, int channels, int stride);

}  // namespace fovea
