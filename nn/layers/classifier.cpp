// SPDX-License-Identifier: Apache-2.0
// nn/layers/classifier.cpp — ClassifierHead and NormMlpClassifierHead.
#include "nn/layers/classifier.h"

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/one_width_pool.h"

namespace fovea {

std::unique_ptr<Module> classifier_layer(int features, int classes, bool convolution) {
  if (classes <= 0) return std::make_unique<Identity>();
  return channel_linear(features, classes, convolution);
}

ClassifierHead::ClassifierHead(int features, int classes, const ClassifierHeadOptions& o)
    : features_(features),
      channels_last_(o.channels_last),
      convolution_(o.convolution) {
  pool_ = add("global_pool", GlobalPool(o.pool, !convolution_, o.channels_last));
  drop_ = add("drop", Dropout(o.drop_rate));
  fc_ = add("fc", classifier_layer(num_features(), classes, convolution_));
}

Tensor ClassifierHead::apply(const Tensor& x, bool pre_logits) {
  const Tensor pooled = drop_(pool_(x)), out = pre_logits ? pooled : fc_(pooled);
  return convolution_ && !pool_->identity() ? flatten(out, 1) : out;
}

void ClassifierHead::reset(int classes, std::optional<std::string_view> pool) {
  if (pool) pool_ = replace("global_pool", std::make_unique<GlobalPool>(*pool, !convolution_, channels_last_));
  fc_ = replace("fc", classifier_layer(num_features(), classes, convolution_));
}

NormMlpClassifierHead::NormMlpClassifierHead(int features, int classes, const NormMlpHeadOptions& o)
    : features_(features),
      hidden_(o.hidden),
      act_(o.act) {
  pool_ = add("global_pool", one_width_pool(o.pool, false));
  norm_ = add("norm", norm2d(o.norm, features));
  if (hidden_) pre_logits_ = add("pre_logits", hidden_layer());
  drop_ = add("drop", Dropout(o.drop_rate));
  fc_ = add("fc", classifier(classes));
}

Sequential NormMlpClassifierHead::hidden_layer() const {
  Sequential s;
  s.add("fc", channel_linear(features_, hidden_, pool_->identity()));
  s.add("act", Activation(act_));
  return s;
}

std::unique_ptr<Module> NormMlpClassifierHead::classifier(int classes) const {
  return classifier_layer(num_features(), classes, pool_->identity());
}

Tensor NormMlpClassifierHead::apply(const Tensor& x, bool pre_logits) {
  Tensor y = norm_(pool_(x));
  if (!pool_->identity()) y = flatten(y, 1);
  y = drop_(pre_logits_(y));
  return pre_logits ? y : fc_(y);
}

void NormMlpClassifierHead::shorten(int features) {
  norm_->vacate();
  if (pre_logits_) pre_logits_->vacate();
  hidden_ = 0;
  features_ = features;
}

void NormMlpClassifierHead::reset(int classes, std::optional<std::string_view> pool) {
  const bool was_map = pool_->identity();
  if (pool) pool_ = replace("global_pool", one_width_pool(*pool, false));
  if (hidden_ && was_map != pool_->identity()) {   // the same weights between a linear layer and a convolution
    auto next = std::make_unique<Sequential>(hidden_layer());
    const std::vector<Param>& from = pre_logits_->find("fc")->own_parameters();
    const std::vector<Param>& to = next->find("fc")->own_parameters();
    const NoGrad no_grad;
    for (size_t i = 0; i < to.size(); ++i) {
      Tensor same = reshape(*from[i], to[i]->shape());
      same.set_requires_grad(from[i]->requires_grad());
      to[i].set(std::move(same));
    }
    pre_logits_ = replace("pre_logits", std::move(next));
  }
  fc_ = replace("fc", classifier(classes));
}

}  // namespace fovea
