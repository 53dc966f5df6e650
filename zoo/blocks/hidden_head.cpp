// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/hidden_head.cpp — the parts of the head where their names say, and what they compute.
#include "zoo/blocks/hidden_head.h"

#include <memory>
#include <utility>

#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "nn/layers/one_width_pool.h"
#include "zoo/blocks/local_convs.h"

namespace fovea::zoo {
namespace {

/// What names have dots for.
struct Group final : Module {
  using Module::add, Module::replace;
};

}  // namespace

void HiddenHeadModel::add_stages(Sequential stages) {
  stem("stem");
  std::vector<int> levels;
  for (int i = 0; i < stages.size(); ++i) levels.push_back(i);
  add("stages", std::move(stages));
  parts("stages", levels);
}

Ref<Module> HiddenHeadModel::put(std::string_view path, std::unique_ptr<Module> part) {
  Group* in = nullptr;
  for (size_t dot; (dot = path.find('.')) != std::string_view::npos; path.remove_prefix(dot + 1)) {
    const std::string_view name = path.substr(0, dot);
    Module* next = in ? in->find(name) : find(name);
    if (!next) next = in ? in->add(name, Group()).get() : add(name, Group()).get();
    in = static_cast<Group*>(next);
  }
  if (in) return in->find(path) ? in->replace(path, std::move(part)) : in->add(path, std::move(part));
  return find(path) ? replace(path, std::move(part)) : add(path, std::move(part));
}

void HiddenHeadModel::set_pool(std::string_view type) {
  std::unique_ptr<GlobalPool> pool = one_width_pool(type, true);
  if (pool->identity() ? options_.always_pools : !options_.only_pool.empty() && type != options_.only_pool)
    throw Error(Error::Kind::argument, str_cat("the head has no pooling '", type, "'"));
  pool_ = Ref<GlobalPool>(pool.get());
  put(names_.global_pool, std::move(pool));
}

void HiddenHeadModel::add_head(int features, const HiddenHeadNames& names, const HiddenHeadOptions& o) {
  names_ = names;
  options_ = o;
  num_features_ = features;
  head_hidden_size_ = o.widths[1];
  classifier_name_ = names.classifier;
  const NamedConvOptions in_conv{.kernel = 1, .act = o.act};
  in_conv_ = put(names.in_conv, std::make_unique<NamedConv>(features, o.widths[0], in_conv));
  set_pool(wanted_pool("avg"));
  linear_ = put(names.linear, std::make_unique<Linear>(o.widths[0], o.widths[1], false));
  norm_ = put(names.norm, std::make_unique<LayerNorm>(o.widths[1], o.norm_eps));
  act_ = put(names.act, std::make_unique<Activation>(o.act));
  if (drop_rate_ > 0) drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
  classifier_ = put(names.classifier, classifier_layer(head_hidden_size_, num_classes_));
}

Tensor HiddenHeadModel::forward_head(const Tensor& features, bool pre_logits) {
  const bool map = pool_->identity();
  const Tensor pooled = pool_(in_conv_(features));
  Tensor y = act_(norm_(linear_(map ? permute(pooled, {0, 2, 3, 1}) : pooled)));
  if (!pre_logits || options_.drop_pre_logits) y = drop_(y);
  if (!pre_logits) y = classifier_(y);
  return map ? permute(y, {0, 3, 1, 2}) : y;
}

void HiddenHeadModel::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (num_classes < 0)
    throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
  if (global_pool) set_pool(*global_pool);
  num_classes_ = num_classes;
  classifier_ = put(names_.classifier, classifier_layer(head_hidden_size_, num_classes));
}

void HiddenHeadModel::drop_head() {
  for (Module* part : {in_conv_.get(), linear_.get(), norm_.get(), act_.get()}) part->vacate();
  head_hidden_size_ = num_features_;
  reset_classifier(0);
}

}  // namespace fovea::zoo
