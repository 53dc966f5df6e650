// SPDX-License-Identifier: Apache-2.0
// nn/layers/classifier.h — heads: pooled features -> logits.
#pragma once
#include <memory>
#include <optional>
#include <string_view>

#include "nn/layers/act.h"
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "nn/module.h"

namespace fovea {

/// A linear layer for `classes` classes, or nothing (Identity) for none.
std::unique_ptr<Module> classifier_layer(int features, int classes);

struct ClassifierHeadOptions {
  std::string_view pool = "avg";
  double drop_rate = 0;
  bool channels_last = false;                      // the operand is N,H,W,C
};
/// Pooling, dropout and, as "fc", the classifier: what many networks call "head".
class ClassifierHead final : public Module {
 public:
  ClassifierHead(int features, int classes, const ClassifierHeadOptions& o = {});
  Tensor operator()(const Tensor& x, bool pre_logits = false);
  Tensor forward(const Tensor& x) override { return (*this)(x, false); }
  void reset(int classes, std::optional<std::string_view> pool = {});
  int num_features() const { return features_ * pool_->width(); }      // of the pre-logits
  const std::string& pool() const { return pool_->type(); }

 private:
  int features_;
  bool channels_last_;
  Ref<GlobalPool> pool_;
  Ref<Dropout> drop_;
  Ref<Module> fc_;
};

struct NormMlpHeadOptions {
  std::string_view pool = "avg";
  double drop_rate = 0;
  int hidden = 0;                                  // not 0: a layer of this width between pooling and classifier
  Act act = act::tanh;
  double eps = 1e-6;
};
/// Pooling, layer norm, perhaps a hidden layer, dropout and the classifier.
class NormMlpClassifierHead final : public Module {
 public:
  NormMlpClassifierHead(int features, int classes, const NormMlpHeadOptions& o = {});
  Tensor operator()(const Tensor& x, bool pre_logits = false);
  Tensor forward(const Tensor& x) override { return (*this)(x, false); }
  void reset(int classes, std::optional<std::string_view> pool = {});
  int num_features() const { return features_; }
  const std::string& pool() const { return pool_->type(); }

 private:
  int features_;
  bool wants_conv_;
  Ref<GlobalPool> pool_;
  Ref<Module> norm_;
  Maybe<Module> pre_logits_;
  Ref<Dropout> drop_;
  Ref<Module> fc_;
};

}  // namespace fovea
