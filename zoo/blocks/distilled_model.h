// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/distilled_model.h — DistilledModel: a stem, stages and a norm, and two classifiers of the pooled features,
// whose mean counts: one learns from labels, the other from a teacher.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "zoo/blocks/chained.h"
#include "zoo/model_kinds.h"

namespace fovea::zoo {

class DistilledModel : public Chained<ImageModel>, public TwoHeadedModel {
 public:
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override;
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  const std::string& global_pool() const override { return pool_; }
  std::pair<Tensor, Tensor> heads(const Tensor& features) override;
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

 protected:
  explicit DistilledModel(const ModelOptions& o);
  /// Behind the child "stem": the stages, each a level, and "norm", where there is one.
  void add_stages(Sequential stages, std::unique_ptr<Module> norm = nullptr);
  /// Ends the constructor: "head" and, if distilled, "head_dist".
  void add_heads(int features, bool distilled = true);
  AfterLevels after_levels() const override;
  Tensor final_norm(const Tap& tapped) override;
  bool drops_pooled_ = true;  // else dropout is the classifiers' own

 private:
  virtual std::unique_ptr<Module> classifier_of(int classes) const;  // null or Identity for none
  Tensor pooled(const Tensor& features);
  std::string pool_, last_level_;
  Maybe<Module> norm_, head_drop_, head_dist_;
  Ref<Module> head_;
};

}  // namespace fovea::zoo
