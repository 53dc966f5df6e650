// SPDX-License-Identifier: Apache-2.0
// test/engine/finite.cpp — one value that is no number is found, wherever it lies and whatever its type.
#include "engine/core/finite.h"

#include <limits>
#include <vector>

#include "engine/ops/ops.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

Tensor with(float value, int64_t at, const Shape& s) {
  std::vector<float> v(static_cast<size_t>(numel(s)), 0.5f);
  v[static_cast<size_t>(at)] = value;
  return from<float>(v, s);
}

}  // namespace

TEST_CASE("what is not finite is found in every floating type and place", "[core]") {
  const Shape s{2, 3, 50, 40};
  for (const DType t : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (const int64_t at : {int64_t{0}, int64_t{4095}, int64_t{4096}, int64_t{4097}, numel(s) - 1})
      for (const Memory order : {Memory::contiguous, Memory::channels_last}) {
        INFO(name_of(t) << " at " << at);
        CHECK(all_finite(contiguous(cast(with(6e4f, at, s), t), order)));
        for (const float bad : {kNaN, kInfinity, -kInfinity}) {
          const Tensor x = contiguous(cast(with(bad, at, s), t), order);
          CHECK_FALSE(all_finite(x));
          CHECK(first_not_finite(x)->starts_with(bad == kInfinity ? "inf at" : bad < 0 ? "-inf at" : "nan at"));
        }
      }
  CHECK(all_finite(with(std::numeric_limits<float>::max(), 0, s)));
  CHECK(all_finite(cast(with(1e30f, 0, s), DType::f64) * 1e200));      // beyond f32
  CHECK(all_finite(zeros({0})));
  CHECK(all_finite(arange(0, 5)));
}

TEST_CASE("what is not finite is said with its place, and how often", "[core]") {
  Tensor x = with(kNaN, 7, {2, 2, 3});
  CHECK(first_not_finite(x) == "nan at [1, 0, 1]");
  CHECK(first_not_finite(permute(x, {2, 0, 1})) == "nan at [1, 1, 0]");
  CHECK(first_not_finite(cat({x, x}, 0)) == "nan at [1, 0, 1], 2 such values in all");
  CHECK(first_not_finite(scalar(-1e308) * 10.0 * scalar(1, DType::f64)) == "-inf at []");
  CHECK_FALSE(first_not_finite(slice(x, 0, 0, 1)));
  CHECK_FALSE(first_not_finite(arange(0, 5)));
}

}  // namespace fovea
