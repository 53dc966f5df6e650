// SPDX-License-Identifier: Apache-2.0
// zoo/image_model.cpp — the head that most families share, and running stages.
#include "zoo/image_model.h"

#include "engine/core/node.h"
#include "engine/ops/ops.h"

namespace fovea::zoo {

ImageModel::ImageModel(const ModelOptions& o)
    : drop_rate_(o.drop_rate.value_or(0.0f)),
      num_classes_(o.num_classes.value_or(1000)),
      wanted_pool_(o.global_pool) {}

void ImageModel::classifier(std::string_view name, int features, std::string_view default_pool, Classifier kind) {
  num_features_ = features;
  classifier_name_ = name;
  kind_ = kind;
  pool_ = add("global_pool", GlobalPool(wanted_pool(default_pool), kind == Classifier::linear));
  head_hidden_size_ = features * pool_->width();
  if (drop_rate_ > 0) drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
  classifier_ = add(name, classifier_layer(head_hidden_size_, num_classes_, kind == Classifier::convolution));
}

Tensor ImageModel::forward_head(const Tensor& features, bool pre_logits) {
  const Tensor pooled = drop_(pool_(features)), out = pre_logits ? pooled : classifier_(pooled);
  return kind_ == Classifier::linear || pool_->identity() ? out : flatten(out, 1);
}

void ImageModel::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (num_classes < 0)
    throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
  const bool linear = kind_ == Classifier::linear;
  if (global_pool) pool_ = replace("global_pool", std::make_unique<GlobalPool>(*global_pool, linear));
  num_classes_ = num_classes;
  head_hidden_size_ = num_features_ * pool_->width();
  classifier_ = replace(classifier_name_, classifier_layer(head_hidden_size_, num_classes, !linear));
}

void ImageModel::set_input_size(std::array<int, 2> image, std::optional<int> patch, const WindowOptions& windows) {
  if (image[0] < 1 || image[1] < 1 || (patch && *patch < 1))
    throw Error(Error::Kind::argument,
                str_cat("an input of ", image[0], " x ", image[1], " with patches of ", patch.value_or(0)));
  auto* windowed = dynamic_cast<WindowedModel*>(this);
  auto* sized = dynamic_cast<SizedModel*>(this);
  if (!windowed && (!windows.sizes.empty() || !windows.ratios.empty() || windows.always_partition))
    throw Error(Error::Kind::unsupported, str_cat(full_name(), " has no windows to set"));
  if (windowed) windowed->resize_windows(image, patch, windows);
  else if (sized) sized->resize_input(image, patch);
  else if (pretrained_.fixed_input_size)
    throw Error(Error::Kind::unsupported, str_cat(full_name(), " cannot change its image size once it is built"),
                "give img_size when creating it");
  else
    throw Error(Error::Kind::unsupported, str_cat(full_name(), " is not built for one image size"),
                "it takes images of any size as they are");
  input_size_ = {input_size_[0], image[0], image[1]};
  for (std::vector<FeatureInfo>& info : feature_info_) info.clear();
}

const std::string& ImageModel::global_pool() const { return pool_->type(); }

std::string ImageModel::full_name() const { return tag_.empty() ? architecture_ : str_cat(architecture_, '.', tag_); }

Tensor ImageModel::run(Module& stage, const Tensor& x) {
  return recomputes() ? checkpointed(stage, x) : stage(x);
}

bool ImageModel::recomputes() const { return grad_checkpointing_ && training() && grad_enabled(); }

Tensors ImageModel::run(Joint& stage, std::span<const Tensor> x) {
  return recomputes() ? checkpointed(stage, x) : stage(x);
}

}  // namespace fovea::zoo
