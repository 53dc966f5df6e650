// SPDX-License-Identifier: Apache-2.0
#include "test/support/fill.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <thread>
#include <vector>

#include "engine/core/threads.h"

namespace fovea {
namespace {

struct Range {
  float offset, scale;
};

Range range_of(const std::string& name, const Shape& s, double gain) {
  const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
  if (s.size() >= 2 && s[0] == 1) return {0, 0.5f};
  const int64_t fan = s.empty() || s[0] == 0 ? 0 : numel(s) / s[0];
  if (s.size() >= 2 && fan > 1)
    return {0, static_cast<float>(std::sqrt(3 * (s.size() == 4 ? gain : 1) / static_cast<double>(fan)))};
  if (last.find("bias") != last.npos || last.find("mean") != last.npos) return {0, 0.1f};
  return {1, 0.25f};
}

Tensor filled(const Shape& s, uint64_t seed, Range r) {
  Tensor t = empty(s);
  const std::span<float> v = t.mutable_data<float>();
  const auto part = [=](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) v[i] = r.offset + r.scale * hash_uniform(seed, i);
  };
  // Element i depends on i alone. A thread costs about what ten thousand elements do.
  const size_t workers = std::clamp<size_t>(v.size() / 200'000, 1, static_cast<size_t>(threads()));
  std::vector<std::jthread> others;
  for (size_t k = 1; k < workers; ++k)
    others.emplace_back(part, v.size() * k / workers, v.size() * (k + 1) / workers);
  part(0, v.size() / workers);
  return t;                                        // the others end first
}

}  // namespace

uint64_t fnv1a(std::string_view text, uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return hash;
}

float hash_uniform(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return static_cast<float>(static_cast<uint32_t>(z >> 40)) * (1.0f / 8388608.0f) - 1.0f;
}

void fill_weights(Module& m, std::string_view salt, double gain) {
  const auto seed = [&](const std::string& name) { return fnv1a(name, fnv1a(salt)); };
  for (const NamedParameter& p : m.named_parameters()) {
    const Shape s = p.tensor().shape();
    p.tensor() = filled(s, seed(p.name), range_of(p.name, s, gain));
  }
  for (const NamedParameter& b : m.named_buffers()) {
    if (b.name.ends_with("running_mean")) b.tensor() = filled(b.tensor().shape(), seed(b.name), {0, 0.1f});
    else if (b.name.ends_with("running_var")) b.tensor() = filled(b.tensor().shape(), seed(b.name), {1, 0.25f});
  }
  m.materialise();
}

Tensor golden_input(const Shape& s, std::string_view salt) {
  const uint64_t seed = fnv1a("input", fnv1a(salt));
  Tensor t = empty(s);
  const std::span<float> v = t.mutable_data<float>();
  size_t i = 0;
  for (int64_t b = 0; b < s[0]; ++b)
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t h = 0; h < s[2]; ++h)
        for (int64_t w = 0; w < s[3]; ++w, ++i) {
          const double turns = static_cast<double>((c + 1) * h) / static_cast<double>(s[2]) +
                               static_cast<double>((b + 2) * w) / static_cast<double>(s[3]);
          v[i] = 0.5f * hash_uniform(seed, i) + static_cast<float>(std::sin(2 * std::numbers::pi * turns));
        }
  return t;
}

}  // namespace fovea
