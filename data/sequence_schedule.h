// SPDX-License-Identifier: Apache-2.0
// data/sequence_schedule.h — SequenceSchedule: batches of sequences of several lengths, all of about as many patches.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace fovea::data {

class Chance;

struct SequenceConfig {
  std::vector<int> lengths{128, 256, 576, 784, 1024};  // patches of a sequence, one of these a batch, all as probable
  int64_t images = 1;                              // a batch has as many patches as so many of the longest sequences
  std::vector<std::array<int, 2>> patches{{16, 16}};   // heights and widths, one a batch
  std::vector<double> weights{};                   // how probable each is; empty: all alike
  bool whole_patches = false;                      // heights and widths of patches are dimensions of their own
  bool channels_last = true;                       // a patch is rows of pixels; else one channel after the other
};

/// How many sequences of this length have `tokens` patches: a multiple of 8 from 8 on, else 1; and at most `most`
/// (timm: data/naflex_dataset.py, calculate_naflex_batch_size).
int64_t sequences_in_batch(int64_t tokens, int length, int64_t most);

class SequenceSchedule {
 public:
  /// Throws Error(argument) for what makes no schedule.
  SequenceSchedule(SequenceConfig config, int64_t images, uint64_t seed);
  struct Batch {
    int length = 0, patch = 0;                     // the latter: which of the sizes
    int64_t images = 0;
    friend bool operator==(const Batch&, const Batch&) = default;
  };
  /// Those of an epoch, in their order: every image once. Lengths are the same ones in all epochs.
  std::vector<Batch> epoch(int64_t number) const;
  int64_t batches() const { return static_cast<int64_t>(filled_.size()); }
  const SequenceConfig& config() const { return c_; }

 private:
  SequenceConfig c_;
  uint64_t seed_;
  std::vector<Batch> filled_;
};

/// Batches until all images have a place; lengths are ascending (timm: the same file).
std::vector<SequenceSchedule::Batch> fill_sequence_batches(const SequenceConfig& config, int64_t images,
                                                           Chance& chance);

}  // namespace fovea::data
