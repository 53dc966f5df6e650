// SPDX-License-Identifier: Apache-2.0
// test/data/resize.cpp — resizing gives Pillow's bytes, and refuses what cannot be.
#include "data/resize.h"

#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/support/sha256.h"

using namespace fovea;
using namespace fovea::data;
using namespace fovea::test;

TEST_CASE("resize equals Pillow byte for byte", "[data]") {
  int cases = 0;
  for (const std::string& row : golden_rows("resize.tsv")) {
    std::istringstream in(row);
    uint64_t seed;
    int channels, in_width, in_height, width, height;
    std::string filter, expected;
    Box box;
    in >> seed >> channels >> in_width >> in_height >> filter >> width >> height >> box.left >> box.top >> box.right >>
        box.bottom >> expected;
    REQUIRE(in);
    const Image out = resize(pattern(seed, in_width, in_height, channels), width, height, parse_filter(filter), box);
    INFO(row);
    CHECK(out.width == width);
    CHECK(out.height == height);
    CHECK(out.channels == channels);
    CHECK(hex(fnv1a(out.pixels)) == expected);
    ++cases;
  }
  CHECK(cases == 500);
}

TEST_CASE("resize without a box takes the whole image", "[data]") {
  const Image image = pattern(3, 31, 17, 3);
  CHECK(resize(image, 20, 40) == resize(image, 20, 40, Filter::bicubic, {0, 0, 31, 17}));
  CHECK(resize(image, 31, 17, Filter::lanczos) == image);
}

TEST_CASE("resize refuses sizes and boxes that cannot be", "[data]") {
  const Image image = pattern(0, 8, 6, 3);
  CHECK_THROWS_AS(resize(image, 0, 4), Error);
  CHECK_THROWS_AS(resize(image, 4, -1), Error);
  CHECK_THROWS_AS(resize(image, 2000000000, 2000000000), Error);
  CHECK_THROWS_AS(resize(image, 4, 4, Filter::box, {0, 0, 9, 6}), Error);
  CHECK_THROWS_AS(resize(image, 4, 4, Filter::box, {-1, 0, 8, 6}), Error);
  CHECK_THROWS_AS(resize(image, 4, 4, Filter::box, {3, 3, 3, 6}), Error);
  CHECK_THROWS_AS(resize(Image{}, 4, 4), Error);
  CHECK_THROWS_AS(resize(Image{.width = 2, .height = 2, .channels = 3, .pixels = {1, 2, 3}}, 4, 4), Error);
  CHECK(error_of([] { parse_filter("cubic"); }) ==
        "no interpolation 'cubic'\n  known: nearest, box, bilinear, hamming, bicubic, lanczos");
}
