// SPDX-License-Identifier: Apache-2.0
// nn/layers/window_attention.h — attention within windows of a map, with a bias for each offset between two tokens.
#pragma once
#include "nn/layers/conv.h"
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/layers/relative_bias.h"
#include "nn/module.h"

namespace fovea {

struct WindowAttentionOptions {
  int heads = 8, head_dim = 0;  // 0: dim / heads
  Size2 window = 7;
  bool qkv_bias = true;
  double attn_drop = 0, proj_drop = 0;
};

/// Over tokens [N * windows, area, C], the windows of an image one after the other: https://arxiv.org/abs/2103.14030.
class WindowAttention final : public Module, public RelativeTableOwner {
 public:
  WindowAttention(int dim, const WindowAttentionOptions& o = {});
  /// mask [windows, area, area] is added to the scores.
  Tensor operator()(const Tensor& x, const Tensor& mask = {});
  Tensor forward(const Tensor& x) override { return attend(x, {}); }
  const RelativeTable& relative_table() const override { return table_; }
  void set_window(Size2 window) { table_.set_window(window); }
  Ref<Linear> qkv, proj;

 private:
  Tensor attend(const Tensor& x, const Tensor& mask);
  int heads_;
  double attn_drop_;
  RelativeTable table_;
  Ref<Dropout> proj_drop_;
};

}  // namespace fovea
