// SPDX-License-Identifier: Apache-2.0
// data/sample.h — SampleReader: one sample from where it lies to its place in a batch.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "data/augment.h"
#include "data/decode.h"
#include "data/reader.h"
#include "data/sequence.h"
#include "data/transform.h"
#include "engine/core/tensor.h"

namespace fovea::data {

struct SampleOptions {
  std::optional<TrainConfig> train{};
  EvalConfig eval{};                               // without `train`
  DecodeOptions decode{};
  bool fast_decode = false;                        // reduced JPEGs (Look::reduce), where the crop is large enough
};

/// Keeps the memory that it decodes into; a thread has its own.
class SampleReader {
 public:
  /// Both are borrowed.
  SampleReader(const Reader& reader, const SampleOptions& options) : reader_(reader), o_(options) {}
  /// Into f32[1, C, H, W] each, whose height and width count; all are views of one crop. The key decides what is drawn.
  /// `spare_first`: nothing is erased of the first. Only what the crop needs of a JPEG is decoded, which changes no
  /// value. Throws Error where the sample cannot be read or decoded.
  void read(size_t sample, uint64_t key, std::span<Tensor> out, bool spare_first);
  /// sequence_view() of it, of training.
  Tensor read_sequence(size_t sample, uint64_t key, const SequenceLimits& limits);

 private:
  // `part` says what will be looked at of an image of some size; with `reduced_to` larger JPEGs may be reduced.
  template <class F>
  const Image& decoded(const Stored& stored, size_t sample, const F& part, const std::array<int, 3>* reduced_to);
  const Reader& reader_;
  const SampleOptions& o_;
  Image scratch_;
};

}  // namespace fovea::data
