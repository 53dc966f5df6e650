// SPDX-License-Identifier: Apache-2.0
// data/sizes.h — SizeSchedule: batches of several sizes of images in one epoch, drawn at random or growing over the
// epochs.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace fovea::data {

struct SizeConfig {
  std::vector<int> sizes{};                        // height and width
  std::vector<int64_t> batches{};                  // images in a batch of each size
  std::vector<double> weights{};                   // how probable each is; empty: all alike
  bool progressive = false;                        // from the first size to the last over so many epochs
  int64_t epochs = 0;
  double spread = 0.65, random_mix = 0.1;          // how many sizes there are at a time; the share of any of them
  std::optional<int64_t> batches_an_epoch{};       // default: as many as there are images for
};

class SizeSchedule {
 public:
  /// Throws Error(argument) for what makes no schedule, or none that so many images fill.
  SizeSchedule(SizeConfig config, int64_t images, uint64_t seed);
  struct Batch {
    int size = 0;                                  // which of the sizes
    int64_t images = 0;
  };
  /// Those of an epoch, in their order. They may want more images than there are: these then come again.
  std::vector<Batch> epoch(int64_t number) const;
  int64_t batches() const { return batches_; }
  double average_batch() const { return average_; }
  /// How probable each size is.
  std::vector<double> weights(int64_t epoch) const;

 private:
  std::vector<Batch> fill(int64_t images) const;
  SizeConfig c_;
  uint64_t seed_;
  double average_ = 0;
  int64_t batches_ = 0;
  std::vector<Batch> filled_;                      // the same in all epochs but for its order; empty: drawn in each
};

}  // namespace fovea::data
