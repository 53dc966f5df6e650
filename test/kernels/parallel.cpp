// SPDX-License-Identifier: Apache-2.0
// test/kernels/parallel.cpp — the pool: everything is done once, by no more threads than were asked for, whoever else
// calls.
#include "kernels/cpu/parallel.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "engine/core/threads.h"
#include "test/support/catch.h"

namespace fovea::kernels::cpu {
namespace {

// How often each of n items was visited.
std::vector<int> visits(int64_t n, int64_t grain) {
  std::vector<std::atomic<int>> count(static_cast<size_t>(n));
  parallel_for(n, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) ++count[static_cast<size_t>(i)];
  });
  return {count.begin(), count.end()};
}

}  // namespace

TEST_CASE("pool: every item once, for all sizes and numbers of threads", "[cpu]") {
  for (int n : {1, 2, 3, 7}) {
    const UseThreads use(n);
    for (int64_t items : {1, 2, 5, 64, 1000})
      for (int64_t grain : {1, 3, 64}) {
        INFO(n << " threads, " << items << " items, grain " << grain);
        CHECK(visits(items, grain) == std::vector<int>(static_cast<size_t>(items), 1));
      }
  }
}

TEST_CASE("pool: many short regions one after the other", "[cpu]") {
  const UseThreads use(4);
  int64_t total = 0;
  for (int i = 0; i < 20000; ++i) {
    std::atomic<int64_t> sum = 0;
    parallel_for(9, 1, [&](int64_t first, int64_t last) { sum += last - first; });
    total += sum;
  }
  CHECK(total == 9 * 20000);
}

TEST_CASE("pool: a region inside a region stays on its thread", "[cpu]") {
  const UseThreads use(3);
  std::atomic<int> strangers = 0;
  parallel_for(6, 1, [&](int64_t, int64_t) {
    const auto me = std::this_thread::get_id();
    parallel_for(100, 1, [&](int64_t, int64_t) { strangers += std::this_thread::get_id() != me; });
  });
  CHECK(strangers == 0);
}

TEST_CASE("pool: no more threads than were asked for", "[cpu]") {
  for (int n : {1, 2, 3}) {
    const UseThreads use(n);
    std::mutex lock;
    std::set<std::thread::id> seen;
    for (int i = 0; i < 200; ++i)
      parallel_for(64, 1, [&](int64_t, int64_t) {
        const std::scoped_lock hold(lock);
        seen.insert(std::this_thread::get_id());
      });
    CHECK(seen.size() <= static_cast<size_t>(n));
  }
}

TEST_CASE("pool: several callers at once", "[cpu]") {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      const UseThreads use(3);
      for (int i = 0; i < 300; ++i) wrong += visits(50, 1) != std::vector<int>(50, 1);
    });
  for (std::thread& t : callers) t.join();
  CHECK(wrong == 0);
}

}  // namespace fovea::kernels::cpu
