// SPDX-License-Identifier: Apache-2.0
// nn/layers/channels_last_head.h — a norm, perhaps a hidden layer and a classifier over N,H,W,C, or its pooled values.
#pragma once
#include "nn/layers/classifier.h"
#include "nn/layers/token_norm.h"

namespace fovea {

struct ChannelsLastHeadOptions {
  std::string_view pool = "avg";  // "": every pixel has logits of its own
  double drop_rate = 0;
  int hidden = 0;            // not 0: a layer of this width between pooling and classifier
  bool hidden_norm = false;  // a norm behind the hidden layer's activation
  Act act = act::gelu;
  TokenNorm norm;
};
/// What timm calls ClNormMlpClassifierHead, and MambaOut's head.
class ChannelsLastHead final : public Head {
 public:
  ChannelsLastHead(int features, int classes, const ChannelsLastHeadOptions& o = {});
  void reset(int classes, std::optional<std::string_view> pool = {}) override;
  void shorten(int features) override;
  int num_features() const override { return hidden_ ? hidden_ : features_; }
  const std::string& pool() const override { return pool_->type(); }

 private:
  Tensor apply(const Tensor& x, bool pre_logits) override;
  int features_, hidden_;
  Ref<GlobalPool> pool_;
  Ref<Module> norm_;
  Maybe<Module> pre_logits_;
  Ref<Dropout> drop_;
  Ref<Module> fc_;
};

}  // namespace fovea
