// SPDX-License-Identifier: Apache-2.0
// zoo/prune.cpp — ending a model at one of its levels: taps say where that is, the tree of modules what lies behind.
#include <algorithm>
#include <unordered_set>

#include "zoo/image_model.h"
#include "zoo/levels.h"

namespace fovea::zoo {
namespace {

std::vector<Param> slots_of(Module& m) {
  std::vector<Param> slots;
  m.visit([&](const std::string&, Module& each) {
    for (const Param& p : each.own_parameters()) slots.push_back(p);
  });
  return slots;
}

// Frees what `before` holds and the model no longer has: modules that are gone may live on.
void free_lost(const std::vector<Param>& before, Module& m) {
  std::unordered_set<const Parameter*> kept;
  for (const Param& p : slots_of(m)) kept.insert(&p.slot());
  for (const Param& p : before)
    if (!kept.contains(&p.slot())) p.set(meta_tensor(p->meta()));
}

void vacate_all(Module& m, const std::vector<std::string_view>& names) {
  for (const std::string_view name : names)
    if (Module* child = m.find(name)) child->vacate();
}

}  // namespace

// Children stand in the order in which they run. Of the model's own, those behind the last level belong to the head or
// are what the family says comes after its levels.
void ImageModel::vacate_behind(std::string_view level, std::string_view last_level) {
  const std::string_view last = last_level.substr(0, last_level.find('.'));
  const std::vector<std::string_view> beside = after_levels().beside;
  Module* at = this;
  while (at && !level.empty()) {
    const std::string_view part = level.substr(0, level.find('.'));
    level.remove_prefix(std::min(level.size(), part.size() + 1));
    const bool top = at == this;
    bool behind = false, levels_end = top && part == last;
    Module* next = nullptr;
    for (const auto& child : at->children()) {
      const bool passes_by = !top && std::ranges::find(beside, child->name()) != beside.end();
      if (passes_by || (behind && !levels_end)) child->vacate();
      levels_end = levels_end || (top && child->name() == last);
      if (child->name() == part) behind = true, next = child.get();
    }
    at = next;
  }
}

std::vector<int> ImageModel::prune(const PruneOptions& o) {
  const std::vector<FeatureInfo> levels = feature_info();
  const Levels w = wanted_levels(o.indices, o.last, static_cast<int>(levels.size()), full_name());
  const FeatureInfo& end = levels[static_cast<size_t>(w.sorted.back())];
  const AfterLevels after = after_levels();
  const bool shorter = end.module != levels.back().module;
  const bool other_width = (shorter && !after.one_width) || (!after.convs.empty() && (o.norm || o.head));
  const std::vector<Param> before = slots_of(*this);
  if (shorter || other_width) end_ = end.module;
  if (shorter) vacate_behind(end.module, levels.back().module);
  if (o.norm || other_width) vacate_all(*this, after.norms);
  if (other_width) {
    vacate_all(*this, after.convs);
    num_features_ = head_hidden_size_ = end.channels;
  }
  if (o.head || other_width) drop_head();
  free_lost(before, *this);
  for (std::vector<FeatureInfo>& info : feature_info_) info.clear();
  return w.order;
}

}  // namespace fovea::zoo
