// SPDX-License-Identifier: Apache-2.0
// nn/layers/cosine_window_attention.h — attention within windows by the cosine of queries and keys, which each head
// scales, and a bias that a small network makes of offsets: https://arxiv.org/abs/2111.09883.
#pragma once
#include "nn/layers/conv.h"
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/module.h"

namespace fovea {

/// Over tokens [N * windows, area, C], the windows of an image one after the other. What makes the bias, and in which
/// order children stand, is the derived class's.
class CosineWindowAttention : public Module {
 public:
  /// mask [windows, area, area] is added to the scores.
  Tensor operator()(const Tensor& x, const Tensor& mask = {});
  Tensor forward(const Tensor& x) override { return attend(x, {}); }
  virtual void set_window(Size2 window) = 0;

 protected:
  /// scale: the shape of "logit_scale", one for each head.
  CosineWindowAttention(int heads, double attn_drop, const Shape& scale);
  Ref<Linear> qkv_, proj_;
  Ref<Dropout> proj_drop_;

 private:
  Tensor attend(const Tensor& x, const Tensor& mask);
  virtual Tensor products(const Tensor& x) { return qkv_(x); }  // queries, keys and values, [..., 3 C]
  virtual Tensor bias() = 0;                                    // [heads, area, area]
  int heads_;
  double attn_drop_;
  Param logit_scale_;
};

}  // namespace fovea
