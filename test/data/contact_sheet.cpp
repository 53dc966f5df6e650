// SPDX-License-Identifier: Apache-2.0
// test/data/contact_sheet.cpp — pictures that are written: PNG files, and batches side by side.
#include "data/contact_sheet.h"

#include <span>

#include "data/decode.h"
#include "data/encode_png.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "test/data/pattern.h"

using namespace fovea;
using namespace fovea::data;
using fovea::test::pattern;

TEST_CASE("PNG files that are written are read as they were", "[data]") {
  for (const int channels : {1, 3})
    for (const auto& [width, height] : {std::pair{1, 1}, {7, 5}, {64, 33}}) {
      const Image image = pattern(5, width, height, channels);
      const std::string png = encode_png(image);
      const Image back = decode(std::as_bytes(std::span(png)));
      CHECK(back == to_rgb(image));
    }
  const Image sheet = contact_sheet(from<float>(std::vector<float>{-1, 0, 0.25f, 9}, {4, 1, 1, 1}),
                                    std::vector<float>{0.5f}, std::vector<float>{0.5f}, 3);
  CHECK(sheet.width == 3 * 5 + 4);
  CHECK(sheet.height == 2 * 5 + 4);
  CHECK(sheet.row(4)[4] == 0);
  CHECK(sheet.row(4)[9] == 128);
  CHECK(sheet.row(4)[14] == 159);
  CHECK(sheet.row(9)[4] == 255);
  CHECK_THROWS_AS(contact_sheet(full({1, 1, 1, 1}, 0), std::vector<float>{0}, std::vector<float>{1}, 0), Error);
}
