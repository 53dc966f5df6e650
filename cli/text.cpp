// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <cmath>
#include <cstdio>

#include "engine/core/text.h"
#include "weights_tools/bytes.h"

namespace fovea::cli {

std::string json_text(std::string_view bytes) {
  std::string s = "\"";
  for (const uint32_t code : code_points(bytes)) {
    const bool no_utf8 = code >= 0xDC80 && code <= 0xDCFF;
    if (code == '"' || code == '\\') {
      s += '\\';
      s += static_cast<char>(code);
    } else if (code < 0x20 || code == 0x7F || no_utf8) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(code));
      s += escaped;
    } else {
      append_utf8(s, code);
    }
  }
  return s + '"';
}

std::string json_number(float v) {
  if (!std::isfinite(v)) return "null";
  const std::string s = str_cat(v);
  return s.find_first_of(".e") == s.npos ? s + ".0" : s;
}

std::string csv_text(std::string_view bytes) {
  std::string s = "\"";
  for (const char c : bytes) s += c == '"' ? std::string("\"\"") : std::string(1, c);
  return s + '"';
}

std::string megabytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

}  // namespace fovea::cli
