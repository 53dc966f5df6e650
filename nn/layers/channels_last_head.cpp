// SPDX-License-Identifier: Apache-2.0
// nn/layers/channels_last_head.cpp — ChannelsLastHead.
#include "nn/layers/channels_last_head.h"

#include "nn/layers/act.h"
#include "nn/layers/linear.h"
#include "nn/layers/one_width_pool.h"

namespace fovea {

ChannelsLastHead::ChannelsLastHead(int features, int classes, const ChannelsLastHeadOptions& o)
    : features_(features),
      hidden_(o.hidden) {
  pool_ = add("global_pool", one_width_pool(o.pool, true, true));
  norm_ = add("norm", token_norm(o.norm, features));
  if (hidden_) {
    Sequential layer;
    layer.add("fc", Linear(features, hidden_));
    layer.add("act", Activation(o.act));
    if (o.hidden_norm) layer.add("norm", token_norm(o.norm, hidden_));
    pre_logits_ = add("pre_logits", std::move(layer));
  }
  drop_ = add("drop", Dropout(o.drop_rate));
  fc_ = add("fc", classifier_layer(num_features(), classes));
}

Tensor ChannelsLastHead::apply(const Tensor& x, bool pre_logits) {
  const Tensor y = drop_(pre_logits_(norm_(pool_(x))));
  return pre_logits ? y : fc_(y);
}

void ChannelsLastHead::shorten(int features) {
  norm_->vacate();
  if (pre_logits_) pre_logits_->vacate();
  hidden_ = 0;
  features_ = features;
}

void ChannelsLastHead::reset(int classes, std::optional<std::string_view> pool) {
  if (pool) pool_ = replace("global_pool", one_width_pool(*pool, true, true));
  fc_ = replace("fc", classifier_layer(num_features(), classes));
}

}  // namespace fovea
