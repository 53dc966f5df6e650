// SPDX-License-Identifier: Apache-2.0
#include "engine/core/text.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace fovea {
namespace text {
namespace {
template <class T>
void append_number(std::string& s, T v) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  s.append(buffer, end);
}
}  // namespace
void append(std::string& s, double v) { append_number(s, v); }
void append(std::string& s, float v) { append_number(s, v); }
void append_integer(std::string& s, int64_t v) { append_number(s, v); }
void append_integer(std::string& s, uint64_t v) { append_number(s, v); }
}  // namespace text

std::string join(std::span<const std::string> parts, std::string_view between) {
  std::string s;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i) s += between;
    s += parts[i];
  }
  return s;
}

namespace {
size_t edit_distance(std::string_view a, std::string_view b, size_t limit) {
  if (a.size() > b.size() + limit || b.size() > a.size() + limit) return limit + 1;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    size_t best = row[0];
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      const bool equal =
          std::tolower(static_cast<unsigned char>(a[i - 1])) == std::tolower(static_cast<unsigned char>(b[j - 1]));
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (equal ? 0u : 1u)});
      diagonal = above;
      best = std::min(best, row[j]);
    }
    if (best > limit) return limit + 1;
  }
  return row[b.size()];
}

size_t common_prefix(std::string_view a, std::string_view b) {
  size_t n = 0;
  while (n < std::min(a.size(), b.size()) &&
         std::tolower(static_cast<unsigned char>(a[n])) == std::tolower(static_cast<unsigned char>(b[n])))
    ++n;
  return n;
}
}  // namespace

std::vector<std::string> closest(std::string_view name, std::span<const std::string> candidates, int most) {
  const size_t limit = std::max<size_t>(2, name.size() / 3);
  struct Near {
    size_t distance, prefix;
    const std::string* name;
  };
  std::vector<Near> near;
  for (const std::string& c : candidates) {
    const size_t d = edit_distance(name, c, limit), prefix = common_prefix(name, c);
    if (d <= limit || (prefix >= 4 && 2 * prefix >= name.size())) near.push_back({d, prefix, &c});
  }
  std::stable_sort(near.begin(), near.end(), [](const Near& a, const Near& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.prefix > b.prefix;
  });
  std::vector<std::string> out;
  for (const Near& n : near) {
    if (static_cast<int>(out.size()) == most) break;
    out.push_back(*n.name);
  }
  return out;
}

bool glob_match(std::string_view p, std::string_view n) {
  size_t star = std::string_view::npos, mark = 0, i = 0, j = 0;
  auto matches_one = [&](size_t& at, char c) {                       // one pattern element at `at`; moves past it
    if (p[at] == '?') return ++at, true;
    if (p[at] == '[') {
      size_t k = at + 1;
      const bool negate = k < p.size() && (p[k] == '!' || p[k] == '^');
      if (negate) ++k;
      bool in = false;
      for (bool first = true; k < p.size() && (first || p[k] != ']'); first = false) {
        if (k + 2 < p.size() && p[k + 1] == '-' && p[k + 2] != ']') {
          in |= p[k] <= c && c <= p[k + 2];
          k += 3;
        } else {
          in |= p[k++] == c;
        }
      }
      if (k < p.size()) {
        if (in == negate) return false;
        return at = k + 1, true;
      }
    }
    if (p[at] != c) return false;
    return ++at, true;
  };
  while (j < n.size()) {
    if (i < p.size() && p[i] == '*') {
      star = i++;
      mark = j;
    } else if (size_t next = i; i < p.size() && matches_one(next, n[j])) {
      i = next;
      ++j;
    } else if (star != std::string_view::npos) {
      i = star + 1;
      j = ++mark;
    } else {
      return false;
    }
  }
  while (i < p.size() && p[i] == '*') ++i;
  return i == p.size();
}

bool natural_less(std::string_view a, std::string_view b) {
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      size_t ie = i, je = j;
      while (ie < a.size() && digit(a[ie])) ++ie;
      while (je < b.size() && digit(b[je])) ++je;
      std::string_view x = a.substr(i, ie - i), y = b.substr(j, je - j);
      while (x.size() > 1 && x[0] == '0') x.remove_prefix(1);
      while (y.size() > 1 && y[0] == '0') y.remove_prefix(1);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      i = ie;
      j = je;
    } else {
      if (digit(a[i]) != digit(b[j])) return digit(a[i]);            // a number comes before whatever else
      const int x = std::tolower(static_cast<unsigned char>(a[i++])),
                y = std::tolower(static_cast<unsigned char>(b[j++]));
      if (x != y) return x < y;
    }
  }
  return a.size() - i < b.size() - j;
}

}  // namespace fovea
