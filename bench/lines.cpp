// SPDX-License-Identifier: Apache-2.0
#include "bench/lines.h"

#include <cstdarg>
#include <cstdio>

namespace fovea::bench {

std::string format(const char* pattern, ...) {
  char line[512];
  va_list values;
  va_start(values, pattern);
  std::vsnprintf(line, sizeof line, pattern, values);
  va_end(values);
  return line;
}

}  // namespace fovea::bench
