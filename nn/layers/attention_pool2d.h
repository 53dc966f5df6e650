// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention_pool2d.h — AttentionPool2d: the head of CLIP's ResNets, whose pooling is attention of the mean to
// all pixels.
#pragma once
#include "nn/layers/classifier.h"
#include "nn/layers/conv.h"
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/layers/rotary.h"

namespace fovea {

struct AttentionPool2dOptions {
  Size2 map = 7;                    // that positions are learned for, or (rotary) that coordinates are scaled to
  int embed = 0, head_dim = 64;     // channels of the attention; embed 0: as many as come in
  bool rotary = false;              // positions turn queries and keys instead of being learned
  std::string_view pool = "token";  // the answer to the mean; "": the answers to the pixels
  double drop_rate = 0;
};
/// N,C,H,W -> N,classes; https://arxiv.org/abs/2103.00020. The classifier is "proj".
class AttentionPool2d final : public Head {
 public:
  AttentionPool2d(int features, int classes, const AttentionPool2dOptions& o = {});
  /// Gives its products their first values: for networks that give all linear layers others.
  void start_values();
  void reset(int classes, std::optional<std::string_view> pool = {}) override;
  void shorten(int) override {}
  bool shortens() const override { return false; }
  int num_features() const override { return embed_; }
  const std::string& pool() const override { return pool_; }

 private:
  Tensor apply(const Tensor& x, bool pre_logits) override;
  void set_pool(std::string_view pool);
  Size2 map_;
  int embed_, heads_;
  std::string pool_;
  Param pos_embed_;  // [1 + pixels, features]
  Ref<Linear> q_, k_, v_;
  Ref<Dropout> drop_;
  Ref<Module> proj_;
  Ref<RotaryEmbedding> rope_;
};

}  // namespace fovea
