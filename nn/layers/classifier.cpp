// SPDX-License-Identifier: Apache-2.0
// nn/layers/classifier.cpp — ClassifierHead and NormMlpClassifierHead.
#include "nn/layers/classifier.h"

#include "engine/ops/ops.h"
#include "nn/layers/norm.h"

namespace fovea {
namespace {

std::unique_ptr<Module> layer(int in, int out, bool as_conv) {
  if (out <= 0) return std::make_unique<Identity>();
  if (as_conv) return std::make_unique<Conv2d>(in, out, 1, Conv2dOptions{.bias = true});
  return std::make_unique<Linear>(in, out);
}

}  // namespace

std::unique_ptr<Module> classifier_layer(int features, int classes) { return layer(features, classes, false); }

ClassifierHead::ClassifierHead(int features, int classes, const ClassifierHeadOptions& o)
    : features_(features), channels_last_(o.channels_last) {
  pool_ = add("global_pool", GlobalPool(o.pool, true, o.channels_last));
  drop_ = add("drop", Dropout(o.drop_rate));
  fc_ = add("fc", classifier_layer(num_features(), classes));
}

Tensor ClassifierHead::operator()(const Tensor& x, bool pre_logits) {
  const Scope scope(name());
  const Tensor pooled = drop_(pool_(x));
  return pre_logits ? pooled : fc_(pooled);
}

void ClassifierHead::reset(int classes, std::optional<std::string_view> pool) {
  if (pool) pool_ = replace("global_pool", std::make_unique<GlobalPool>(*pool, true, channels_last_));
  fc_ = replace("fc", classifier_layer(num_features(), classes));
}

NormMlpClassifierHead::NormMlpClassifierHead(int features, int classes, const NormMlpHeadOptions& o)
    : features_(o.hidden ? o.hidden : features), wants_conv_(o.pool.empty()) {
  pool_ = add("global_pool", GlobalPool(o.pool, false));
  norm_ = add("norm", LayerNorm2d(features, o.eps));
  if (o.hidden) {
    Sequential hidden;
    hidden.add("fc", layer(features, o.hidden, wants_conv_));
    hidden.add("act", std::make_unique<Activation>(o.act));
    pre_logits_ = add("pre_logits", std::move(hidden));
  }
  drop_ = add("drop", Dropout(o.drop_rate));
  fc_ = add("fc", layer(features_, classes, wants_conv_));
}

Tensor NormMlpClassifierHead::operator()(const Tensor& x, bool pre_logits) {
  const Scope scope(name());
  Tensor y = norm_(pool_(x));
  if (!pool_->identity()) y = flatten(y, 1);
  y = drop_(pre_logits_(y));
  return pre_logits ? y : fc_(y);
}

void NormMlpClassifierHead::reset(int classes, std::optional<std::string_view> pool) {
  if (pool && pool->empty() != wants_conv_)
    throw Error(Error::Kind::unsupported, "this head cannot gain or lose its pooling after it was built",
                "give global_pool when creating the model");
  if (pool) pool_ = replace("global_pool", std::make_unique<GlobalPool>(*pool, false));
  fc_ = replace("fc", layer(features_, classes, wants_conv_));
}

}  // namespace fovea
