// SPDX-License-Identifier: Apache-2.0
// kernels/ref/random.cpp — element i of a random tensor is number i % 4 of counter i / 4, at the step that is given.
#include <cstring>

#include "engine/core/philox.h"
#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

void random(const Run& r) {
  const auto& attrs = r.attrs<RandomAttrs>();
  const auto key = static_cast<uint64_t>(attrs.key);
  uint64_t step = 0;
  if (r.has(0)) std::memcpy(&step, r.in(0).data, sizeof step);
  std::vector<double> values(static_cast<size_t>(r.out().meta.numel()));
  for (size_t i = 0; i < values.size(); i += 4) {
    std::array<double, 4> four;
    if (attrs.kind == Random::normal) {
      four = normal4(key, i / 4, step);
    } else {
      const std::array<float, 4> u = uniform4(key, i / 4, step);
      for (size_t k = 0; k < 4; ++k)
        four[k] = attrs.kind == Random::uniform ? static_cast<double>(u[k]) : u[k] < attrs.p ? 1.0 : 0.0;
    }
    for (size_t k = 0; k < 4 && i + k < values.size(); ++k) values[i + k] = four[k];
  }
  store(values.data(), r.out());
}

}  // namespace

std::span<const Kernel> random_kernels() {
  static constexpr Kernel table[] = {{&ops::random, no_half<random>}};
  return table;
}

}  // namespace fovea::ref
