// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/conv_headed.h — ConvHeaded: models that convolve what was pooled, and then classify.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

struct ConvHeadOptions {
  int hidden = 1280;                               // channels of the convolution; 0: there is none
  Conv2dOptions conv{.bias = true};
  std::optional<NormSpec> norm{};                  // behind the convolution
  Act act = act::relu;
  bool wide_pooling = false;                       // the convolution may be made for pooling that gives more channels
  bool drop_pre_logits = true;                     // dropout comes before the pre-logits
};

/// `Base` is ImageModel or derived from it.
template <class Base>
class ConvHeaded : public Base {
 public:
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override {
    Tensor x = act2_(norm_head_(conv_head_(pool_(features))));
    if (!pool_->identity()) x = flatten(x, 1);
    if (pre_logits) return drop_pre_logits_ ? drop_(x) : x;
    return classifier_(drop_(x));
  }

  /// The convolution was made for what the pooling gives: pooling that gives more channels neither comes nor goes.
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override {
    if (num_classes < 0)
      throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
    if (global_pool) set_pool(*global_pool);
    if (!convolves()) this->head_hidden_size_ = this->num_features_ * pool_->width();
    this->num_classes_ = num_classes;
    classifier_ = this->replace("classifier", classifier_layer(this->head_hidden_size_, num_classes));
  }

  const std::string& global_pool() const override { return pool_->type(); }

 protected:
  explicit ConvHeaded(const ModelOptions& o) : Base(o) {}

  /// Ends the constructor: "global_pool", "conv_head", "norm_head" and "classifier".
  void conv_head(int features, const ConvHeadOptions& o) {
    this->num_features_ = features;
    this->classifier_name_ = "classifier";
    drop_pre_logits_ = o.drop_pre_logits;
    wide_pooling_ = o.wide_pooling;
    pool_ = this->add("global_pool", pooling(this->wanted_pool("avg")));
    this->head_hidden_size_ = o.hidden ? o.hidden : features * pool_->width();
    if (o.hidden) {
      conv_head_ = this->add("conv_head", Conv2d(features * pool_->width(), o.hidden, 1, o.conv));
      if (o.norm) norm_head_ = this->add("norm_head", norm_act2d(*o.norm, o.hidden, o.act));
      else act2_ = this->add("act2", Activation(o.act));
    }
    if (this->drop_rate_ > 0) drop_ = this->add("head_drop", Dropout(static_cast<double>(this->drop_rate_)));
    classifier_ = this->add("classifier", classifier_layer(this->head_hidden_size_, this->num_classes_));
  }

  void drop_head() override {
    for (Module* m : {conv_head_.get(), norm_head_.get(), act2_.get()})
      if (m) m->vacate();
    Base::drop_head();
  }

 private:
  bool convolves() const { return conv_head_ && !conv_head_->vacant(); }

  std::unique_ptr<GlobalPool> pooling(std::string_view type) const {
    auto pool = std::make_unique<GlobalPool>(type, false);
    if (pool->width() != 1 && !wide_pooling_)
      throw Error(Error::Kind::argument, str_cat("the head has no pooling '", type, "'"),
                  "avg, max and avgmax fit its layers; '' is for none");
    return pool;
  }

  void set_pool(std::string_view type) {
    std::unique_ptr<GlobalPool> pool = pooling(type);
    if (pool->width() != pool_->width() && convolves())
      throw Error(Error::Kind::unsupported,
                  str_cat("pooling '", type, "' gives ", this->num_features_ * pool->width(), " channels, but conv_head of ",
                      this->full_name(), " takes ", this->num_features_ * pool_->width()),
                  "give global_pool when creating the model");
    pool_ = this->replace("global_pool", std::move(pool));
  }

  bool drop_pre_logits_ = true, wide_pooling_ = false;
  Ref<GlobalPool> pool_;
  Maybe<Module> conv_head_, norm_head_, act2_, drop_;
  Ref<Module> classifier_;
};

}  // namespace fovea::zoo
