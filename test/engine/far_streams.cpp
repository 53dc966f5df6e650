// SPDX-License-Identifier: Apache-2.0
// test/engine/far_streams.cpp — sessions whose memory, inputs and results belong to several streams stay in order.
#include <array>
#include <optional>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/graph/batch_session.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/far_device.h"

namespace fovea {
namespace {

using test::far_device;
using test::relative_error;
using test::values_of;

const Device kFar = far_device(0);
// Queues are late at random: what is not ordered shows in some round.
constexpr int kRounds = 20;

Stream stream(int n) { return runtime_of(kFar).stream(kFar, n); }

Tensor far_full(const Shape& s, double value) { return full(s, value, DType::f32, kFar); }

// `value` in every element, once its stream has come so far.
Tensor late(const Shape& s, double value) {
  Tensor x = far_full(s, value - 8);
  for (int i = 0; i < 8; ++i) x = x + 1.0;
  return x;
}

}  // namespace

TEST_CASE("far: results of a session are its caller's, whatever stream it is run on next", "[far][session]") {
  test::add_far_devices();
  Session s = compile(trace([](const Tensor& x) { return x * 2.0; }, {make_meta(DType::f32, {300}, {}, kFar)}),
                      {.device = kFar});
  Tensors results;
  for (int i = 0; i < 4 * kRounds; ++i) {
    const UseStream use(stream(i % 4));
    results.push_back(s.run(far_full({300}, i)));
  }
  for (int i = 0; i < 4 * kRounds; ++i) CHECK(sum(results[static_cast<size_t>(i)]).item() == 600.0 * i);
}

TEST_CASE("far: a session waits for inputs of other streams", "[far][session]") {
  test::add_far_devices();
  Session s = compile(trace([](const Tensor& x) { return x * 2.0; }, {make_meta(DType::f32, {300}, {}, kFar)}),
                      {.device = kFar});
  for (int i = 0; i < kRounds; ++i) {
    Tensor x, y;
    {
      const UseStream use(stream(1));
      x = late({300}, i);
    }
    {
      const UseStream use(stream(2));
      y = s.run(x);
    }
    const UseStream use(stream(1));
    x = {};                                        // only after the session has read it
    const Tensor over = far_full({300}, -1);
    CHECK(sum(over).item() == -300);
    CHECK(sum(y).item() == 600.0 * i);
  }
}

TEST_CASE("far: a session waits for constants of other streams", "[far][session]") {
  test::add_far_devices();
  for (int i = 0; i < kRounds; ++i) {
    Tensor w;
    {
      const UseStream use(stream(1));
      w = late({300}, i);
    }
    const UseStream use(stream(2));
    Session s = compile(trace([&](const Tensor& x) { return x * w; }, {make_meta(DType::f32, {300}, {}, kFar)}),
                        {.device = kFar});
    CHECK(sum(s.run(far_full({300}, 2))).item() == 600.0 * i);
  }
}

TEST_CASE("far: a fork on another stream waits for the packed weights", "[far][session]") {
  test::add_far_devices();
  const Tensor w = numbers({6, 5}, 1), x = numbers({2, 5}, 2), want = linear(x, w);
  for (int i = 0; i < kRounds; ++i) {
    std::optional<Session> made;
    {
      const UseStream use(stream(1));
      const Tensor there = w.to(kFar);
      const auto product = [&](const Tensor& in) { return linear(in, there); };
      made = compile(trace(product, {make_meta(DType::f32, {2, 5}, {}, kFar)}), {.device = kFar});
    }
    const UseStream use(stream(2));
    Session fork = made->fork();
    CHECK(relative_error(values_of(fork.run(x.to(kFar))), values_of(want)) < 1e-6);
  }
}

TEST_CASE("far: inputs in another order are brought into it on any stream", "[far][session]") {
  test::add_far_devices();
  const Shape shape{20, 30};
  const Graph g = trace([](const Tensor& x) { return x * 2.0; }, {make_meta(DType::f32, shape, {}, kFar)});
  for (int i = 0; i < kRounds; ++i) {
    Tensor y;
    std::optional<Session> s = compile(g, {.device = kFar});
    {
      const UseStream use(stream(1));              // memory for the copy belongs to this one
      s->run(transpose(far_full({30, 20}, -5), 0, 1));
    }
    {
      const UseStream use(stream(3));              // and what the copy needs for itself, of more bytes, to this one
      s->run(slice(far_full({20, 60}, -5), 1, 0, 60, 2));
    }
    {
      const UseStream use(stream(2));
      y = s->run(transpose(late({30, 20}, i), 0, 1));
    }
    s.reset();
    std::array<Tensors, 4> over;                   // by stream; the session's memory among it
    for (const int n : {1, 3})
      for (const int64_t columns : {30, 60, 60}) {
        const UseStream use(stream(n));
        over[static_cast<size_t>(n)].push_back(far_full({20, columns}, -1));
      }
    const auto check_intact = [&] {
      for (const int n : {1 + i % 2 * 2, 3 - i % 2 * 2}) {       // the first waits for no other
        const UseStream use(stream(n));
        for (const Tensor& t : over[static_cast<size_t>(n)]) CHECK(sum(t).item() == static_cast<double>(-t.numel()));
      }
    };
    check_intact();
    {
      const UseStream use(stream(2));
      CHECK(sum(y).item() == 1200.0 * i);
    }
    check_intact();
  }
}

TEST_CASE("far: results of batches are there on the stream that they belong to", "[far][session]") {
  test::add_far_devices();
  for (int i = 0; i < kRounds; ++i) {
    std::optional<BatchSession> batch;
    {
      const UseStream use(stream(2));
      batch.emplace(
          compile(trace([](const Tensor& x) { return x * 2.0; }, {make_meta(DType::f32, {1, 300}, {}, kFar)}),
                  {.device = kFar, .threads = 1}),
          2);
    }
    for (const int n : {0, 2, 1}) {                // results belong to stream 0
      const UseStream use(stream(n));
      const Tensor y = batch->run_borrowed(late({3, 300}, i + n))[0];
      CHECK(values_of(y) == std::vector<double>(900, 2.0 * (i + n)));
    }
  }
}

}  // namespace fovea
