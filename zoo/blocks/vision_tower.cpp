// SPDX-License-Identifier: Apache-2.0
#include "zoo/blocks/vision_tower.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/checkpoint.h"
#include "nn/layers/norm.h"

namespace fovea::zoo {

VisionTower::VisionTower(const ModelOptions& o, const TowerOptions& tower)
    : ImageModel(o),
      options_(tower),
      pool_(wanted_pool(tower.encoder_only ? tower.merging : "avg")) {
  default_levels_ = 3;
  check_pool(pool_);
  if (!tower.encoder_pool.empty() && tower.encoder_pool != tower.merging)
    throw Error(Error::Kind::argument, str_cat("no pooling '", tower.encoder_pool, "' of the encoder"),
                str_cat("there is ", tower.merging));
  merges_ = (alone() ? std::string_view(pool_) : tower.encoder_pool) == tower.merging;
  if (alone()) num_classes_ = 0;
  else encoder_ = add("encoder", Encoder());
}

void VisionTower::place_blocks(std::vector<std::unique_ptr<VitBlock>> blocks) {
  Sequential all;
  for (std::unique_ptr<VitBlock>& block : blocks) blocks_.push_back(all.add(std::move(block)).get());
  place("blocks", std::move(all));
}

void VisionTower::add_ends(Maybe<Module> norm) {
  block_norm_ = norm;
  measure_width();
  if (alone()) return;
  if (options_.final_norm) norm_ = add("norm", head_norm());
  head_drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
  head_ = add("head", classifier_layer(width(), num_classes_));
  classifier_name_ = "head";
}

void VisionTower::measure_width() {
  head_hidden_size_ = width();
  num_features_ = alone() ? options_.embed_dim : width();
}

std::unique_ptr<Module> VisionTower::head_norm() const {
  if (options_.rms) return std::make_unique<RmsNorm>(width(), options_.norm_eps, false);
  return std::make_unique<LayerNorm>(width(), options_.norm_eps, false);
}

// timm counts the levels of encoders whose tokens are flat from the encoder.
std::string VisionTower::level_name(size_t block) const {
  const std::string name = str_cat("blocks.", block);
  return options_.flat ? name : within(name);
}

void VisionTower::check_pool(std::string_view pool) const {
  const bool none = pool.empty() || (options_.flat && pool == "none");
  if (!none && pool != "avg" && (pool != options_.merging || !alone()))
    throw Error(Error::Kind::argument, str_cat("no pooling '", pool, "' of this model's tokens"),
                str_cat("there is avg", alone() ? str_cat(", ", options_.merging) : "", ", and \"\" for none"));
}

// ---- running ----------------------------------------------------------------------------------------------------

Tensor VisionTower::through(Tensor x, const AttentionContext& c) {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    {
      const Scope encoder(alone() ? "" : "encoder"), list("blocks");
      VitBlock& block = *blocks_[i];
      const auto call = [&block, c](std::span<const Tensor> in) -> Tensors { return {block(in[0], c)}; };
      x = recomputes() ? checkpointed(block, call, std::span(&x, 1))[0] : block(x, c);
    }
    if (tap(level_name(i), x)) break;
  }
  const Scope encoder(alone() ? "" : "encoder");
  return block_norm_(x);
}

Tensor VisionTower::map_of(const Tensor& image) {
  Tokens t = [&] {
    const Scope encoder(alone() ? "" : "encoder");
    return enter(image);
  }();
  return unflatten(through(t.x, t.context), 1, {t.grid.h, t.grid.w});
}

Tensor VisionTower::forward(const Tensor& image) {
  return alone() && merges_ ? merged(map_of(image), false) : forward_head(forward_features(image));
}

Tensor VisionTower::forward_features(const Tensor& image) {
  const Tensor map = map_of(image);
  if (merges_ && !alone()) return merged(map, false);
  return options_.flat ? flatten(map, 1, 2) : map;
}

Tensor VisionTower::forward_head(const Tensor& features, bool pre_logits) {
  if (alone() && merges_) {
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(features.dim(1)))));
    if (features.rank() == 3 && side * side != features.dim(1))
      throw Error(Error::Kind::unsupported, str_cat(features.dim(1), " tokens are not those of a square image"),
                  "forward() merges tokens of any image");
    return merged(features.rank() == 3 ? unflatten(features, 1, {side, side}) : features, pre_logits);
  }
  const Tensor tokens = features.rank() == 4 && !(alone() && pool_ != "avg") ? flatten(features, 1, 2) : features;
  return classified(pool_ == "avg" ? mean(tokens, {1}) : tokens, pre_logits);
}

Tensor VisionTower::merged(const Tensor& map, bool hidden_only) {
  const Scope scope(alone() ? "" : "encoder");
  return (*merger_.get())(map, hidden_only);
}

Tensor VisionTower::classified(const Tensor& pooled, bool pre_logits) {
  if (alone()) return pooled;
  const Tensor x = head_drop_(norm_(pooled));
  return pre_logits ? x : head_(x);
}

// ---- changing ---------------------------------------------------------------------------------------------------

void VisionTower::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (num_classes < 0 || (alone() && num_classes > 0))
    throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes),
                alone() ? "the encoder by itself has no classifier" : "0 takes the classifier away");
  if (global_pool) {
    check_pool(*global_pool);
    if (alone() && *global_pool == options_.merging && !merges_)
      throw Error(Error::Kind::unsupported, "merging cannot be added to a finished model");
    pool_ = *global_pool;
  }
  num_classes_ = num_classes;
  if (!alone()) head_ = replace("head", classifier_layer(width(), num_classes));
}

std::vector<LayerGroup> VisionTower::group_matcher(bool) const {
  std::vector<LayerGroup> rows;
  for (std::string_view name : options_.stem) rows.push_back({.group = 0, .pattern = "^" + within(name)});
  rows.push_back({.group = 1, .pattern = "^" + within("blocks.#")});
  const auto last = [&](const std::string& name) {
    rows.push_back({.group = 1, .pattern = "^" + name, .joins_previous = true});
  };
  for (std::string_view name : options_.behind) last(within(name));
  if (!alone() && options_.head_joins)
    for (const char* name : {"norm", "head"}) last(name);
  return rows;
}

Tensor VisionTower::final_norm(const Tap& tapped) {
  const Scope encoder(alone() ? "" : "encoder");
  return block_norm_(tapped.value);
}

AfterLevels VisionTower::after_levels() const {
  AfterLevels after{.norms = {}, .convs = {}, .one_width = true};
  if (block_norm_) after.norms.push_back(alone() ? "norm" : "encoder.norm");
  return after;
}

void VisionTower::vacate_behind(std::string_view level, std::string_view) {
  bool behind = false;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (behind) blocks_[i]->vacate();
    behind = behind || level == level_name(i);
  }
}

void VisionTower::drop_head() {
  if (!options_.flat) {
    if (merger_) merger_->vacate();
    merges_ = false;
    if (norm_) norm_ = replace("norm", head_norm());
    measure_width();
  }
  if (!options_.flat || !alone()) reset_classifier(0, alone() ? std::optional<std::string_view>("") : std::nullopt);
}

}  // namespace fovea::zoo
