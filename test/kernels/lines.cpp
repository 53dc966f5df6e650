// SPDX-License-Identifier: Apache-2.0
// test/kernels/lines.cpp — along an axis, cpu against ref: sums so far, extremes, sorting; and random numbers, bit
// by bit.
#include <limits>

#include "engine/ops/ops.h"
#include "engine/ops/random.h"
#include "test/kernels/against_ref.h"
#include "test/support/catch.h"

using namespace fovea;
using fovea::test::check_against_ref;
using fovea::test::filled;

TEST_CASE("cpu: cumsum, argmax, argmin and topk along every axis", "[cpu]") {
  const Tensor x = filled("x", {5, 70, 3, 130}), last = contiguous(x, Memory::channels_last);
  for (int dim = 0; dim < 4; ++dim) {
    check_against_ref([&] { return Tensors{cumsum(x, dim), cumsum(last, dim)}; });
    for (const KeepDims keep : {drop_dims, keep_dims})
      check_against_ref([&] { return Tensors{argmax(x, dim, keep), argmin(last, dim, keep)}; }, 0);
    for (const bool largest : {true, false})
      check_against_ref([&] {
        const auto [most, where] = topk(x, 3, dim, largest);
        const auto [all, order] = topk(last, last.dim(dim), dim, largest);
        return Tensors{most, where, all, order};
      }, 0);
  }
  const Tensor whole = cast(x * 4.0, DType::i64);  // many equal ones
  check_against_ref([&] {
    const auto [most, where] = topk(whole, 20, 1);
    return Tensors{most, where, cumsum(whole, 3), argmax(whole, 1), argmin(whole, 3)};
  }, 0);
}

TEST_CASE("cpu: NaN is the largest, and the first of several", "[cpu]") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Tensor x = reshape(from({1.f, nan, inf, nan, -inf, 2.f, 2.f, nan}), {2, 4});
  check_against_ref([&] {
    Tensors all{argmax(x, 1), argmin(x, 1), argmax(x, 0), argmin(x, 0)};
    for (const bool largest : {true, false}) {
      all.push_back(topk(x, 4, 1, largest).first);
      all.push_back(topk(x, 4, 1, largest).second);
    }
    return all;
  }, 0);
}

TEST_CASE("cpu: random numbers have ref's bits", "[cpu]") {
  const int64_t key = -0x123456789abcdef;
  for (const Shape& s : {Shape{}, Shape{1}, Shape{7}, Shape{1023}, Shape{1025}, Shape{3, 5, 1111}, Shape{40000}})
    for (const int64_t step : {int64_t{0}, int64_t{5}, int64_t{1} << 40}) {
      const UseRandomStep use(from(std::span<const int64_t>(&step, 1), {}));
      check_against_ref([&] {
        return Tensors{rand(s, key), randn(s, key), bernoulli(s, 0.3, key), bernoulli(s, 0.3, key, DType::boolean),
                       rand(s, key, DType::bf16)};
      }, 0);
    }
}
