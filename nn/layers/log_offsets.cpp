// SPDX-License-Identifier: Apache-2.0
// nn/layers/log_offsets.cpp — offsets line by line, rounded to f32 where timm's are.
#include "nn/layers/log_offsets.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/ops/ops.h"

namespace fovea {
namespace {

template <class F>
Tensor each_offset(Size2 window, F scaled) {
  std::vector<float> all;
  for (int i = 1 - window.h; i < window.h; ++i)
    for (int j = 1 - window.w; j < window.w; ++j) {
      all.push_back(scaled(static_cast<float>(i), true));
      all.push_back(scaled(static_cast<float>(j), false));
    }
  return from(std::span<const float>(all), Shape{static_cast<int64_t>(all.size() / 2), 2});
}

}  // namespace

Tensor log_offsets(Size2 window) {
  return each_offset(window, [](float offset, bool) { return std::copysign(std::log1p(std::abs(offset)), offset); });
}

Tensor scaled_log_offsets(Size2 window, Size2 full) {
  return each_offset(window, [&](float offset, bool down) {
    const float x = offset / static_cast<float>(std::max((down ? full.h : full.w) - 1, 1)) * 8;
    return std::copysign(std::log2(1 + std::abs(x)), x) / 3;
  });
}

}  // namespace fovea
