// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/distilled_model.cpp — pooled maps or tokens to logits.
#include "zoo/blocks/distilled_model.h"

#include "engine/ops/ops.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/blocks/stage_groups.h"

namespace fovea::zoo {
namespace {

std::string known_pool(std::string_view pool) {
  if (pool.empty() || pool == "avg") return std::string(pool);
  throw Error(Error::Kind::argument, str_cat("two classifiers have no pooling '", pool, "'"), "there are avg and ''");
}

}  // namespace

DistilledModel::DistilledModel(const ModelOptions& o) : Chained(o), pool_(known_pool(wanted_pool("avg"))) {
  classifier_name_ = "head";
}

void DistilledModel::add_stages(Sequential stages, std::unique_ptr<Module> norm) {
  stem("stem");
  std::vector<int> levels;
  for (int i = 0; i < stages.size(); ++i) levels.push_back(i);
  last_level_ = str_cat("stages.", levels.back());
  add("stages", std::move(stages));
  parts("stages", levels);
  if (!norm) return;
  norm_ = add("norm", std::move(norm));
  stem("norm");
}

void DistilledModel::add_heads(int features, bool distilled) {
  num_features_ = head_hidden_size_ = features;
  if (drops_pooled_ && drop_rate_ > 0) head_drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
  head_ = add("head", classifier_of(num_classes_));
  if (distilled) head_dist_ = add("head_dist", classifier_of(num_classes_));
}

std::unique_ptr<Module> DistilledModel::classifier_of(int classes) const {
  return classifier_layer(num_features_, classes);
}

Tensor DistilledModel::pooled(const Tensor& features) {
  if (pool_.empty()) return head_drop_(features);
  return head_drop_(features.rank() == 4 ? mean(features, {2, 3}) : mean(features, {1}));
}

std::pair<Tensor, Tensor> DistilledModel::heads(const Tensor& features) {
  const Tensor x = pooled(features);
  if (auto* linears = dynamic_cast<NormLinears*>(head_.get())) return linears->heads(x);
  return {head_(x), head_dist_ ? head_dist_(x) : Tensor()};
}

Tensor DistilledModel::forward_head(const Tensor& features, bool pre_logits) {
  const Tensor x = pooled(features);
  if (pre_logits) return x;
  return head_dist_ ? (head_(x) + head_dist_(x)) * 0.5 : head_(x);
}

void DistilledModel::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (num_classes < 0)
    throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
  if (global_pool) pool_ = known_pool(*global_pool);
  num_classes_ = num_classes;
  head_hidden_size_ = num_features_;
  head_ = replace("head", classifier_of(num_classes));
  if (head_dist_) head_dist_ = replace("head_dist", classifier_of(num_classes));
}

AfterLevels DistilledModel::after_levels() const {
  if (!norm_) return {};
  return {.norms = {"norm"}, .convs = {}};
}

Tensor DistilledModel::final_norm(const Tap& tapped) {
  return tapped.module == last_level_ ? norm_(tapped.value) : tapped.value;
}

std::vector<LayerGroup> DistilledModel::group_matcher(bool coarse) const {
  return stage_groups("stages", norm_ ? "norm" : "", coarse);
}

}  // namespace fovea::zoo
