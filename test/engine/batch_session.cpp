// SPDX-License-Identifier: Apache-2.0
// test/engine/batch_session.cpp — slices of a batch side by side give what each gives by itself, however they lie.
#include "engine/graph/batch_session.h"

#include <functional>

#include "engine/core/deferred.h"
#include "engine/core/threads.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

namespace fovea {
namespace {

// A convolution's maps, and their means.
Session small_session(int64_t each) {
  const Tensor w = test::filled("w", {8, 3, 3, 3});
  const auto net = [&](std::span<const Tensor> x) {
    const Tensor y = relu(conv(x[0], w, {}, {.pad = {1}}));
    return Tensors{y, mean(y, {2, 3})};
  };
  return compile(trace(net, {make_meta(DType::f32, {each, 3, 9, 7})}), {.threads = 1});
}

}  // namespace

TEST_CASE("slices side by side give the bits that they give alone", "[session]") {
  const UseThreads three(3);
  for (const int64_t each : {1, 2}) {
    BatchSession together(small_session(each));
    Session alone = small_session(each);
    for (const int64_t n : {1, 5, 2, 5})
      for (const Memory order : {Memory::contiguous, Memory::channels_last}) {
        INFO(n << " slices of " << each);
        const Tensor batch = contiguous(test::filled("x", {n * each, 3, 9, 7}), order);
        const std::span<const Tensor> all = together.run_borrowed(batch);
        REQUIRE(all.size() == 2);
        CHECK(all[0].shape() == Shape{n * each, 8, 9, 7});
        CHECK(all[1].shape() == Shape{n * each, 8});
        for (int64_t i = 0; i < n; ++i) {
          const Tensors own = alone.run({contiguous(slice(batch, 0, i * each, (i + 1) * each))});
          for (size_t k = 0; k < 2; ++k)
            CHECK(test::values_of(slice(all[k], 0, i * each, (i + 1) * each)) == test::values_of(own[k]));
        }
      }
  }
}

namespace {
struct Meanwhile final : Deferred {
  explicit Meanwhile(std::function<void()> f) : during(std::move(f)) {}
  void write(std::byte*) override { during(); }
  std::function<void()> during;
};
}  // namespace

TEST_CASE("a batch session runs one batch at a time, and a slice that fails is the caller's to hear", "[session]") {
  const UseThreads two(2);
  BatchSession s(small_session(1));
  const Tensor x = test::filled("x", {4, 3, 9, 7});
  const auto batch = [&](std::function<void()> f) {
    return deferred_tensor(x.meta(), std::make_shared<Meanwhile>(std::move(f)));
  };
  std::string said;
  (void)s.run_borrowed(batch([&] {
    try {
      (void)s.run_borrowed(x);
    } catch (const Error& e) {
      said = e.summary();
    }
  }));
  CHECK(said == "a BatchSession was used by two threads at once");
  CHECK_THROWS_AS(s.run_borrowed(batch([] { throw std::bad_alloc(); })), std::bad_alloc);
  const std::vector<double> before = test::values_of(s.run_borrowed(x)[1]);
  CHECK(test::values_of(s.run_borrowed(x)[1]) == before);
}

TEST_CASE("a batch session says what does not fit", "[session]") {
  CHECK_THROWS_WITH(BatchSession().run_borrowed(zeros({1})), contains_text("an empty BatchSession"));
  const UseThreads two(2);
  BatchSession pairs(small_session(2));
  CHECK_THROWS_WITH(pairs.run_borrowed(zeros({3, 3, 9, 7})), contains_text("compiled for slices of f32[2, 3, 9, 7]"));
  CHECK_THROWS_WITH(pairs.run_borrowed(zeros({2, 3, 9, 8})), contains_text("a batch is f32[2, 3, 9, 8]"));
  CHECK_THROWS_WITH(pairs.run_borrowed(permute(zeros({2, 3, 7, 9}), {0, 1, 3, 2})), contains_text("not dense"));
  const auto total = [](std::span<const Tensor> x) { return Tensors{sum(x[0], {0, 1})}; };
  CHECK_THROWS_WITH(BatchSession(compile(trace(total, {make_meta(DType::f32, {2, 3})}))),
                    contains_text("first dimension of the input"));
  CHECK(BatchSession::suits(2));
  CHECK(BatchSession::suits(9));
  CHECK_FALSE(BatchSession::suits(1));
  CHECK_FALSE(BatchSession::suits(3));
}

}  // namespace fovea
