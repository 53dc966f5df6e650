// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/isa/caches.h"

#include <cstdio>

namespace fovea::kernels::cpu {
namespace {

// The first line of a file of /sys/devices/system/cpu/cpu0/cache/index<i>; empty where there is none.
struct Line {
  char text[32] = {};
  Line(int index, const char* file) {
    char path[96];
    std::snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, file);
    if (std::FILE* f = std::fopen(path, "r")) {
      if (!std::fgets(text, sizeof text, f)) text[0] = 0;
      std::fclose(f);
    }
  }
};

// "32K", "2M"; 0 where it is none.
int64_t bytes_of(const char* text) {
  long long n = 0;
  char unit = 0;
  if (std::sscanf(text, "%lld%c", &n, &unit) < 1 || n <= 0 || n > 1 << 30) return 0;
  return unit == 'K' ? n << 10 : unit == 'M' ? n << 20 : n;
}

Caches read_caches() {
  Caches found;
  constexpr int kMost = 8;
  constexpr int64_t kLeast = 4 << 10, kLargest = 64 << 20;
  for (int i = 0; i < kMost; ++i) {
    const Line type(i, "type"), level(i, "level"), size(i, "size");
    const int64_t bytes = bytes_of(size.text);
    if (type.text[0] == 'I' || bytes < kLeast || bytes > kLargest) continue;   // of instructions, or none
    if (level.text[0] == '1') found.first = bytes;
    if (level.text[0] == '2') found.second = bytes;
  }
  return found;
}

}  // namespace

const Caches& caches() {
  static const Caches found = read_caches();
  return found;
}

}  // namespace fovea::kernels::cpu
