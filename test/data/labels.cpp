// SPDX-License-Identifier: Apache-2.0
// test/data/labels.cpp — the embedded ImageNet-1k labels.
#include "data/labels.h"

#include "engine/core/error.h"
#include "test/support/catch.h"

using fovea::data::label;

TEST_CASE("labels are timm's", "[data]") {
  CHECK(fovea::data::label_count() == 1000);
  CHECK(label(0) == "tench, Tinca tinca");
  CHECK(label(281) == "tabby, tabby cat");
  CHECK(label(282) == "tiger cat");
  CHECK(label(967) == "espresso");
  CHECK(label(999) == "toilet tissue, toilet paper, bathroom tissue");
  CHECK_THROWS_AS(label(-1), fovea::Error);
  CHECK_THROWS_AS(label(1000), fovea::Error);
}
