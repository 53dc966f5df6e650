// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/token_head_model.cpp — pooled tokens to logits, with one classifier or two.
#include "zoo/blocks/token_head_model.h"

#include <algorithm>

#include "engine/ops/ops.h"
#include "nn/layers/token_pool.h"

namespace fovea::zoo {

TokenHeadModel::TokenHeadModel(const ModelOptions& o, const TokenPools& pools)
    : ImageModel(o),
      pools_(pools),
      pool_(wanted_pool(pools.pool)) {
  classifier_name_ = "head";
  check_pool(pool_);
}

void TokenHeadModel::check_pool(std::string_view pool) const {
  const std::vector<std::string> known = split_list(pools_.known);
  if (pool.empty() || std::ranges::count(known, pool) > 0) return;
  throw Error(Error::Kind::argument, str_cat("no pooling '", pool, "' of this model's tokens"),
              str_cat("there are: ", join(known, ", "), ", and \"\" for none"));
}

void TokenHeadModel::add_head(int features) {
  num_features_ = head_hidden_size_ = features;
  head_drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
  head_ = add("head", classifier_layer(features, num_classes_));
  if (pools_.distilled) head_dist_ = add("head_dist", classifier_layer(features, num_classes_));
}

Tensor TokenHeadModel::run_levels(Module& blocks, Tensor x) {
  for (const auto& block : blocks.children()) {
    {
      const Scope scope(blocks.name());
      x = run(*block, x);
    }
    if (tap(str_cat(blocks.name(), '.', block->name()), x)) break;
  }
  return x;
}

Tensor TokenHeadModel::pool(const Tensor& tokens) { return pool_tokens(tokens, pool_, pools_.prefix); }

std::pair<Tensor, Tensor> TokenHeadModel::class_tokens(const Tensor& tokens) {
  return {head_drop_(select(tokens, 1, 0)), head_drop_(select(tokens, 1, 1))};
}

std::pair<Tensor, Tensor> TokenHeadModel::heads(const Tensor& tokens) {
  if (!head_dist_) return {forward_head(tokens), {}};
  const auto [a, b] = class_tokens(tokens);
  return {head_(a), head_dist_(b)};
}

Tensor TokenHeadModel::forward_head(const Tensor& tokens, bool pre_logits) {
  if (head_dist_) {
    const auto [a, b] = pre_logits ? class_tokens(tokens) : heads(tokens);
    return (a + b) * 0.5;
  }
  return head(pool(tokens), pre_logits);
}

Tensor TokenHeadModel::head(const Tensor& pooled, bool pre_logits) {
  const Tensor x = head_drop_(fc_norm_(pooled));
  return pre_logits ? x : head_(x);
}

void TokenHeadModel::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (num_classes < 0)
    throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
  if (global_pool) {
    check_pool(*global_pool);
    pool_ = *global_pool;
  }
  num_classes_ = num_classes;
  head_ = replace("head", classifier_layer(num_features_, num_classes));
  if (head_dist_) head_dist_ = replace("head_dist", classifier_layer(num_features_, num_classes));
}

void TokenHeadModel::drop_head() {
  if (fc_norm_) fc_norm_->vacate();
  ImageModel::drop_head();
}

void TokenHeadModel::drop_late_token(Module& blocks, Param& cls_token) {
  blocks.vacate();
  remove("cls_token");
  cls_token = {};
  pools_.known = "avg";
  pools_.prefix = 0;
  TokenHeadModel::drop_head();
}

}  // namespace fovea::zoo
