// SPDX-License-Identifier: Apache-2.0
// test/zoo/foreign_weights.h — weights as others wrote them, loaded into a model that then has the original's.
#pragma once
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "zoo/zoo.h"

namespace fovea::zoo {

inline StateDict filled_weights(ImageModel& m) {
  fill_weights(m);
  return m.state_dict();
}

inline void check_loads(ImageModel& m, const StateDict& theirs, const StateDict& want) {
  CHECK(load_weights(m, theirs, "the original").clean());
  const StateDict have = m.state_dict();
  REQUIRE(have.names() == want.names());
  for (const auto& [name, t] : want) {
    INFO(name);
    REQUIRE(have.at(name).shape() == t.shape());
    CHECK(test::values_of(have.at(name)) == test::values_of(t));
  }
}

}  // namespace fovea::zoo
