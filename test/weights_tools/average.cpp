// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/average.cpp — means of weights: exact, in the dtype of the first, of one model only.
#include "weights_tools/average.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;

namespace {

StateDict weights(float value, int64_t steps, bool flag) {
  StateDict d;
  d.set("w", full({2, 2}, value));
  d.set("h", cast(full({3}, value), DType::f16));
  d.set("steps", cast(full({}, static_cast<double>(steps)), DType::i64));
  d.set("flag", cast(full({1}, flag ? 1.0 : 0.0), DType::boolean));
  return d;
}

}  // namespace

TEST_CASE("means are of f64 sums", "[weights]") {
  Average average;
  // in f32 the sum of the first two would leave its range, and that of the others would lose the small one
  const float largest = 3.0e38f;
  average.add(weights(largest, 3, false), "a");
  average.add(weights(largest, 4, true), "b");
  const StateDict mean = average.mean();
  CHECK(mean.names() == std::vector<std::string>{"w", "h", "steps", "flag"});
  for (const float v : mean.at("w").data<float>()) CHECK(v == largest);
  CHECK(mean.at("steps").item() == 3);
  CHECK(mean.at("flag").data<bool>()[0]);
  Average small;
  small.add(weights(1, 0, false), "a");
  small.add(weights(std::ldexp(1.0f, -23), 0, false), "b");
  small.add(weights(-1, 0, false), "c");
  CHECK(small.count() == 3);
  CHECK(small.mean().at("w").data<float>()[0] == std::ldexp(1.0f, -23) / 3);
  CHECK(small.mean().at("h").dtype() == DType::f16);
}

TEST_CASE("weights of different models have no mean", "[weights]") {
  Average average;
  average.add(weights(1, 0, false), "a");
  StateDict other = weights(1, 0, false);
  other.erase("h");
  CHECK(mentions(error_of([&] { average.add(other, "b.pth"); }), "b.pth lacks 'h'"));
  other = weights(1, 0, false);
  other.set("more", full({1}, 1));
  CHECK(mentions(error_of([&] { average.add(other, "b.pth"); }), "has 'more'"));
  other = weights(1, 0, false);
  other.set("w", full({4}, 1));
  CHECK(mentions(error_of([&] { average.add(other, "b.pth"); }), "'w' is [4], but [2, 2]"));
  CHECK(average.count() == 1);
}
