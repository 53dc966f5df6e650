// SPDX-License-Identifier: Apache-2.0
// data/loader.h — Loader: batches of a Reader's samples, read ahead by threads, the same whatever their number.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/batch_memory.h"
#include "data/decode.h"
#include "data/folder.h"
#include "data/mix.h"
#include "data/reader.h"
#include "data/sequence_schedule.h"
#include "data/sizes.h"
#include "data/transform.h"

namespace fovea::data {

/// Which part of the images one of several processes reads. Of an order that is drawn it takes each `of`-th, from its
/// number on; where `of` does not divide it, the order begins again. In the reader's order it takes a run of them, so
/// that all parts together are all images, once.
struct Shard {
  int64_t number = 0, of = 1;
  int64_t unit = 1;                                // so many images one after the other stay together
  /// The first of its run of n images, and the one behind its last.
  std::array<int64_t, 2> run(int64_t n) const;
};

struct LoaderOptions {
  int64_t batch = 1;
  int workers = 1;                                 // threads that read; 0: who asks for a batch reads it
  uint64_t seed = 0;                               // of order, crops and mirroring
  std::optional<TrainConfig> train{};              // for training: shuffled, and what fills no batch is left out
  std::optional<MixConfig> mix{};                  // of training: targets are then f32[N, classes]
  std::optional<SizeConfig> sizes{};               // of training: batches of several sizes of images
  // of training: images keep their shapes and are sequences of patches; `batch` does not count then
  std::optional<SequenceConfig> sequences{};
  int views = 1;                                   // of each image of training: all first ones, then all second ones
  double repeats = 0;                              // of training: how often an image comes in an epoch; 0: once
  bool spare_first = false;                        // first views, or the first half of a batch, are not erased
  EvalConfig eval{};                               // else: in order, and the last batch may be smaller
  DecodeOptions decode{};
  bool fast_decode = false;                        // JPEGs at a fraction of their size where crops allow it
  int64_t classes = 0;                             // of targets of several labels; 0: as many as the reader has
  bool several_labels = false;                     // targets are so, even where all samples have one label each
  int64_t most_bad = 100;                          // images that cannot be read: more of them in an epoch are an error
  Shard shard{};                                   // batches, and their number, are those of this part
};

struct Batch {
  // f32[N, C, H, W], and i64[N], of mixtures and of several labels f32[N, classes]
  Tensor images, targets;
  std::vector<size_t> samples;                     // their numbers in the reader
  // Of sequences: images are then patches f32[N, L, values], or f32[N, L, height, width, C] or f32[N, L, C, height,
  // width] as SequenceConfig says, i64[N, L, 2], and which of them are not just filled up, bool[N, L].
  Tensor coords{}, valid{};
  /// All of these in the order of an objective's operands: images, of sequences coords and valid, targets.
  Tensors operands() const;
};

/// The classes of samples, i64[N].
Tensor targets_of(const Reader& reader, std::span<const size_t> samples);
/// Of several labels a sample: f32[N, classes], 1 where a sample is of a class. Throws Error(argument) for classes that
/// are none of these.
Tensor label_targets_of(const Reader& reader, std::span<const size_t> samples, int64_t classes);

class Loader {
 public:
  /// The reader is borrowed. Throws Error(argument) for options that exclude each other, or too few images for a batch.
  Loader(const Reader& reader, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches() const;                         // an epoch
  int64_t images_at_a_time() const { return o_.batch * o_.shard.of; }        // all processes together
  double average_batch() const;                    // images in a batch of training, over all epochs
  /// Whatever is drawn depends on seed, epoch and image alone, so an epoch may be begun at any batch. `bad`: samples
  /// that could not be read in those before it.
  void begin(int64_t epoch, int64_t first_batch = 0, std::span<const size_t> bad = {});
  /// False behind the last one. An image that cannot be read gives its place to the next one of the reader; throws
  /// Error(io) where there are too many of them, or ten in a row.
  bool next(Batch& batch);
  /// Samples of the epoch that could not be read, in the batches that next() gave or asked for, and why.
  const std::map<size_t, std::string>& bad() const { return bad_; }

 private:
  struct Work;
  int64_t images() const;                          // of its part
  const Reader& reader_;
  LoaderOptions o_;
  std::optional<SizeSchedule> sizes_;
  std::optional<SequenceSchedule> sequences_;
  std::map<size_t, std::string> bad_;
  BatchMemory memory_;
  std::unique_ptr<Work> work_;                     // ends before what it takes memory from
};

/// Numbers below n in an order that the key decides.
std::vector<size_t> shuffled(size_t n, uint64_t key);

}  // namespace fovea::data
