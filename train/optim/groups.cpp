// SPDX-License-Identifier: Apache-2.0
#include "train/optim/groups.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::train {
namespace {

bool matches_one(std::string_view name, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns, [&](const std::string& p) { return glob_match(p, name); });
}

struct Grouping {
  explicit Grouping(const GroupOptions& options) : o(options), fallback(options.fallback) {
    if (o.fallback_no_weight_decay) fallback.insert(fallback.end(), o.no_weight_decay.begin(), o.no_weight_decay.end());
  }
  // By layer, only the rank spares a bias; timm's two ways of grouping differ in this.
  bool spared(const SharedParameter& p) const {
    const bool flat = p.tensor().rank() <= 1 || (!o.layer_decay && p.name.ends_with(".bias"));
    return (o.exclude_1d && flat) || matches_one(p.name, o.no_weight_decay);
  }
  const GroupOptions& o;
  std::vector<std::string> fallback;
};

std::vector<ParameterGroup> by_decay(std::vector<SharedParameter> all, const GroupOptions& o) {
  const Grouping rules(o);
  std::vector<ParameterGroup> groups{{.name = "no_decay", .parameters = {}},
                                     {.name = "decay", .parameters = {}, .weight_decay = o.weight_decay},
                                     {.name = "no_decay_fallback", .parameters = {}, .fallback = true},
                                     {.name = "decay_fallback",
                                      .parameters = {},
                                      .weight_decay = o.weight_decay,
                                      .fallback = true}};
  for (SharedParameter& p : all) {
    const bool decays = o.weight_decay != 0 && !rules.spared(p), fallback = matches_one(p.name, rules.fallback);
    groups[static_cast<size_t>(decays + 2 * fallback)].parameters.push_back(std::move(p));
  }
  std::erase_if(groups, [](const ParameterGroup& g) { return g.parameters.empty(); });
  return groups;
}

std::vector<ParameterGroup> by_layer(std::vector<SharedParameter> all, const GroupOptions& o) {
  const Grouping rules(o);
  const std::map<std::string, int> numbers(o.layers.begin(), o.layers.end());
  int last = 0;
  for (const auto& [name, number] : numbers) last = std::max(last, number);
  std::vector<ParameterGroup> groups;
  for (SharedParameter& p : all) {
    const auto found = numbers.find(p.name);
    const int layer = found == numbers.end() ? last : found->second;
    const double scale = std::max(o.layer_decay_min_scale, std::pow(*o.layer_decay, last - layer));
    if (o.layer_decay_no_opt_scale > 0 && scale < o.layer_decay_no_opt_scale) {
      p.tensor().set_requires_grad(false);
      continue;
    }
    const bool decays = !rules.spared(p), fallback = matches_one(p.name, rules.fallback);
    const std::string name = cat("layer_", layer, decays ? "_decay" : "_no_decay", fallback ? "_fallback" : "");
    auto group = std::ranges::find(groups, name, &ParameterGroup::name);
    if (group == groups.end()) {
      groups.push_back({name, {}, decays ? o.weight_decay : 0, scale, fallback});
      group = groups.end() - 1;
    }
    group->parameters.push_back(std::move(p));
  }
  return groups;
}

}  // namespace

std::vector<SharedParameter> trainable(Module& m) {
  std::map<const Parameter*, std::shared_ptr<Parameter>> owners;
  m.visit([&](const std::string&, Module& each) {
    for (const Param& p : each.own_parameters()) owners.emplace(&p.slot(), p.shared());
  });
  std::vector<SharedParameter> out;
  for (const NamedParameter& p : m.named_parameters())
    if (p.tensor().requires_grad()) out.push_back({p.name, owners.at(p.parameter)});
  return out;
}

std::vector<ParameterGroup> parameter_groups(Module& m, const GroupOptions& o) {
  return o.layer_decay ? by_layer(trainable(m), o) : by_decay(trainable(m), o);
}

std::vector<std::pair<std::string, int>> automatic_layers(const Module& m, std::string_view classifier,
                                                          int names_a_layer) {
  std::vector<std::pair<std::string, int>> out;
  int trunk = 0;
  const auto in_head = [&](const std::string& name) { return classifier.empty() || name.starts_with(classifier); };
  for (const NamedParameter& p : m.named_parameters())
    out.emplace_back(p.name, in_head(p.name) ? -1 : trunk++ / names_a_layer);
  const int last = (trunk + names_a_layer - 1) / names_a_layer;
  for (auto& [name, layer] : out)
    if (layer < 0) layer = last;
  return out;
}

}  // namespace fovea::train
