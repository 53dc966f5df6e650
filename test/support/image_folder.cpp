// SPDX-License-Identifier: Apache-2.0
#include "test/support/image_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "engine/core/text.h"
#include "test/support/fill.h"

namespace fovea::test {

std::string striped_bmp(int side, int label, uint64_t seed) {
  const int row = (3 * side + 3) / 4 * 4;
  std::string s = "BM";
  const auto number = [&](uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) s += static_cast<char>(v >> 8 * i & 0xFF);
  };
  number(static_cast<uint64_t>(54 + row * side), 4);
  number(0, 4);
  number(54, 4);
  number(40, 4);
  number(static_cast<uint64_t>(side), 4);
  number(static_cast<uint64_t>(side), 4);
  number(1, 2);
  number(24, 2);
  for (int i = 0; i < 6; ++i) number(0, 4);
  uint64_t n = 0;
  const double shift = static_cast<double>(hash_uniform(seed, n++));
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const double wave = std::sin((label % 2 ? x : y) * 0.9 + 3 * shift);
      for (int c = 0; c < 3; ++c) {
        const double bright = c == label % 3 ? 60 : 0, noise = 25 * static_cast<double>(hash_uniform(seed, n++));
        s += static_cast<char>(static_cast<uint8_t>(std::clamp(120 + 50 * wave + bright + noise, 0.0, 255.0)));
      }
    }
    s.append(static_cast<size_t>(row - 3 * side), '\0');
  }
  return s;
}

void write_image_folder(const std::string& folder, int classes, int each, int side, uint64_t seed) {
  for (int c = 0; c < classes; ++c) {
    const std::string path = cat(folder, "/class", c);
    std::filesystem::create_directories(path);
    for (int i = 0; i < each; ++i)
      std::ofstream(cat(path, "/", i, ".bmp"), std::ios::binary)
          << striped_bmp(side, c, fnv1a(cat(seed, '/', c, '/', i)));
  }
}

}  // namespace fovea::test
