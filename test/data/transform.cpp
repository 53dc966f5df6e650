// SPDX-License-Identifier: Apache-2.0
// test/data/transform.cpp — the evaluation transform gives timm's crops and tensors bit for bit.
#include "data/transform.h"

#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/support/sha256.h"

using namespace fovea;
using namespace fovea::data;
using namespace fovea::test;

static std::vector<float> numbers(const std::string& text) {
  std::vector<float> values;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');) values.push_back(std::stof(word));
  return values;
}

TEST_CASE("eval_crop and to_tensor equal timm bit for bit", "[data]") {
  int cases = 0;
  for (const std::string& row : golden_rows("transform.tsv")) {
    std::istringstream in(row);
    uint64_t seed;
    int channels, width, height;
    std::string filter, mode, mean, std, crop_hash, tensor_hash;
    EvalConfig config;
    auto& [out_channels, out_height, out_width] = config.input_size;
    in >> seed >> channels >> width >> height >> out_channels >> out_height >> out_width >> filter >> config.crop_pct >>
        mode >> mean >> std >> crop_hash >> tensor_hash;
    REQUIRE(in);
    config.interpolation = parse_filter(filter);
    config.crop_mode = parse_crop_mode(mode);
    config.mean = numbers(mean);
    config.std = numbers(std);
    const Image image = pattern(seed, width, height, channels);
    INFO(row);
    CHECK(hex(fnv1a(eval_crop(image, config).pixels)) == crop_hash);
    const Tensor tensor = eval_transform(image, config);
    CHECK(tensor.shape() == Shape{1, out_channels, out_height, out_width});
    const std::span<const float> values = tensor.data<float>();
    CHECK(hex(fnv1a({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()})) == tensor_hash);
    ++cases;
  }
  CHECK(cases == 160);
}

TEST_CASE("the evaluation transform refuses what cannot be", "[data]") {
  const Image image = pattern(1, 20, 10, 3);
  CHECK_THROWS_AS(eval_crop(image, {.input_size = {2, 8, 8}}), Error);
  CHECK_THROWS_AS(eval_crop(image, {.input_size = {3, 0, 8}}), Error);
  CHECK_THROWS_AS(eval_crop(image, {.crop_pct = 0}), Error);
  CHECK_THROWS_AS(eval_crop(image, {.mean = {0.5f, 0.5f}}), Error);
  CHECK_THROWS_AS(eval_transform(image, {.std = {0.5f, 0, 0.5f}}), Error);
  CHECK_THROWS_AS(eval_crop(pattern(1, 1, 2000, 1), {.input_size = {3, 60000, 60000}}), Error);
  CHECK(error_of([] { parse_crop_mode("centre"); }) == "no crop mode 'centre'\n  known: center, squash, border");
}
