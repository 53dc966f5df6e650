// SPDX-License-Identifier: Apache-2.0
// test/data/sequence.cpp — images become sequences of patches with timm's sizes and timm's bytes.
#include "data/sequence.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/support/sha256.h"

using namespace fovea;
using namespace fovea::data;
using namespace fovea::test;

namespace {

Tensor pixels_of(const Image& image) {
  Tensor t = empty({1, image.channels, image.height, image.width});
  const std::span<float> v = t.mutable_data<float>();
  const auto channels = static_cast<size_t>(image.channels);
  const size_t plane = image.pixels.size() / channels;
  for (size_t i = 0; i < image.pixels.size(); ++i)
    v[i % channels * plane + i / channels] = static_cast<float>(image.pixels[i]);
  return t;
}

}  // namespace

TEST_CASE("sequence transforms equal timm bit for bit", "[data]") {
  int cases = 0;
  for (const std::string& row : golden_rows("sequence.tsv")) {
    std::istringstream in(row);
    uint64_t seed;
    int channels, width, height, out_height, out_width;
    SequenceLimits limits;
    std::string op, filter, argument, hash;
    in >> seed >> channels >> width >> height >> limits.patch[0] >> limits.patch[1] >> limits.max_seq_len >> op >>
        filter >> argument >> out_height >> out_width >> hash;
    REQUIRE(in);
    INFO(row);
    const Image image = pattern(seed, width, height, channels);
    ++cases;
    if (op == "patchify") {
      const Patches p = patchify(pixels_of(image), limits.patch, argument == "1");
      CHECK(p.patches.shape() == Shape{out_height, out_width});
      const std::span<const float> v = p.patches.data<float>();
      CHECK(hex(fnv1a({reinterpret_cast<const uint8_t*>(v.data()), v.size_bytes()})) == hash);
      continue;
    }
    Image out;
    Chance chance(1);
    if (op == "resize") {
      if (argument != "0") limits.max_ratio = std::stod(argument);
      out = resize_to_sequence(image, limits, parse_filter(filter));
    } else if (op == "keep") {
      out =
          resize_keep_ratio_to_sequence(image, limits, {.longest = std::stod(argument)}, chance, parse_filter(filter));
    } else if (op == "center") {
      const uint8_t fill[] = {static_cast<uint8_t>(std::stoi(argument))};
      out = center_crop_to_sequence(image, limits, fill);
    } else {
      limits.max_ratio = 1.0;
      const SequenceFit to = fit_sequence(height, width, limits);
      const size_t comma = argument.find(',');
      out = crop_or_pad(image, std::stoi(argument), std::stoi(argument.substr(comma + 1)), to.height, to.width);
    }
    CHECK(out.height == out_height);
    CHECK(out.width == out_width);
    CHECK(hex(fnv1a(out.pixels)) == hash);
  }
  CHECK(cases == 120);
}

TEST_CASE("random sequence crops stay within the image and the sequence", "[data]") {
  for (uint64_t key = 0; key < 200; ++key) {
    Chance chance(key);
    const int height = 20 + chance.upto(300), width = 20 + chance.upto(300);
    const SequenceLimits limits{.patch = {16, 16}, .max_seq_len = 64 + chance.upto(200)};
    const SequenceCrop c = draw_sequence_crop(height, width, limits, {.final_scale = std::array{0.5, 1.0}}, chance);
    INFO(key);
    CHECK(c.part.left >= 0);
    CHECK(c.part.top >= 0);
    CHECK(c.part.left + c.part.width <= width);
    CHECK(c.part.top + c.part.height <= height);
    CHECK(c.height % 16 == 0);
    CHECK(c.width % 16 == 0);
    CHECK(c.height / 16 * (c.width / 16) <= limits.max_seq_len);
    const Image cut = random_crop_to_sequence(pattern(key, width, height, 3), limits, chance);
    CHECK(cut.height / 16 * (cut.width / 16) <= limits.max_seq_len);
    const KeepRatio how{.scale_prob = 1, .aspect_prob = 1};
    const Image kept = resize_keep_ratio_to_sequence(pattern(key, width, height, 1), limits, how, chance);
    CHECK(kept.height % 16 == 0);
    CHECK(kept.width % 16 == 0);
  }
}

TEST_CASE("a batch fills up short sequences and cuts long ones", "[data]") {
  const EvalConfig config{.mean = {0.5f}, .std = {0.5f}};
  const SequenceLimits limits{.patch = {8, 8}, .max_seq_len = 16};
  const Patches flat = sequence_transform(pattern(1, 90, 20, 3), config, limits),
                tall = sequence_transform(pattern(2, 20, 60, 1), config, limits);
  REQUIRE(flat.patches.dim(0) <= 16);
  const Patches both[] = {flat, tall};
  const SequenceBatch b = collate(both, 12);
  CHECK(b.patches.shape() == Shape{2, 12, 192});
  for (int64_t i = 0; i < 2; ++i) {
    const int64_t length = both[i].patches.dim(0);
    for (int64_t at = 0; at < 12; ++at) CHECK(b.valid.data<bool>()[static_cast<size_t>(i * 12 + at)] == (at < length));
  }
  CHECK(std::ranges::equal(b.patches.data<float>().subspan(0, 192), flat.patches.data<float>().subspan(0, 192)));
}

TEST_CASE("sequences that cannot be are refused", "[data]") {
  CHECK_THROWS_AS(fit_sequence(100, 100, {.patch = {0, 16}}), Error);
  CHECK_THROWS_AS(fit_sequence(100, 100, {.max_seq_len = 0}), Error);
  CHECK_THROWS_AS(fit_sequence(1000000000, 1000000000, {.max_seq_len = 1}), Error);
  CHECK_THROWS_AS(patchify(zeros({2, 3, 8, 8}), {4, 4}), Error);
  CHECK_THROWS_AS(collate({}, 4), Error);
}
