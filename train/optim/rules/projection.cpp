// SPDX-License-Identifier: Apache-2.0
#include "train/optim/rules/projection.h"

#include <cmath>

namespace fovea::train {
namespace {

// A weight as rows: one a channel, or one for all.
Tensor rows(const Tensor& x, bool by_channel) {
  const int64_t n = by_channel ? x.dim(0) : 1;
  return reshape(x, {n, x.numel() / n});
}

}  // namespace

Projection::Projection(Settings& s, double decay_left)
    : delta_(s.get("delta", 0.1)), decay_left_(s.get("wd_ratio", decay_left)), eps_(s.eps(1e-8)) {}

Projected Projection::operator()(const Tensor& p, const Tensor& g, const Tensor& update, bool caution) const {
  const Tensor one = scalar(1, p), less_decay = scalar(decay_left_, p);
  Projected out{cautious_if(caution, update, g), one};
  if (p.rank() < 2) return out;
  for (const bool by_channel : {false, true}) {    // the rows decide before the whole
    const Tensor flat = rows(p, by_channel), slope = rows(g, by_channel), move = rows(update, by_channel);
    const Tensor length = norm(flat, {1}, keep_dims);
    const Tensor cosine = abs(sum(flat * slope, {1}, keep_dims)) /
                          (clamp_min(length, eps_) * clamp_min(norm(slope, {1}, keep_dims), eps_));
    const Tensor turns = less(amax(cosine), delta_ / std::sqrt(static_cast<double>(flat.dim(1))));
    const Tensor direction = flat / (length + eps_);
    const auto across = [&](const Tensor& x) { return x - direction * sum(direction * x, {1}, keep_dims); };
    Tensor turned = across(move);
    if (caution) turned = across(cautious(turned, across(slope)));
    out.update = where(turns, reshape(turned, p.shape()), out.update);
    out.decay = where(turns, less_decay, out.decay);
  }
  return out;
}

}  // namespace fovea::train
