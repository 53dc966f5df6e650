// SPDX-License-Identifier: Apache-2.0
// zoo/registry.cpp — the families that were built in, as one list of names.
#include "zoo/registry.h"

#include <algorithm>
#include <unordered_map>

#include "zoo/zoo.h"

namespace fovea::zoo {

#include "zoo/families/families.inc"

namespace {

using Table = std::unordered_map<std::string_view, Entry>;

std::vector<const Family*>& families() {
  static std::vector<const Family*> all(std::begin(kFamilies), std::end(kFamilies));
  return all;
}

void add_names(Table& t, const Family& f) {
  for (size_t i = 0; i < f.count; ++i) t.emplace(f.name(i), Entry{&f, i});
}

Table& table() {
  static Table all = [] {
    Table t;
    for (const Family* f : families()) add_names(t, *f);
    return t;
  }();
  return all;
}

bool any_match(const std::vector<std::string>& patterns, std::string_view name, bool tags) {
  return std::ranges::any_of(patterns, [&](const std::string& p) {
    if (glob_match(p, name)) return true;
    return tags && p.find('.') == std::string::npos && glob_match(p + ".*", name);
  });
}

}  // namespace

const Entry* find_entry(std::string_view architecture) {
  const auto it = table().find(architecture);
  return it == table().end() ? nullptr : &it->second;
}

void add_family(const Family& family) {
  for (size_t i = 0; i < family.count; ++i)
    if (find_entry(family.name(i)))
      throw Error(Error::Kind::argument, cat("there is a model '", family.name(i), "' already"),
                  "a family of one's own has names of its own");
  families().push_back(&family);
  add_names(table(), family);
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const auto& [name, entry] : table()) names.emplace_back(name);
  std::ranges::sort(names, natural_less);
  return names;
}

std::vector<std::string> list(const ListOptions& o) {
  std::vector<std::string> found;
  const auto consider = [&](std::string name) {
    if (!o.patterns.empty() && !any_match(o.patterns, name, o.tags)) return;
    if (!any_match(o.exclude, name, o.tags)) found.push_back(std::move(name));
  };
  for (const std::string& name : all_names()) {
    if (!o.module.empty() && o.module != find_entry(name)->family->module) continue;
    const std::span<const PretrainedCfg> tags = tags_of(name);
    const bool has_weights = std::ranges::any_of(tags, &PretrainedCfg::has_weights);
    if (!o.tags) {
      if (!o.pretrained || has_weights) consider(name);
      continue;
    }
    for (const PretrainedCfg& cfg : tags)
      if (!o.pretrained || cfg.has_weights()) consider(cfg.name());
  }
  std::ranges::stable_sort(found, natural_less);
  return found;
}

std::vector<std::string> modules() {
  std::vector<std::string> names;
  for (const Family* f : families()) names.emplace_back(f->module);
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
