// SPDX-License-Identifier: Apache-2.0
// nn/layers/classifier.h — heads: pooled features -> logits.
#pragma once
#include <memory>
#include <optional>
#include <string_view>

#include "nn/layers/act.h"
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/layers/norm.h"
#include "nn/layers/pool.h"
#include "nn/module.h"

namespace fovea {

/// A linear layer for `classes` classes, or nothing (Identity) for none. As a convolution it takes N,C,H,W.
std::unique_ptr<Module> classifier_layer(int features, int classes, bool convolution = false);

/// What models know of the module that makes logits of their features.
class Head : public Module {
 public:
  Tensor operator()(const Tensor& x, bool pre_logits = false) {
    const Scope scope(name());
    return apply(x, pre_logits);
  }
  Tensor forward(const Tensor& x) override { return apply(x, false); }
  /// Another classifier, and pooling where it is given.
  virtual void reset(int classes, std::optional<std::string_view> pool = {}) = 0;
  /// For operands of so many channels: norm and hidden layer, made for others, go. A reset() has to follow.
  virtual void shorten(int features) = 0;
  virtual bool shortens() const { return true; }   // else another head has to take its place
  virtual int num_features() const = 0;            // of the pre-logits
  virtual const std::string& pool() const = 0;

 private:
  virtual Tensor apply(const Tensor& x, bool pre_logits) = 0;
};

struct ClassifierHeadOptions {
  std::string_view pool = "avg";
  double drop_rate = 0;
  bool channels_last = false;                      // the operand is N,H,W,C
  bool convolution = false;                        // "fc" is a 1x1 convolution, and takes maps that were not pooled
};
/// Pooling, dropout and, as "fc", the classifier: what many networks call "head".
class ClassifierHead final : public Head {
 public:
  ClassifierHead(int features, int classes, const ClassifierHeadOptions& o = {});
  void reset(int classes, std::optional<std::string_view> pool = {}) override;
  void shorten(int features) override { features_ = features; }
  int num_features() const override { return features_ * pool_->width(); }
  const std::string& pool() const override { return pool_->type(); }

 private:
  Tensor apply(const Tensor& x, bool pre_logits) override;
  int features_;
  bool channels_last_, convolution_;
  Ref<GlobalPool> pool_;
  Ref<Dropout> drop_;
  Ref<Module> fc_;
};

struct NormMlpHeadOptions {
  std::string_view pool = "avg";
  double drop_rate = 0;
  int hidden = 0;                                  // not 0: a layer of this width between pooling and classifier
  Act act = act::tanh;
  NormSpec norm{.kind = NormSpec::Kind::layer, .eps = 1e-6};
};
/// Pooling, a norm, perhaps a hidden layer, dropout and the classifier. Where nothing is pooled, its layers are 1x1
/// convolutions.
class NormMlpClassifierHead final : public Head {
 public:
  NormMlpClassifierHead(int features, int classes, const NormMlpHeadOptions& o = {});
  void reset(int classes, std::optional<std::string_view> pool = {}) override;
  void shorten(int features) override;
  int num_features() const override { return hidden_ ? hidden_ : features_; }
  const std::string& pool() const override { return pool_->type(); }

 private:
  Tensor apply(const Tensor& x, bool pre_logits) override;
  Sequential hidden_layer() const;
  std::unique_ptr<Module> classifier(int classes) const;
  int features_, hidden_;
  Act act_;
  Ref<GlobalPool> pool_;
  Ref<Module> norm_;
  Maybe<Module> pre_logits_;
  Ref<Dropout> drop_;
  Ref<Module> fc_;
};

}  // namespace fovea
