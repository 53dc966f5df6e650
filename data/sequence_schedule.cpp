// SPDX-License-Identifier: Apache-2.0
#include "data/sequence_schedule.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/chance.h"
#include "data/loader.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

constexpr int64_t kMultiple = 8;

[[noreturn]] void refuse(const std::string& what, const std::string& help = {}) {
  throw Error(Error::Kind::argument, what, help);
}

}  // namespace

int64_t sequences_in_batch(int64_t tokens, int length, int64_t most) {
  const int64_t whole = tokens / length / kMultiple * kMultiple;
  return std::min(std::max<int64_t>(1, whole), most);
}

std::vector<SequenceSchedule::Batch> fill_sequence_batches(const SequenceConfig& c, int64_t images, Chance& chance) {
  std::vector<SequenceSchedule::Batch> out;
  const int64_t tokens = c.images * c.lengths.back();
  while (images > 0) {
    const int length = c.lengths[static_cast<size_t>(chance.upto(static_cast<int>(c.lengths.size()) - 1))];
    const int64_t n = sequences_in_batch(tokens, length, images);
    out.push_back({.length = length, .patch = 0, .images = n});
    images -= n;
  }
  return out;
}

SequenceSchedule::SequenceSchedule(SequenceConfig config, int64_t images, uint64_t seed)
    : c_(std::move(config)), seed_(seed) {
  std::ranges::sort(c_.lengths);
  c_.lengths.erase(std::unique(c_.lengths.begin(), c_.lengths.end()), c_.lengths.end());
  if (c_.lengths.empty() || c_.lengths.front() < 1) refuse("sequences have lengths from 1 patch on");
  if (c_.images < 1) refuse(str_cat("batches of ", c_.images, " sequences"));
  if (c_.patches.empty()) refuse("patches have no size");
  for (const auto& [height, width] : c_.patches)
    if (height < 1 || width < 1) refuse(str_cat("patches of ", height, " x ", width, " pixels"));
  if (c_.weights.empty()) c_.weights.assign(c_.patches.size(), 1);
  if (c_.weights.size() != c_.patches.size())
    refuse(str_cat(c_.patches.size(), " sizes of patches and ", c_.weights.size(), " probabilities"));
  const double sum = std::accumulate(c_.weights.begin(), c_.weights.end(), 0.0);
  for (double& w : c_.weights) {
    if (!(w >= 0) || !(sum > 0)) refuse("a size of patches that cannot be drawn", "probabilities are from 0 on");
    w /= sum;
  }
  Chance chance(seed ^ 0x5E90u);
  filled_ = fill_sequence_batches(c_, images, chance);
}

std::vector<SequenceSchedule::Batch> SequenceSchedule::epoch(int64_t number) const {
  std::vector<Batch> out;
  const uint64_t key = seed_ ^ (0x5E91u + (static_cast<uint64_t>(number) << 20));
  for (const size_t i : shuffled(filled_.size(), key)) out.push_back(filled_[i]);
  Chance chance(key ^ 0x80000u);
  if (c_.patches.size() > 1)
    for (Batch& b : out) b.patch = chance.distinct(c_.weights, 1)[0];
  return out;
}

}  // namespace fovea::data
