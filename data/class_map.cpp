// SPDX-License-Identifier: Apache-2.0
#include "data/class_map.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

std::string stripped(std::string_view s) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const size_t from = s.find_first_not_of(kBlank);
  return from == s.npos ? "" : std::string(s.substr(from, s.find_last_not_of(kBlank) + 1 - from));
}

// "NAME NUMBER"; nothing where the line does not end so.
std::optional<std::pair<std::string, int64_t>> numbered(std::string_view line) {
  const size_t space = line.find_last_of(" \t");
  if (space == line.npos) return {};
  int64_t number = -1;
  const auto [end, failed] = std::from_chars(line.data() + space + 1, line.data() + line.size(), number);
  if (failed != std::errc() || end != line.data() + line.size() || number < 0) return {};
  return std::pair{stripped(line.substr(0, space)), number};
}

// Of lines that all say their number, where names and numbers are each other's and no number is left out.
std::optional<ClassMap> by_their_numbers(const std::vector<std::string>& lines) {
  std::set<std::string> names;
  std::set<int64_t> numbers;
  ClassMap out;
  for (const std::string& line : lines) {
    const auto entry = numbered(line);
    if (!entry || !names.insert(entry->first).second || !numbers.insert(entry->second).second) return {};
    out.add(entry->first, entry->second);
  }
  if (lines.empty() || *numbers.rbegin() != static_cast<int64_t>(lines.size()) - 1) return {};
  return out;
}

}  // namespace

bool natural_before(std::string_view a, std::string_view b) {
  if (natural_less(a, b)) return true;
  return !natural_less(b, a) && a < b;
}

ClassMap::ClassMap(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i)
    if (!names[i].empty()) add(names[i], static_cast<int64_t>(i));
}

ClassMap ClassMap::sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end(), natural_before);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  ClassMap out;
  for (const std::string& name : names) out.add(name, static_cast<int64_t>(out.numbers_.size()));
  return out;
}

void ClassMap::add(const std::string& name, int64_t number) {
  if (number < 0 || number > kMostClasses)
    throw Error(Error::Kind::format, str_cat("class '", name, "' has the number ", number),
                str_cat("numbers of classes are from 0 to ", kMostClasses));
  numbers_[name] = number;
}

std::optional<int64_t> ClassMap::find(std::string_view name) const {
  const auto found = numbers_.find(name);
  return found == numbers_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> ClassMap::names() const {
  std::vector<std::string> out;
  for (const auto& [name, number] : numbers_) {
    const auto at = static_cast<size_t>(number);
    if (out.size() <= at) out.resize(at + 1);
    if (out[at].empty()) out[at] = name;
  }
  return out;
}

ClassMap read_class_map(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::not_found, str_cat("cannot read the class map ", path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(stripped(line));
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.empty()) throw Error(Error::Kind::format, str_cat("the class map ", path, " is empty"));
  if (const auto map = by_their_numbers(lines)) return *map;
  ClassMap out;                                    // a blank line numbers the class "", images of no folder
  for (size_t i = 0; i < lines.size(); ++i) out.add(lines[i], static_cast<int64_t>(i));
  return out;
}

}  // namespace fovea::data
