// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/safe_name.h"

#include <algorithm>
#include <string>

#include "weights_tools/bytes.h"

namespace fovea {
namespace {
// CON, PRN, AUX, NUL, COM1 to COM9 and LPT1 to LPT9, in any case and with any extension.
bool is_device(std::string_view part) {
  std::string stem(part.substr(0, part.find('.')));
  std::transform(stem.begin(), stem.end(), stem.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
  for (const std::string_view name : {"CON", "PRN", "AUX", "NUL"})
    if (stem == name) return true;
  return stem.size() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT")) && stem[3] >= '1' && stem[3] <= '9';
}

bool is_safe_part(std::string_view part) {
  if (part.empty() || part.ends_with('.') || part.ends_with(' ')) return false;  // "." and ".." end so, too
  return !is_device(part);
}
}  // namespace

bool is_safe_name(std::string_view name) {
  constexpr size_t kMost = 1024;
  if (name.size() > kMost || !is_utf8(name)) return false;
  for (const char c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\' || c == ':') return false;
  for (size_t at = 0;;) {
    const size_t slash = name.find('/', at);
    if (!is_safe_part(name.substr(at, slash - at))) return false;
    if (slash == name.npos) return true;
    at = slash + 1;
  }
}

}  // namespace fovea
