// SPDX-License-Identifier: Apache-2.0
// test/data/transform.cpp — the evaluation transform gives timm's crops and tensors bit for bit.
#include "data/transform.h"

#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/support/allocations.h"
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

TEST_CASE("only what the crop shows is resized", "[data]") {
  for (const Filter filter : {Filter::nearest, Filter::box, Filter::bilinear, Filter::bicubic, Filter::lanczos})
    for (const auto& [width, height] : {std::pair{3, 40}, {40, 3}, {17, 17}, {1, 90}})
      for (const auto& [to_width, to_height] : {std::pair{30, 400}, {400, 30}, {17, 60}, {9, 40}, {40, 9}, {90, 17}}) {
        const Image image = pattern(7, width, height, 3), whole = resize(image, to_width, to_height, filter);
        const Part part{to_width / 3, to_height / 4, to_width - to_width / 3 - 1, to_height / 2};
        const Image cut = resize_part(image, to_width, to_height, filter, part);
        INFO(width << "x" << height << " to " << to_width << "x" << to_height << " " << name_of(filter));
        REQUIRE(cut.width == part.width);
        REQUIRE(cut.height == part.height);
        for (int y = 0; y < part.height; ++y)
          CHECK(std::equal(cut.row(y), cut.row(y) + cut.pitch(), whole.row(part.top + y) + 3 * part.left));
      }
  // The whole of these would be of 4 GB each.
  const CountAllocations counting;
  CHECK(eval_crop(pattern(1, 1, 20'000, 3), {.input_size = {3, 224, 224}}).width == 224);
  CHECK(eval_crop(pattern(1, 20'000, 1, 3), {.input_size = {3, 224, 224}}).height == 224);
  CHECK(CountAllocations::so_far().bytes < 40'000'000);
}

TEST_CASE("parts that leave the image are refused", "[data]") {
  const Image image = pattern(1, 20, 10, 3);
  for (const Part& part : {Part{0, 0, 9, 8}, Part{-1, 0, 4, 4}, Part{0, 5, 4, 4}, Part{0, 0, 0, 4}, Part{0, 0, 4, -4}})
    CHECK_THROWS_AS(resize_part(image, 8, 8, Filter::bicubic, part), Error);
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
