// SPDX-License-Identifier: Apache-2.0
// data/loader.h — Loader: batches of an ImageFolder, read ahead by threads, the same whatever their number.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/augment.h"
#include "data/decode.h"
#include "data/folder.h"
#include "data/mix.h"
#include "data/sizes.h"
#include "data/transform.h"

namespace fovea::data {

struct LoaderOptions {
  int64_t batch = 1;
  int workers = 1;                                 // threads that read
  uint64_t seed = 0;                               // of order, crops and mirroring
  std::optional<TrainConfig> train{};              // for training: shuffled, and what fills no batch is left out
  std::optional<MixConfig> mix{};                  // of training: targets are then f32[N, classes]
  std::optional<SizeConfig> sizes{};               // of training: batches of several sizes of images
  int views = 1;                                   // of each image of training: all first ones, then all second ones
  double repeats = 0;                              // of training: how often an image comes in an epoch; 0: once
  bool spare_first = false;                        // first views, or the first half of a batch, are not erased
  EvalConfig eval{};                               // else: in order, and the last batch may be smaller
  DecodeOptions decode{};
  int64_t most_bad = 100;                          // images that cannot be read: more of them in an epoch are an error
};

struct Batch {
  Tensor images, targets;                          // f32[N, C, H, W], i64[N]; of mixtures f32[N, classes]
  std::vector<size_t> samples;                     // their numbers in the folder
};

class Loader {
 public:
  /// The folder is borrowed.
  Loader(const ImageFolder& folder, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches() const;                         // an epoch
  double average_batch() const;                    // images in a batch of training, over all epochs
  /// Whatever is drawn depends on seed, epoch and image alone, so an epoch may be begun anywhere.
  void begin(int64_t epoch, int64_t first_batch = 0);
  /// False behind the last one. An image that cannot be read gives its place to the next one of the folder; throws
  /// Error(io) where there are too many of them.
  bool next(Batch& batch);
  int64_t bad() const;                             // images that could not be read, since begin()

 private:
  struct Work;
  const ImageFolder& folder_;
  LoaderOptions o_;
  std::optional<SizeSchedule> sizes_;
  std::unique_ptr<Work> work_;
};

/// Numbers below n in an order that the key decides.
std::vector<size_t> shuffled(size_t n, uint64_t key);

}  // namespace fovea::data
