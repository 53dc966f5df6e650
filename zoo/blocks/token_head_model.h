// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/token_head_model.h — TokenHeadModel: the end of most transformers: pooling of tokens, "head_drop", "head".
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "zoo/image_model.h"
#include "zoo/model_kinds.h"

namespace fovea::zoo {

struct TokenPools {
  std::string_view pool = "token";       // unless the caller wants another
  std::string_view known = "token,avg";  // beside ""
  int prefix = 1;                        // leading tokens that only "token" looks at
  bool distilled = false;                // the second token has a classifier of its own, "head_dist"
};

class TokenHeadModel : public ImageModel, public TwoHeadedModel {
 public:
  /// Of distilled models the mean of both classifiers.
  Tensor forward_head(const Tensor& tokens, bool pre_logits = false) override;
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  const std::string& global_pool() const override { return pool_; }
  std::pair<Tensor, Tensor> heads(const Tensor& tokens) override;

 protected:
  TokenHeadModel(const ModelOptions& o, const TokenPools& pools);
  /// Ends the constructor, behind the norms.
  void add_head(int features);
  void check_pool(std::string_view pool) const;
  Tensor head(const Tensor& pooled, bool pre_logits);  // what forward_head() does behind the pooling
  virtual Tensor pool(const Tensor& tokens);
  /// The children of `blocks` one after the other, each a level, as far as they are needed.
  Tensor run_levels(Module& blocks, Tensor x);
  void drop_head() override;
  /// drop_head() of models whose class token joins only in `blocks`, behind all levels: both go with the head.
  void drop_late_token(Module& blocks, Param& cls_token);
  Maybe<Module> fc_norm_;  // between pooling and dropout
  Maybe<Module> head_dist_;
  TokenPools pools_;

 private:
  std::pair<Tensor, Tensor> class_tokens(const Tensor& tokens);   // of distilled models
  std::string pool_;
  Ref<Module> head_;
  Ref<Dropout> head_drop_;
};

}  // namespace fovea::zoo
