// SPDX-License-Identifier: Apache-2.0
// nn/layers/fourier_embed.cpp — waves over an image.
#include "nn/layers/fourier_embed.h"

#include <numbers>

#include "engine/ops/ops.h"

namespace fovea {
namespace {

// From both ends towards the middle, as PyTorch rounds it: the waves are fast enough for a last bit to show.
std::vector<float> evenly_spaced(float first, float last, int64_t n) {
  std::vector<float> all(static_cast<size_t>(n), first);
  const float step = n > 1 ? (last - first) / static_cast<float>(n - 1) : 0;
  for (int64_t i = 1; i < n; ++i)
    all[static_cast<size_t>(i)] =
        i < n / 2 ? first + step * static_cast<float>(i) : last - step * static_cast<float>(n - 1 - i);
  return all;
}

}  // namespace

Tensor FourierEmbed::waves(int64_t h, int64_t w) const {
  const std::vector<float> rows = evenly_spaced(-1, 1, h), columns = evenly_spaced(-1, 1, w);
  std::vector<float> bands = evenly_spaced(1, static_cast<float>(options_.max_res) / 2, options_.bands), grid;
  for (float& b : bands) b *= std::numbers::pi_v<float>;
  for (const float r : rows)
    for (const float c : columns) grid.insert(grid.end(), {r, c});
  const Tensor places = from(std::span<const float>(grid), {h, w, 1, 2});
  const Tensor turns = places * from(std::span<const float>(bands), {options_.bands, 1});
  const Tensor both = cat({sin(turns), cos(turns)}, 2);
  return flatten(options_.coordinates ? cat({places, both}, 2) : both, 2);
}

Tensor FourierEmbed::forward(const Tensor& x) {
  const int64_t n = x.dim(0), h = x.dim(2), w = x.dim(3);
  const Tensor own = waves(h, w),
               all = expand(unsqueeze(cast(own, x.dtype()).to(x.device()), 0), {n, h, w, own.dim(2)});
  if (options_.keep_spatial) return cat({x, permute(all, {0, 3, 1, 2})}, 1);
  return flatten(cat({permute(x, {0, 2, 3, 1}), all}, -1), 1, 2);
}

}  // namespace fovea
