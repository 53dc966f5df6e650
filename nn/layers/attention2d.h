// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention2d.h — attention between the pixels of N,C,H,W, by 1x1 convolutions: multi-head and multi-query.
#pragma once
#include "nn/layers/conv.h"
#include "nn/layers/norm.h"
#include "nn/module.h"

namespace fovea {

struct Attention2dOptions {
  int heads = 32, out = 0;  // out 0: as many channels as there are
  bool bias = true;
};
/// Every head has queries, keys and values of its own.
class Attention2d final : public Module {
 public:
  explicit Attention2d(int dim, const Attention2dOptions& o = {});
  Tensor forward(const Tensor& x) override;
  Ref<Conv2d> qkv, proj;

 private:
  int heads_;
};

struct MultiQueryOptions {
  int heads = 8, out = 0;                       // out 0: as many channels as there are
  int key_dim = 0, value_dim = 0;               // 0: dim / heads
  int kv_stride = 1, kernel = 3, dilation = 1;  // over 1: keys and values come from a map that is smaller by this
  Padding padding{};
  NormSpec norm{};  // of the smaller map
};
/// One key and one value for all heads, perhaps of fewer pixels: https://arxiv.org/abs/1911.02150.
class MultiQueryAttention2d final : public Module {
 public:
  explicit MultiQueryAttention2d(int dim, const MultiQueryOptions& o = {});
  Tensor forward(const Tensor& x) override;
  /// Gives its convolutions their first values: for networks that give all convolutions others.
  void start_values();

 private:
  Ref<Sequential> projection(std::string_view name, int dim, int out, const MultiQueryOptions& o);
  Ref<Sequential> query_, key_, value_, output_;
  int heads_;
};

}  // namespace fovea
