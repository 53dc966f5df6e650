// SPDX-License-Identifier: Apache-2.0
#include "data/chance.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "data/clones.h"
#include "engine/core/philox.h"

namespace fovea::data {

double Chance::uniform() {
  const std::array<uint32_t, 4> words = philox(key_, drawn_++);
  return static_cast<double>((uint64_t{words[0]} << 21) ^ (words[1] >> 11)) * 0x1p-53;
}

double Chance::normal() { return normal4(key_, drawn_++)[0]; }

int Chance::upto(int most) { return std::min(most, static_cast<int>(uniform() * (most + 1.0))); }

// Marsaglia and Tsang's, https://doi.org/10.1145/358407.358414; below 1 by the power of a uniform number.
double Chance::gamma(double shape) {
  if (shape < 1) {
    const double u = 1 - uniform();
    return gamma(shape + 1) * std::pow(u, 1 / shape);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = normal(), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double Chance::beta(double a, double b) {
  const double x = gamma(a), y = gamma(b);
  return x + y > 0 ? x / (x + y) : 0.5;
}

namespace {

// sin(2 pi x) for x from -1/4 to 1/4.
inline float sine_of_turns(float x) {
  const float t = x * 6.28318531f, q = t * t;
  return t *
         (1 + q * (-1.0f / 6 + q * (1.0f / 120 + q * (-1.0f / 5040 + q * (1.0f / 362880 - q * (1.0f / 39916800))))));
}

// The natural logarithm of (word + 1/2) / 2^32.
inline float log_of_share(uint32_t word) {
  const float u = (static_cast<float>(word) + 0.5f) * 0x1p-32f;
  // the root of 1/2: m is from there to that of 2
  const uint32_t bits = std::bit_cast<uint32_t>(u) - 0x3F3504F3u;
  const int exponent = static_cast<int32_t>(bits) >> 23;
  const float m = std::bit_cast<float>((bits & 0x7FFFFFu) + 0x3F3504F3u), s = (m - 1) / (m + 1), q = s * s;
  return static_cast<float>(exponent) * 0.693147181f +
         2 * s * (1 + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9)))));
}

constexpr size_t kPairs = 64;

// Box and Muller's, of two words each.
FOVEA_CLONES void normal_pairs(const uint32_t* first, const uint32_t* second, float* out) {
  for (size_t i = 0; i < kPairs; ++i) {
    const float radius = std::sqrt(-2 * log_of_share(first[i]));
    const float turn = static_cast<float>(static_cast<int32_t>(second[i])) * 0x1p-32f, away = std::abs(turn);
    out[i] = radius * sine_of_turns(std::copysign(0.25f - std::abs(away - 0.25f), turn));
    out[i + kPairs] = radius * sine_of_turns(0.25f - away);
  }
}

}  // namespace

void Chance::normals(std::span<float> out) {
  std::array<uint32_t, kPairs> first{}, second{};
  std::array<float, 2 * kPairs> block;
  for (size_t at = 0; at < out.size(); at += block.size()) {
    const size_t wanted = std::min(block.size(), out.size() - at);
    for (size_t i = 0; i < kPairs; i += 2) {
      if (wanted < block.size() && i >= wanted) break;
      const std::array<uint32_t, 4> words = philox(key_, drawn_++);
      first[i] = words[0], second[i] = words[1], first[i + 1] = words[2], second[i + 1] = words[3];
    }
    normal_pairs(first.data(), second.data(), block.data());
    std::copy_n(block.begin(), wanted, out.begin() + static_cast<ptrdiff_t>(at));
  }
}

std::vector<double> Chance::shares(int count, double concentration) {
  std::vector<double> out;
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += out.emplace_back(gamma(concentration));
  const double inverse = 1 / sum;
  for (double& v : out) v *= inverse;
  return out;
}

std::vector<int> Chance::distinct(std::vector<double> weights, int count) {
  std::vector<int> found;
  while (static_cast<int>(found.size()) < count) {
    std::vector<double> drawn(static_cast<size_t>(count) - found.size());
    for (double& v : drawn) v = uniform();
    for (const int taken : found) weights[static_cast<size_t>(taken)] = 0;
    std::vector<double> below;
    double sum = 0;
    for (const double w : weights) below.push_back(sum += w);
    for (double& v : below) v /= sum;
    for (const double v : drawn) {
      const int at = static_cast<int>(std::upper_bound(below.begin(), below.end(), v) - below.begin());
      if (std::find(found.begin(), found.end(), at) == found.end()) found.push_back(at);
    }
  }
  return found;
}

}  // namespace fovea::data
