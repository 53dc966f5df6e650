// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/random.h — four elements a thread of a random tensor, with the bits that the host draws.
#pragma once
#include "engine/core/philox.h"
#include "engine/ops/attrs.h"
#include "kernels/cuda/device/elements.h"

namespace fovea::cuda {

struct RandomParams {
  Elements y;                                      // dense
  const uint64_t* step;                            // null: 0
  uint64_t key;
  int64_t count;
  Random kind;
  float p;
};

template <class Thread>
FOVEA_DEVICE void random(const Thread& t, const RandomParams& p) {
  const uint64_t step = p.step ? *p.step : 0;
  share(t, (p.count + 3) / 4, [&](int64_t i) {
    const auto words = philox(p.key, static_cast<uint64_t>(i), step);
    for (int k = 0; k < 4 && 4 * i + k < p.count; ++k) {
      double v;
      if (p.kind == Random::normal) {              // Box-Muller on two words, in double, as normal4() does
        const double radius = std::sqrt(-2 * std::log((words[k & ~1] + 0.5) * 0x1p-32));
        const double angle = 2 * 3.14159265358979323846 * ((words[k | 1] + 0.5) * 0x1p-32);
        v = radius * (k & 1 ? std::sin(angle) : std::cos(angle));
      } else {
        const float u = static_cast<float>(words[k] >> 8) * 0x1p-24f;
        v = p.kind == Random::uniform ? static_cast<double>(u) : u < p.p ? 1.0 : 0.0;
      }
      store(p.y, 4 * i + k, v);
    }
  });
}

}  // namespace fovea::cuda
