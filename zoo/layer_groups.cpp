// SPDX-License-Identifier: Apache-2.0
// zoo/layer_groups.cpp — names to layers by the rows of the model.
#include "zoo/layer_groups.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "weights_tools/rename.h"
#include "zoo/image_model.h"

namespace fovea::zoo {
namespace {

constexpr int kLast = std::numeric_limits<int>::max();  // behind all others

// The numbers that the pattern captured, or nothing where it is not in the name.
bool captured(std::string_view name, const std::string& pattern, std::vector<int>& numbers) {
  const auto count = std::ranges::count(pattern, '#');
  std::string with = "\x01";
  for (int i = 1; i <= count; ++i) with += str_cat('$', i, '\x01');
  const Rename row{pattern.c_str(), with.c_str()};
  const std::string marked = rename(name, std::span(&row, 1));
  size_t at = marked.find('\x01');
  if (at == std::string::npos) return false;
  for (int i = 0; i < count; ++i) {
    const char* from = marked.data() + at + 1;
    std::from_chars(from, marked.data() + marked.size(), numbers.emplace_back());
    at = marked.find('\x01', at + 1);
  }
  return true;
}

std::vector<int> key_of(std::string_view name, const std::vector<LayerGroup>& groups) {
  for (const LayerGroup& g : groups) {
    std::vector<int> key{g.group};
    if (!captured(name, g.pattern, key)) continue;
    if (g.number >= 0) key.push_back(g.number);
    if (g.joins_previous) key.push_back(kLast);
    return key;
  }
  return {kLast, 0};
}

}  // namespace

std::vector<std::pair<std::string, int>> layer_numbers(const ImageModel& model, bool coarse) {
  const std::vector<LayerGroup> groups = model.group_matcher(coarse);
  const std::vector<NamedParameter> parameters = model.named_parameters();
  std::map<std::vector<int>, int> numbers;
  for (const NamedParameter& p : parameters) numbers[key_of(p.name, groups)] = 0;
  int layer = -1;
  for (auto& [key, number] : numbers) number = layer < 0 || key.back() != kLast ? ++layer : layer;
  std::vector<std::pair<std::string, int>> out;
  for (const NamedParameter& p : parameters) out.emplace_back(p.name, numbers.at(key_of(p.name, groups)));
  return out;
}

}  // namespace fovea::zoo
