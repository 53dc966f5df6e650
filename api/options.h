// SPDX-License-Identifier: Apache-2.0
// api/options.h — structs that begin with struct_size: of callers that know fewer fields than this library, or more.
#pragma once
#include <algorithm>
#include <cstring>

#include "engine/core/error.h"

namespace fovea::capi {

template <class T>
size_t checked_size(const T& s) {
  constexpr size_t kMost = size_t{1} << 16;
  if (s.struct_size < sizeof(size_t) || s.struct_size > kMost)
    throw Error(Error::Kind::argument, cat("struct_size is ", s.struct_size), "FOVEA_INIT() sets it");
  return s.struct_size;
}

/// What the caller said; what it does not know of is zero. Throws Error(unsupported) where it says something that this
/// library does not know. Null: nothing was said.
template <class T>
T read_options(const T* given) {
  T out{};
  if (!given) return out;
  const size_t size = checked_size(*given);
  std::memcpy(&out, given, std::min(size, sizeof(T)));
  const char* const bytes = reinterpret_cast<const char*>(given);
  for (size_t i = sizeof(T); i < size; ++i)
    if (bytes[i] != 0) throw Error(Error::Kind::unsupported, "options that only a newer fovea knows");
  return out;
}

/// As much of `from` as the caller has room for.
template <class T>
void fill_in(T& to, const T& from) {
  const size_t size = std::min(checked_size(to), sizeof(T));
  std::memcpy(reinterpret_cast<char*>(&to) + sizeof(size_t), reinterpret_cast<const char*>(&from) + sizeof(size_t),
              size - sizeof(size_t));
}

inline std::string text_or_empty(const char* s) { return s ? s : ""; }

}  // namespace fovea::capi
