// SPDX-License-Identifier: Apache-2.0
// zoo/pretrained.cpp — the catalogue, embedded by the build, and look-ups in it.
#include "zoo/pretrained.h"

#include <algorithm>

#include "engine/core/text.h"

namespace fovea::zoo {
namespace {

#include "zoo/catalogue_rows.h"

}  // namespace

std::string PretrainedCfg::name() const {
  return tag.empty() ? std::string(architecture) : str_cat(architecture, '.', tag);
}

ModelName split_name(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {name, {}};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return parts;
}

std::span<const PretrainedCfg> catalogue() { return kCatalogue; }

std::span<const PretrainedCfg> tags_of(std::string_view architecture) {
  const auto [first, last] = std::ranges::equal_range(kCatalogue, architecture, {}, &PretrainedCfg::architecture);
  return {first, last};
}

const PretrainedCfg* find_pretrained(std::string_view name) {
  const ModelName n = split_name(name);
  const std::span<const PretrainedCfg> tags = tags_of(n.architecture);
  if (tags.empty()) return nullptr;
  if (n.tag.empty()) return &tags[0];
  for (const PretrainedCfg& cfg : tags)
    if (cfg.tag == n.tag) return &cfg;
  return nullptr;
}

std::span<const Deprecated> deprecated() { return kDeprecated; }

std::string_view replacement_for(std::string_view name) {
  const auto it = std::ranges::lower_bound(kDeprecated, name, {}, &Deprecated::name);
  return it != std::end(kDeprecated) && it->name == name ? it->replacement : std::string_view();
}

}  // namespace fovea::zoo
