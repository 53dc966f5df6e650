// SPDX-License-Identifier: Apache-2.0
// zoo/missing.cpp — models that timm has and this build does not, and why a search finds nothing.
#include <algorithm>

#include "engine/core/text.h"
#include "zoo/licenses.h"
#include "zoo/registry.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

bool stands_for(const std::string& pattern, const std::string& name) {
  return glob_match(pattern, name) || glob_match(pattern, split_name(name).architecture);
}

std::string families_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 6;
  std::vector<std::string> families;
  for (const std::string& name : names) families.emplace_back(tags_of(split_name(name).architecture)[0].module);
  std::ranges::sort(families);
  families.erase(std::unique(families.begin(), families.end()), families.end());
  const bool more = families.size() > kShown;
  if (more) families.resize(kShown);
  return cat(families.size() == 1 ? "family " : "families ", join(families, ", "), more ? ", ..." : "");
}

std::string why_none(const ListOptions& o, const std::string& called) {
  if (const std::vector<std::string> rest = list_missing(o); !rest.empty())
    return cat("timm has ", rest.size(), rest.size() == 1 ? " model" : " models", called, ", but this build lacks ",
               families_of(rest), "; fovea models --all lists what timm has");
  if (o.patterns.empty() || !list({.patterns = o.patterns, .tags = o.tags}).empty())
    return cat("the other options leave out all models", called);
  const std::string& pattern = o.patterns[0];
  if (const std::string_view now = replacement_for(pattern); !now.empty()) return cat(pattern, " is now called ", now);
  const std::vector<std::string> near = closest(pattern, list());
  return cat("there is no model", called, near.empty() ? "" : "; closest: " + join(near, ", "));
}

}  // namespace

std::vector<std::string> list_missing(const ListOptions& o) {
  std::vector<std::string> out;
  for (const PretrainedCfg& row : catalogue()) {
    const std::string architecture(row.architecture);
    if (is_model(architecture) || (!o.module.empty() && row.module != o.module) || (!o.tags && !row.is_default) ||
        (o.pretrained && !row.has_weights()) || !is_licensed(row, o.licenses))
      continue;
    std::string name = o.tags ? row.name() : architecture;
    if (is_wanted(o, name)) out.push_back(std::move(name));
  }
  return out;
}

std::vector<std::string> found_nothing(const ListOptions& o, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& pattern : o.patterns) {
    if (std::ranges::any_of(names, [&](const std::string& name) { return stands_for(pattern, name); })) continue;
    ListOptions alone = o;
    alone.patterns = {pattern};
    out.push_back(why_none(alone, cat(" '", pattern, "'")));
  }
  if (o.patterns.empty() && names.empty())
    out.push_back(why_none(o, o.module.empty() ? "" : cat(" of module ", o.module)));
  return out;
}

}  // namespace fovea::zoo
