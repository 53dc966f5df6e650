// SPDX-License-Identifier: Apache-2.0
// test/engine/threads.cpp — what threads share without knowing of each other: plans of eager ops, weights, gradients'
// nodes, a session's constants. ThreadSanitizer watches these tests.
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/core/threads.h"
#include "engine/graph/session.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

constexpr int kThreads = 4;

// f(index) on so many threads at once; how many of them threw.
template <class F>
int on_threads(const F& f) {
  std::atomic<int> threw = 0;
  std::vector<std::thread> team;
  for (int i = 0; i < kThreads; ++i)
    team.emplace_back([&, i] {
      try {
        f(i);
      } catch (...) { ++threw; }
    });
  for (std::thread& t : team) t.join();
  return threw;
}

Session compiled(const Net& net, const Tensors& w) {
  return compile(trace([&](std::span<const Tensor> x) { return net.run(x, w); }, net.in), {.threads = 2});
}

bool same_numbers(const Tensor& a, const Tensor& b) {
  const Tensor x = contiguous(a), y = contiguous(b);
  return x.shape() == y.shape() && std::ranges::equal(x.data<float>(), y.data<float>());
}

}  // namespace

TEST_CASE("eager ops of several threads share weights and plans, while plans come and go", "[threads]") {
  const UseThreads two(2);
  const Tensor w = numbers({8, 4, 3, 3}, 1), x = numbers({2, 4, 9, 9}, 2);
  const auto net = [&] { return softmax(flatten(relu(conv(x, w, {}, {.pad = {1}})), 1), 1); };
  const Tensor want = net();
  std::atomic<int> wrong = 0;
  const int threw = on_threads([&](int thread) {
    const UseThreads use(2);
    for (int i = 0; i < 20; ++i) {
      if (thread == 0) clear_plan_cache();
      wrong += !same_numbers(net(), want);
    }
  });
  CHECK(threw == 0);
  CHECK(wrong == 0);
}

TEST_CASE("threads take gradients of their own through weights that they share", "[threads]") {
  const UseThreads one(1);
  const Tensor w = numbers({6, 5}, 3);
  const auto slope = [&](int64_t seed) {
    Tensor x = numbers({3, 5}, seed);
    x.set_requires_grad();
    backward(sum(square(linear(x, w))));
    return x.grad();
  };
  std::vector<Tensor> want;
  for (int i = 0; i < kThreads; ++i) want.push_back(slope(10 + i));
  std::atomic<int> wrong = 0;
  const int threw = on_threads([&](int thread) {
    const UseThreads use(1);
    for (int i = 0; i < 20; ++i) wrong += !same_numbers(slope(10 + thread), want[static_cast<size_t>(thread)]);
  });
  CHECK(threw == 0);
  CHECK(wrong == 0);
}

TEST_CASE("sessions are compiled on several threads at once", "[threads]") {
  const Net net = nets()[2];
  const Tensors w = net.make_weights();
  const Tensors in{numbers(net.in[0].shape, 5)};
  const Tensor want = compiled(net, w).run(in[0]);
  std::atomic<int> wrong = 0;
  const int threw = on_threads([&](int) {
    Session mine = compiled(net, w);
    for (int i = 0; i < 5; ++i) wrong += !same_numbers(mine.run(in[0]), want);
  });
  CHECK(threw == 0);
  CHECK(wrong == 0);
}

}  // namespace fovea
