// SPDX-License-Identifier: Apache-2.0
// test/kernels/simt.cpp — the host's blocks and threads meet as a GPU's do, and what would go wrong there shows here.
#include "test/support/simt.h"

#include <numeric>
#include <vector>

#include "engine/core/error.h"
#include "kernels/cuda/device/block.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

using test::run_simt;
using test::SimtLaunch;
using test::SimtThread;

template <class T>
T* params_of(const void* p) { return static_cast<T*>(const_cast<void*>(p)); }

// The sum of all numbers below the block's size, written by every thread.
void sum_up(const SimtThread& t, const void* p) {
  const auto sum = cuda::sum_of(t, static_cast<double>(t.thread()), t.shared<double>());
  params_of<double>(p)[t.block() * t.threads() + t.thread()] = sum;
}

// Every thread reads what its neighbour wrote; `meets` says whether it waits for that.
template <bool meets>
void read_neighbour(const SimtThread& t, const void* p) {
  int* const seen = t.shared<int>();
  seen[t.thread()] = t.thread();
  if (meets) t.sync();
  params_of<int>(p)[t.thread()] = seen[(t.thread() + 1) % t.threads()];
}

int wrong_neighbours(void (*body)(const SimtThread&, const void*), uint64_t seed) {
  std::vector<int> got(64);
  run_simt(body, got.data(), {.threads = 64, .shared = 64 * sizeof(int), .seed = seed});
  int wrong = 0;
  for (int i = 0; i < 64; ++i) wrong += got[static_cast<size_t>(i)] != (i + 1) % 64;
  return wrong;
}

}  // namespace

TEST_CASE("simt: the threads of blocks of all sizes find their sum, in any order", "[simt]") {
  for (const int threads : {32, 64, 256})
    for (uint64_t seed = 0; seed < 10; ++seed) {
      std::vector<double> got(static_cast<size_t>(3 * threads));
      run_simt(sum_up, got.data(), {.blocks = 3, .threads = threads, .shared = 64, .seed = seed});
      const double want = threads * (threads - 1) / 2;
      INFO(threads << " threads, seed " << seed);
      CHECK(std::count(got.begin(), got.end(), want) == 3 * threads);
    }
}

TEST_CASE("simt: a forgotten meeting shows, whichever way round its threads would run", "[simt]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CHECK(wrong_neighbours(read_neighbour<true>, seed) == 0);
    CHECK(wrong_neighbours(read_neighbour<false>, seed) > 0);
  }
}

TEST_CASE("simt: an order is the seed's, so that what it shows can be shown again", "[simt]") {
  const auto order = [](uint64_t seed) {
    struct Seen {
      std::vector<int> order;
    } seen;
    run_simt([](const SimtThread& t, const void* p) { params_of<Seen>(p)->order.push_back(t.thread()); }, &seen,
             {.threads = 32, .meets = false, .seed = seed});
    return seen.order;
  };
  CHECK(order(1) == order(1));
  CHECK(order(1) != order(2));
}

TEST_CASE("simt: threads that wait for those who never come are an error", "[simt]") {
  const auto half = [](const SimtThread& t, const void*) {
    if (t.thread() < 32) t.sync();
  };
  CHECK_THROWS_WITH(run_simt(half, nullptr, {.threads = 64}), contains_text("32 of 64 threads of block 0 wait"));
  const auto elsewhere = [](const SimtThread& t, const void*) {
    if (t.thread() % 2) t.sync();
    else (void)t.from_lane(1, 0);
  };
  CHECK_THROWS_WITH(run_simt(elsewhere, nullptr, {.threads = 32}), contains_text("32 of 32 threads"));
  const auto meets = [](const SimtThread& t, const void*) { t.sync(); };
  CHECK_THROWS_WITH(run_simt(meets, nullptr, {.meets = false}), contains_text("never meet"));
  CHECK_THROWS_WITH(run_simt(meets, nullptr, {.threads = 33}), contains_text("a block of 33 threads"));
  std::vector<double> got(64);                     // and the stacks of those can be used again
  run_simt(sum_up, got.data(), {.threads = 64, .shared = 64});
  CHECK(got[63] == 2016);
}

TEST_CASE("simt: what a thread says has failed reaches the caller, and atomics add up", "[simt]") {
  const auto fails = [](const SimtThread& t, const void*) {
    t.sync();
    if (t.thread() == 40) t.fail(cuda::Failure::index_out_of_range);
    t.sync();
  };
  CHECK_THROWS_WITH(run_simt(fails, nullptr, {.threads = 64}), contains_text("outside the dimension"));
  float sum = 0;
  run_simt([](const SimtThread& t, const void* p) { t.add(params_of<float>(p), 1.0f); }, &sum,
           {.blocks = 8, .threads = 64, .meets = false});
  CHECK(sum == 512);
}

}  // namespace fovea
