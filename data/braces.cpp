// SPDX-License-Identifier: Apache-2.0
#include "data/braces.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

using Names = std::vector<std::string>;
constexpr size_t kMost = 1'000'000;

[[noreturn]] void too_many(std::string_view pattern) {
  throw Error(Error::Kind::argument, str_cat("'", pattern, "' names more than ", kMost, " files"));
}

std::optional<int64_t> integer(std::string_view s) {
  int64_t v = 0;
  const auto [end, failed] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (s.empty() || failed != std::errc() || end != s.data() + s.size()) return {};
  return v;
}

bool padded(std::string_view s) {
  if (s.starts_with('-')) s.remove_prefix(1);
  return s.size() > 1 && s[0] == '0';
}

std::string digits(int64_t v, size_t width) {
  std::string s = str_cat(v < 0 ? -v : v);
  const size_t sign = v < 0;
  if (s.size() + sign < width) s.insert(0, width - s.size() - sign, '0');
  return v < 0 ? "-" + s : s;
}

// "1..9", "a..e", "1..9..2"
std::optional<Names> sequence(std::string_view inside, std::string_view whole) {
  const size_t dots = inside.find("..");
  if (dots == inside.npos) return {};
  const std::string_view first = inside.substr(0, dots);
  std::string_view last = inside.substr(dots + 2);
  int64_t step = 1;
  if (const size_t more = last.find(".."); more != last.npos) {
    const auto given = integer(last.substr(more + 2));
    if (!given) return {};
    step = std::max<int64_t>(1, *given < 0 ? -*given : *given);
    last = last.substr(0, more);
  }
  const auto letter = [](std::string_view s) {
    return s.size() == 1 && ((s[0] >= 'a' && s[0] <= 'z') || (s[0] >= 'A' && s[0] <= 'Z'));
  };
  const bool letters = letter(first) && letter(last);
  const auto from = letters ? std::optional<int64_t>(first[0]) : integer(first),
             to = letters ? std::optional<int64_t>(last[0]) : integer(last);
  constexpr int64_t kLargest = int64_t{1} << 52;
  if (!from || !to || std::max(*from, *to) > kLargest || std::min(*from, *to) < -kLargest) return {};
  if (static_cast<size_t>((*to > *from ? *to - *from : *from - *to) / step) >= kMost) too_many(whole);
  const size_t width = padded(first) || padded(last) ? std::max(first.size(), last.size()) : 0;
  Names out;
  for (int64_t v = *from; *from <= *to ? v <= *to : v >= *to; v += *from <= *to ? step : -step)
    out.push_back(letters ? std::string(1, static_cast<char>(v)) : digits(v, width));
  return out;
}

// Where the brace that opens at `open` is closed, and the commas between.
struct Braces {
  size_t close = std::string_view::npos;
  std::vector<size_t> commas{};
};
Braces braces_at(std::string_view s, size_t open) {
  Braces out;
  int depth = 0;
  for (size_t i = open; i < s.size(); ++i) {
    if (s[i] == '{') ++depth;
    else if (s[i] == ',' && depth == 1) out.commas.push_back(i);
    else if (s[i] == '}' && --depth == 0) {
      out.close = i;
      break;
    }
  }
  return out;
}

constexpr int kDeepest = 100;

Names expanded(std::string_view s, std::string_view whole, int depth) {
  if (depth > kDeepest) throw Error(Error::Kind::argument, str_cat("'", whole, "' has too many braces"));
  const size_t open = s.find('{');
  if (open == s.npos) return {std::string(s)};
  const Braces found = braces_at(s, open);
  if (found.close == s.npos) return {std::string(s)};
  const std::string_view inside = s.substr(open + 1, found.close - open - 1);
  Names middle;
  if (!found.commas.empty()) {
    size_t from = open + 1;
    std::vector<size_t> ends = found.commas;
    ends.push_back(found.close);
    for (const size_t end : ends) {
      const Names part = expanded(s.substr(from, end - from), whole, depth + 1);
      middle.insert(middle.end(), part.begin(), part.end());
      from = end + 1;
    }
  } else if (auto counted = sequence(inside, whole)) {
    middle = std::move(*counted);
  } else {                                         // no list: the braces stay
    for (const std::string& part : expanded(inside, whole, depth + 1)) middle.push_back("{" + part + "}");
  }
  const Names rest = expanded(s.substr(found.close + 1), whole, depth + 1);
  if (middle.size() * rest.size() > kMost) too_many(whole);
  Names out;
  for (const std::string& m : middle)
    for (const std::string& r : rest) out.push_back(str_cat(s.substr(0, open), m, r));
  return out;
}

}  // namespace

std::vector<std::string> expand_braces(std::string_view pattern) {
  Names out;
  for (std::string_view rest = pattern; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find("::"));
    const Names names = expanded(one, pattern, 0);
    out.insert(out.end(), names.begin(), names.end());
    rest.remove_prefix(std::min(rest.size(), one.size() + 2));
  }
  return out;
}

}  // namespace fovea::data
