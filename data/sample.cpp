// SPDX-License-Identifier: Apache-2.0
#include "data/sample.h"

#include <array>

#include "data/sequence_training.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

bool is_jpeg(const std::vector<std::byte>& bytes) {
  constexpr std::array<std::byte, 3> kStart{std::byte{0xFF}, std::byte{0xD8}, std::byte{0xFF}};
  return bytes.size() > kStart.size() && std::equal(kStart.begin(), kStart.end(), bytes.begin());
}

int reduced(int size, int by) { return (size + by - 1) / by; }

// So far that the crop still has no fewer pixels than what it is resized to.
int reduction(const Part& crop, const std::array<int, 3>& input) {
  for (const int by : {8, 4, 2})
    if (crop.width / by >= input[2] && crop.height / by >= input[1]) return by;
  return 1;
}

}  // namespace

template <class F>
const Image& SampleReader::decoded(const Stored& stored, size_t sample, const F& part,
                                   const std::array<int, 3>* reduced_to) {
  if (stored.bytes.empty() && !stored.pixels.pixels.empty()) return stored.pixels;
  Look look;
  if (is_jpeg(stored.bytes)) {
    const ImageInfo info = probe(stored.bytes, reader_.name(sample));
    look = {info.width, info.height, part(info.width, info.height)};
    if (o_.fast_decode && reduced_to) look.reduce = reduction(look.part, *reduced_to);
    if (look.reduce > 1) look.part = part(reduced(info.width, look.reduce), reduced(info.height, look.reduce));
  }
  decode_part(stored.bytes, look, scratch_, o_.decode, reader_.name(sample));
  return scratch_;
}

void SampleReader::read(size_t sample, uint64_t key, std::span<Tensor> out, bool spare_first) {
  const Stored stored = reader_.read(sample);
  if (!o_.train) {
    const auto part = [&](int width, int height) { return eval_part(width, height, o_.eval); };
    const Image crop = eval_crop(decoded(stored, sample, part, &o_.eval.input_size), o_.eval);
    return to_tensor(crop, o_.eval.mean, o_.eval.std, out[0].mutable_data<float>());
  }
  TrainConfig config = *o_.train;
  config.input_size = {config.input_size[0], static_cast<int>(out[0].dim(2)), static_cast<int>(out[0].dim(3))};
  const auto part = [&](int width, int height) { return train_part(width, height, config, key); };
  train_views(decoded(stored, sample, part, &config.input_size), config, key, out, spare_first);
}

Tensor SampleReader::read_sequence(size_t sample, uint64_t key, const SequenceLimits& limits) {
  const Stored stored = reader_.read(sample);
  const TrainConfig& config = *o_.train;
  const auto part = [&](int width, int height) { return sequence_part(width, height, config, limits, key); };
  return sequence_view(decoded(stored, sample, part, nullptr), config, limits, key);
}

}  // namespace fovea::data
