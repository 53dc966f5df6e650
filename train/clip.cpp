// SPDX-License-Identifier: Apache-2.0
#include "train/clip.h"

#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

// Of a unit, one index of the first dimension; of vectors, which are no units, of all of it.
Tensor unit_norm(const Tensor& x) {
  if (x.rank() <= 1) return sqrt(sum(square(x)));
  Dims rest;
  for (int i = 1; i < x.rank(); ++i) rest.push_back(i);
  return norm(x, rest, keep_dims);
}

Tensor adapted(const Tensor& g, const Tensor& p, double bound) {
  const Tensor most = clamp_min(unit_norm(p), 1e-3) * bound, length = unit_norm(g);
  return where(less(length, most), g, g * (most / clamp_min(length, 1e-6)));
}

}  // namespace

Clip parse_clip(std::string_view name) {
  if (name == "norm") return Clip::norm;
  if (name == "value") return Clip::value;
  if (name == "agc") return Clip::agc;
  throw Error(Error::Kind::argument, cat("no way of clipping '", name, "'"), "there are: norm, value, agc");
}

Tensor common_norm(std::span<const Tensor> gradients) {
  Tensor total;
  for (const Tensor& g : gradients) {
    if (!g) continue;
    const Tensor one = cast(reduce(g, Reduce::sum_squares), DType::f64);
    total = total ? total + one : one;
  }
  return total ? sqrt(total) : scalar(0, DType::f64);
}

void clip(std::span<Tensor> gradients, std::span<const Tensor> leaves, Clip how, double bound, const Tensor& norm,
          const std::vector<bool>& spared) {
  if (how == Clip::none) return;
  const Tensor share = how == Clip::norm ? clamp(bound / (norm + 1e-6), 0, 1) : Tensor();
  for (size_t i = 0; i < gradients.size(); ++i) {
    Tensor& g = gradients[i];
    if (!g) continue;
    if (how == Clip::norm) g = g * cast(share, g.dtype());
    else if (how == Clip::value) g = clamp(g, -bound, bound);
    else if (spared.empty() || !spared[i]) g = adapted(g, leaves[i].detach(), bound);
  }
}

}  // namespace fovea::train
