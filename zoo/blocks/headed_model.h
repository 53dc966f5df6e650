// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/headed_model.h — HeadedModel: a model whose pooling, dropout and classifier are one module, "head".
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "zoo/image_model.h"

namespace fovea::zoo {

class HeadedModel : public ImageModel {
 public:
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override;
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  const std::string& global_pool() const override { return head_->pool(); }

 protected:
  void drop_head() override;
  explicit HeadedModel(const ModelOptions& o) : ImageModel(o) {}
  /// Ends the constructor: a ClassifierHead as "head", whose classifier is "head.fc".
  void head(int features, std::string_view default_pool = "avg", bool channels_last = false);
  /// The same with another head.
  void head(int features, std::unique_ptr<Head> head);

 private:
  Ref<Head> head_;
};

}  // namespace fovea::zoo
