// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/depthwise_pairs.cpp — how weights are packed that meet two columns at once.
#include "kernels/cpu/conv/depthwise_pairs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace fovea::kernels::cpu {
namespace {

int64_t taps_of(const ConvShape& s) { return (s.kernel[2] + 1) / 2; }
int64_t starts_of(const ConvShape& s) { return s.stride[2] == 1 ? 2 : 1; }

bool usual(const ConvShape& s) {
  const int64_t k = s.kernel[2];
  return (k == 3 || k == 5 || k == 7) && s.stride[2] <= 2 && s.dilation[2] == 1;
}

// bits(channel, y, x) of the element at a tap
template <class F>
void pack_bits(const ConvShape& s, const F& bits, Pair* to) {
  constexpr int64_t kHalf = kPairedChannels / 2;
  for (int64_t from = 0; from < s.channels; from += kPairedChannels) {
    const int64_t left = std::min(kPairedChannels, s.channels - from), halves = left > kHalf ? 2 : 1;
    const auto one = [&](int64_t c, int64_t y, int64_t x) -> Pair {
      const bool inside = c < left && x >= 0 && x < s.kernel[2];
      return inside ? bits(from + c, y, x) : uint16_t{0};
    };
    for (int64_t y = 0; y < s.kernel[1]; ++y)
      for (int64_t start = 0; start < starts_of(s); ++start)
        for (int64_t x = -start; x < s.kernel[2]; x += 2)
          for (int64_t half = 0; half < halves; ++half)
            for (int64_t i = 0; i < kHalf; ++i) {
              const int64_t c = halves == 1 ? i : i / 4 * 8 + half * 4 + i % 4;
              *to++ = one(c, y, x) | one(c, y, x + 1) << 16;
            }
  }
}

}  // namespace

bool DepthwisePairs::possible_bf16(const ConvShape& s) {
  return processor().bf16 && processor().bf16->depthwise && usual(s);
}
bool DepthwisePairs::possible_u8(const ConvShape& s) {
  // sums of more taps might not fit 32 bits
  return processor().u8->depthwise && usual(s) && s.taps() <= 256;
}
int64_t DepthwisePairs::channel_pairs(const ConvShape& s) { return s.kernel[1] * starts_of(s) * taps_of(s); }
int64_t DepthwisePairs::pairs(const ConvShape& s) {
  return (s.channels + kPairedChannels / 2 - 1) / (kPairedChannels / 2) * (kPairedChannels / 2) * channel_pairs(s);
}

void DepthwisePairs::pack(const ConvShape& s, const bfloat16* w, int64_t channel, int64_t down, int64_t across,
                          Pair* to) {
  pack_bits(s, [=](int64_t c, int64_t y, int64_t x) { return w[c * channel + y * down + x * across].bits; }, to);
}

void DepthwisePairs::pack(const ConvShape& s, const float* w, Pair* to) {
  constexpr float kMost = 32767;
  std::vector<float> largest(static_cast<size_t>(s.channels));
  for (int64_t c = 0; c < s.channels; ++c) {
    float& most = largest[static_cast<size_t>(c)];
    for (int64_t i = 0; i < s.taps(); ++i) most = std::max(most, std::fabs(w[c * s.taps() + i]));
    const float scale = most / kMost;
    std::memcpy(to + pairs(s) + c, &scale, sizeof scale);
  }
  pack_bits(s, [&](int64_t c, int64_t y, int64_t x) {
    const float most = largest[static_cast<size_t>(c)], v = w[c * s.taps() + y * s.kernel[2] + x];
    return static_cast<uint16_t>(most > 0 ? std::lrint(v / most * kMost) : 0);
  }, to);
}

}  // namespace fovea::kernels::cpu
