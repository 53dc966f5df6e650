// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/headed_model.cpp — the head that holds pooling, dropout and classifier.
#include "zoo/blocks/headed_model.h"

namespace fovea::zoo {

void HeadedModel::head(int features, std::string_view default_pool, bool channels_last) {
  const ClassifierHeadOptions o{.pool = wanted_pool(default_pool),
                                .drop_rate = static_cast<double>(drop_rate_),
                                .channels_last = channels_last};
  head(features, std::make_unique<ClassifierHead>(features, num_classes_, o));
}

void HeadedModel::head(int features, std::unique_ptr<Head> head) {
  num_features_ = features;
  classifier_name_ = "head.fc";
  head_ = add("head", std::move(head));
  head_hidden_size_ = head_->num_features();
}

void HeadedModel::drop_head() {
  if (head_->shortens()) {
    head_->shorten(num_features_);
  } else {
    head_ = replace("head", std::make_unique<ClassifierHead>(num_features_, 0, ClassifierHeadOptions{.pool = ""}));
    classifier_name_ = "head.fc";
  }
  ImageModel::drop_head();
}

Tensor HeadedModel::forward_head(const Tensor& features, bool pre_logits) { return (*head_)(features, pre_logits); }

void HeadedModel::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (num_classes < 0)
    throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
  head_->reset(num_classes, global_pool);
  num_classes_ = num_classes;
  head_hidden_size_ = head_->num_features();
}

}  // namespace fovea::zoo
