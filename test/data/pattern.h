// SPDX-License-Identifier: Apache-2.0
// test/data/pattern.h — golden files, and their input images (test/golden/record/resize_transform.py's formula).
#pragma once
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "data/image.h"
#include "engine/core/error.h"
#include "test/support/catch.h"

namespace fovea::test {

inline data::Image pattern(uint64_t seed, int width, int height, int channels) {
  data::Image image = data::make_image(width, height, channels);
  uint64_t i = 0;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c, ++i) {
        uint64_t z = i + seed * 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        const int noise = static_cast<int>((z ^ z >> 31) >> 56);
        image.pixels[i] = static_cast<uint8_t>(seed % 2 ? x * 3 + y * 5 + c * 40 + (noise & 15) : noise);
      }
  return image;
}

inline std::string golden_path(const std::string& name) { return FOVEA_SOURCE_DIR "/test/golden/data/" + name; }

inline std::vector<std::string> golden_rows(const std::string& name) {
  std::ifstream file(golden_path(name));
  REQUIRE(file.is_open());
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line[0] != '#') rows.push_back(line);
  return rows;
}

inline std::vector<uint8_t> golden_bytes(const std::string& name) {
  std::ifstream file(golden_path(name), std::ios::binary);
  REQUIRE(file.is_open());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The message of the Error that `run` throws; empty when it throws none.
template <class Run>
std::string error_of(Run run) {
  try {
    run();
  } catch (const Error& e) { return e.what(); }
  return {};
}

inline std::string hex(uint64_t v) {
  std::ostringstream text;
  text << std::hex;
  text.width(16);
  text.fill('0');
  text << v;
  return text.str();
}

}  // namespace fovea::test
