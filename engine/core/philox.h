// SPDX-License-Identifier: Apache-2.0
// engine/core/philox.h — random numbers as a function of (key, counter, step): the same on every device.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace fovea {

/// Four words from Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The step is
/// the upper half of its counter.
constexpr std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter, uint64_t step = 0) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  std::array<uint32_t, 4> c{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
                            static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

/// Elements 4 counter ... 4 counter + 3 of a uniform tensor in [0, 1): the upper 24 bits of a word times 2^-24, exact
/// in f32. f64 gets the same numbers.
inline std::array<float, 4> uniform4(uint64_t key, uint64_t counter, uint64_t step = 0) {
  const std::array<uint32_t, 4> words = philox(key, counter, step);
  std::array<float, 4> u{};
  for (size_t i = 0; i < 4; ++i) u[i] = static_cast<float>(words[i] >> 8) * 0x1p-24f;
  return u;
}

/// The same of a normal tensor (mean 0, standard deviation 1): Box-Muller on words (0, 1) and (2, 3), each
/// (word + 1/2) 2^-32, so never 0 and at most 6.7 deviations away; in double, for the caller to round.
inline std::array<double, 4> normal4(uint64_t key, uint64_t counter, uint64_t step = 0) {
  const std::array<uint32_t, 4> words = philox(key, counter, step);
  std::array<double, 4> z{};
  for (size_t i = 0; i < 4; i += 2) {
    const double radius = std::sqrt(-2 * std::log((words[i] + 0.5) * 0x1p-32));
    const double angle = 2 * std::numbers::pi * ((words[i + 1] + 0.5) * 0x1p-32);
    z[i] = radius * std::cos(angle);
    z[i + 1] = radius * std::sin(angle);
  }
  return z;
}

}  // namespace fovea
