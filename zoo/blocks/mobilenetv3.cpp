// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/mobilenetv3.cpp — MobileNetV3's trunk and its head: pool, convolve, classify.
#include "zoo/blocks/mobilenetv3.h"

namespace fovea::zoo {

MobileNetV3::MobileNetV3(const MobileNetV3Cfg& c, const ModelOptions& o)
    : EfficientNetTrunk(o),
      act_(c.head_norm ? act::none : c.act) {
  const ChannelRounding round{.multiplier = c.width, .limit = c.round_limit};
  const NormSpec norm{.eps = c.bn_eps};
  DepthScaling depth{.multiplier = c.depth, .group_size = {}};
  if (c.group_size >= 0) depth.group_size = c.group_size;
  num_features_ = trunk(o, {.channels = c.fix_stem ? c.stem : round(c.stem)}, decode_stages(c.arch, depth),
                        {.round = round,
                         .padding = c.padding,
                         .act = c.act,
                         .norm = norm,
                         .anti_alias = c.anti_alias,
                         .attention = {},
                         .se_from_expanded = c.squeeze_from_expanded,
                         .squeeze = {.gate = c.squeeze_gate,
                                     .act = c.squeeze_act,
                                     .divisor = c.squeeze_divisor,
                                     .round_limit = c.round_limit},
                         .layer_scale = c.layer_scale});

  head_hidden_size_ = c.features;
  classifier_name_ = "classifier";
  pool_ = add("global_pool", GlobalPool(wanted_pool("avg"), false));
  conv_head_ = add("conv_head", Conv2d(num_features_ * pool_->width(), c.features, 1,
                                       {.padding = c.padding, .bias = c.head_bias && !c.head_norm}));
  if (c.head_norm) norm_head_ = add("norm_head", norm_act2d(norm, c.features, c.act));
  if (drop_rate_ > 0) drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
  classifier_ = add("classifier", classifier_layer(c.features, num_classes_));
  init_like_tensorflow(*this);
}

Tensor MobileNetV3::forward_head(const Tensor& features, bool pre_logits) {
  Tensor x = activate(norm_head_(conv_head_(pool_(features))), act_);
  if (!pool_->identity()) x = flatten(x, 1);
  x = drop_(x);
  return pre_logits ? x : classifier_(x);
}

void MobileNetV3::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (num_classes < 0)
    throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
  if (global_pool) {
    auto pool = std::make_unique<GlobalPool>(*global_pool, false);
    if (pool->width() != pool_->width() && !conv_head_->vacant())
      throw Error(Error::Kind::unsupported,
                  str_cat("pooling '", *global_pool, "' gives ", num_features_ * pool->width(),
                          " channels, but conv_head of ", full_name(), " takes ", num_features_ * pool_->width()),
                  "give global_pool when creating the model");
    pool_ = replace("global_pool", std::move(pool));
  }
  if (conv_head_->vacant()) head_hidden_size_ = num_features_ * pool_->width();
  num_classes_ = num_classes;
  classifier_ = replace("classifier", classifier_layer(head_hidden_size_, num_classes));
}

void MobileNetV3::drop_head() {
  conv_head_->vacate();
  if (norm_head_) norm_head_->vacate();
  act_ = act::none;
  ImageModel::drop_head();
}

}  // namespace fovea::zoo
