// SPDX-License-Identifier: Apache-2.0
// zoo/registry.cpp — the families that were built in, as one list of names.
#include "zoo/registry.h"

#include <algorithm>
#include <unordered_map>

#include "zoo/licenses.h"
#include "zoo/zoo.h"

namespace fovea::zoo {

#include "zoo/families/families.inc"

namespace {

using Table = std::unordered_map<std::string_view, Entry>;

const Table& table() {
  static const Table all = [] {
    Table t;
    for (const Family* f : kFamilies)
      for (size_t i = 0; i < f->count; ++i) t.emplace(f->name(i), Entry{f, i});
    return t;
  }();
  return all;
}

}  // namespace

const Entry* find_entry(std::string_view architecture) {
  const auto it = table().find(architecture);
  return it == table().end() ? nullptr : &it->second;
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const auto& [name, entry] : table()) names.emplace_back(name);
  std::ranges::sort(names, natural_less);
  return names;
}

bool is_wanted(const ListOptions& o, std::string_view name) {
  const auto any_match = [&](const std::vector<std::string>& patterns) {
    return std::ranges::any_of(patterns, [&](const std::string& p) {
      // one without a tag stands for all tags of what it matches
      return glob_match(p, name) || (o.tags && split_name(p).tag.empty() && glob_match(p + ".*", name));
    });
  };
  return (o.patterns.empty() || any_match(o.patterns)) && !any_match(o.exclude);
}

std::vector<std::string> list(const ListOptions& o) {
  std::vector<std::string> found;
  const auto consider = [&](std::string name) {
    if (is_wanted(o, name)) found.push_back(std::move(name));
  };
  for (const std::string& name : all_names()) {
    if (!o.module.empty() && o.module != find_entry(name)->family->module) continue;
    const std::span<const PretrainedCfg> tags = tags_of(name);
    const auto fits = [&](const PretrainedCfg& row) {
      return (!o.pretrained || row.has_weights()) && is_licensed(row, o.licenses);
    };
    if (!o.tags) {
      if (tags.empty() ? !o.pretrained && o.licenses.empty() : fits(tags[0])) consider(name);
      continue;
    }
    for (const PretrainedCfg& cfg : tags)
      if (fits(cfg)) consider(cfg.name());
  }
  std::ranges::stable_sort(found, natural_less);
  return found;
}

std::vector<std::string> modules() {
  std::vector<std::string> names;
  for (const Family* f : kFamilies) names.emplace_back(f->module);
  std::ranges::sort(names);
  return names;
}

bool is_model(std::string_view name) { return find_entry(split_name(name).architecture) != nullptr; }

std::string_view module_of(std::string_view name) {
  const Entry* e = find_entry(split_name(name).architecture);
  return e ? e->family->module : std::string_view();
}

std::vector<std::pair<std::string, std::string>> settings(std::string_view name) {
  const Entry& e = known_entry(split_name(name).architecture);
  return e.family->settings(e.index);
}

const Entry& known_entry(std::string_view architecture) {
  if (const Entry* e = find_entry(architecture)) return *e;
  const std::string what = cat("no model '", architecture, "'");
  if (const std::span<const PretrainedCfg> tags = tags_of(architecture); !tags.empty())
    throw Error(Error::Kind::not_found, cat("timm's model '", architecture, "' is not in this build of fovea"),
                cat("its family ", tags[0].module, " is missing; there are: ", join(modules(), ", ")));
  if (const std::vector<std::string> near = closest(architecture, all_names()); !near.empty())
    throw Error(Error::Kind::not_found, what, "closest: " + join(near, ", "));
  std::vector<std::string> others;
  for (const PretrainedCfg& row : catalogue())
    if (others.empty() || others.back() != row.architecture) others.emplace_back(row.architecture);
  const std::vector<std::string> near = closest(architecture, others);
  throw Error(Error::Kind::not_found, what,
              near.empty() ? "fovea models lists all of them"
                           : cat("closest, but not in this build: ", join(near, ", ")));
}

}  // namespace fovea::zoo
