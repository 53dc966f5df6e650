// SPDX-License-Identifier: Apache-2.0
// test/zoo/features.cpp — feature levels of all families: measuring them, taking some of them.
#include "test/support/catch.h"
#include "zoo/zoo.h"

namespace fovea::zoo {

TEST_CASE("feature levels are measured in the dtype of the model", "[zoo]") {
  for (const char* name : {"test_resnet", "test_vit"}) {
    CAPTURE(name);
    const auto single = create(name), half = create(name);
    half->to(DType::bf16);
    REQUIRE(half->feature_info().size() == single->feature_info().size());
    REQUIRE(half->feature_info().back().channels == single->feature_info().back().channels);
  }
}

}  // namespace fovea::zoo
