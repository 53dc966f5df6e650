// SPDX-License-Identifier: Apache-2.0
// test/zoo/settings.cpp — values of configurations outlive the text that they were read from.
#include "zoo/settings.h"

#include "test/support/catch.h"

namespace fovea::zoo {

TEST_CASE("a setting of text does not borrow the caller's", "[zoo]") {
  std::string_view first, second, again;
  {
    std::string text = "a value that is longer than a string keeps in itself";
    REQUIRE(read_setting(text, first));
    REQUIRE(read_setting(text, again));
    text.assign(text.size(), 'x');
    REQUIRE(read_setting(text, second));
  }
  CHECK(first == "a value that is longer than a string keeps in itself");
  CHECK(second == std::string(first.size(), 'x'));
  CHECK(again.data() == first.data());             // equal texts are kept once
}

}  // namespace fovea::zoo
