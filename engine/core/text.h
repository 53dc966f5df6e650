// SPDX-License-Identifier: Apache-2.0
// engine/core/text.h — putting messages together: str_cat("conv2d: x has ", c, " channels").
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace fovea {

namespace text {
inline void append(std::string& s, std::string_view v) { s += v; }
inline void append(std::string& s, const char* v) { s += v; }
inline void append(std::string& s, const std::string& v) { s += v; }
inline void append(std::string& s, char v) { s += v; }
inline void append(std::string& s, bool v) { s += v ? "true" : "false"; }
void append(std::string& s, double v);             // shortest text that reads back as the same value
void append(std::string& s, float v);
void append_integer(std::string& s, int64_t v);
void append_integer(std::string& s, uint64_t v);
template <class T>
  requires(std::is_integral_v<T>)
void append(std::string& s, T v) {
  if constexpr (std::is_signed_v<T>) append_integer(s, static_cast<int64_t>(v));
  else append_integer(s, static_cast<uint64_t>(v));
}
template <class T>
  requires requires(const T& v) { to_string(v); }
void append(std::string& s, const T& v) { s += to_string(v); }
}  // namespace text

/// Joins values of any printable type into one string.
template <class... T>
std::string str_cat(const T&... values) {
  std::string s;
  (text::append(s, values), ...);
  return s;
}

std::string join(std::span<const std::string> parts, std::string_view between);
/// The `most` candidates nearest to `name` by edit distance, nearest first, else by a long common beginning; empty when
/// nothing is near.
std::vector<std::string> closest(std::string_view name, std::span<const std::string> candidates, int most = 3);
/// Shell-style match of a whole name: '*', '?' and '[abc]'.
bool glob_match(std::string_view pattern, std::string_view name);
/// Order in which digits count as numbers and case does not matter: resnet18 before resnet101.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace fovea
