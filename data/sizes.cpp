// SPDX-License-Identifier: Apache-2.0
#include "data/sizes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/augment.h"
#include "data/loader.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& help = {}) {
  throw Error(Error::Kind::argument, what, help);
}

void scale_to_one(std::vector<double>& w) {
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (double& v : w) v /= sum;
}

size_t drawn(const std::vector<double>& weights, Chance& chance) {
  double left = chance.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] <= 0) continue;
    last = i;
    if ((left -= weights[i]) < 0) return i;
  }
  return last;
}

}  // namespace

SizeSchedule::SizeSchedule(SizeConfig config, int64_t images, uint64_t seed) : c_(std::move(config)), seed_(seed) {
  const size_t n = c_.sizes.size();
  if (n == 0 || c_.batches.size() != n) refuse(str_cat(n, " sizes of images and ", c_.batches.size(), " of batches"));
  if (c_.weights.empty()) c_.weights.assign(n, 1);
  if (c_.weights.size() != n) refuse(str_cat(n, " sizes of images and ", c_.weights.size(), " probabilities"));
  for (size_t i = 0; i < n; ++i)
    if (c_.sizes[i] < 1 || c_.batches[i] < 1 || !(c_.weights[i] >= 0)) refuse("a size of images that cannot be drawn");
  if (!(std::accumulate(c_.weights.begin(), c_.weights.end(), 0.0) > 0)) refuse("no size of images is probable");
  scale_to_one(c_.weights);
  if (c_.progressive && (n < 2 || c_.epochs < 1)) refuse("sizes that grow are at least two, over at least one epoch");
  if (!(c_.spread >= 0 && c_.random_mix >= 0 && c_.random_mix <= 1)) refuse("the spread of sizes cannot be that");
  const int64_t epochs = c_.progressive ? c_.epochs : 1;
  for (int64_t e = 0; e < epochs; ++e) {
    const std::vector<double> w = weights(e);
    for (size_t i = 0; i < n; ++i) average_ += w[i] * static_cast<double>(c_.batches[i]) / static_cast<double>(epochs);
  }
  if (c_.batches_an_epoch) batches_ = *c_.batches_an_epoch;
  else if (c_.progressive) batches_ = static_cast<int64_t>(static_cast<double>(images) / average_);
  else {
    filled_ = fill(images);
    batches_ = static_cast<int64_t>(filled_.size());
  }
  if (batches_ < 1) refuse(str_cat(images, " images fill no batch of any size"));
}

std::vector<double> SizeSchedule::weights(int64_t epoch) const {
  if (!c_.progressive) return c_.weights;
  const size_t n = c_.sizes.size();
  const double progress =
      c_.epochs == 1 ? 1 : std::clamp(static_cast<double>(epoch) / static_cast<double>(c_.epochs - 1), 0.0, 1.0);
  const double centre = progress * static_cast<double>(n - 1);
  std::vector<double> w(n);
  double nearest = static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) nearest = std::min(nearest, std::abs(static_cast<double>(i) - centre));
  for (size_t i = 0; i < n; ++i) {
    const double away = static_cast<double>(i) - centre;
    w[i] = c_.weights[i] * (c_.spread == 0 ? static_cast<double>(std::abs(away) == nearest)
                                           : std::exp(-0.5 * std::pow(away / c_.spread, 2)));
  }
  if (!(std::accumulate(w.begin(), w.end(), 0.0) > 0)) {   // of those that are probable at all the nearest
    size_t best = n;
    for (size_t i = 0; i < n; ++i) {
      const auto away = [&](size_t k) { return std::abs(static_cast<double>(k) - centre); };
      if (c_.weights[i] > 0 && (best == n || away(i) < away(best))) best = i;
    }
    w.assign(n, 0);
    w[best] = 1;
  }
  scale_to_one(w);
  std::vector<double> any(n);
  for (size_t i = 0; i < n; ++i) any[i] = c_.weights[i] > 0;
  scale_to_one(any);
  for (size_t i = 0; i < n; ++i) w[i] = (1 - c_.random_mix) * w[i] + c_.random_mix * any[i];
  scale_to_one(w);
  return w;
}

std::vector<SizeSchedule::Batch> SizeSchedule::fill(int64_t images) const {
  std::vector<Batch> out;
  Chance chance(seed_ ^ 0x51CE5u);
  while (true) {
    std::vector<double> w = c_.weights;
    for (size_t i = 0; i < w.size(); ++i)
      if (c_.batches[i] > images) w[i] = 0;
    if (!(std::accumulate(w.begin(), w.end(), 0.0) > 0)) return out;
    const size_t i = drawn(w, chance);
    out.push_back({static_cast<int>(i), c_.batches[i]});
    images -= c_.batches[i];
  }
}

std::vector<SizeSchedule::Batch> SizeSchedule::epoch(int64_t number) const {
  std::vector<Batch> out;
  if (!filled_.empty()) {
    for (const size_t i : shuffled(filled_.size(), seed_ ^ (0x51CE7u + static_cast<uint64_t>(number) * 2)))
      out.push_back(filled_[i]);
    return out;
  }
  const std::vector<double> w = weights(number);
  Chance chance(seed_ ^ (0x51CE6u + (static_cast<uint64_t>(number) << 20)));
  for (int64_t b = 0; b < batches_; ++b) {
    const size_t i = drawn(w, chance);
    out.push_back({static_cast<int>(i), c_.batches[i]});
  }
  return out;
}

}  // namespace fovea::data
