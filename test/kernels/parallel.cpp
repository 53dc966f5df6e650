// SPDX-License-Identifier: Apache-2.0
// test/kernels/parallel.cpp — the pool: everything is done once, by no more threads than were asked for, whoever else
// calls.
#include "kernels/cpu/threads/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
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

TEST_CASE("pool: what a body throws reaches the caller, and the pool goes on", "[cpu]") {
  for (int n : {1, 2, 4}) {
    const UseThreads use(n);
    INFO(n << " threads");
    for (int64_t bad = 0; bad < 40; ++bad) {
      std::atomic<int> begun = 0, ended = 0;
      try {
        parallel_for(40, 1, [&](int64_t first, int64_t last) {
          ++begun;
          if (first <= bad && bad < last) throw std::runtime_error("item " + std::to_string(bad));
          ++ended;
        });
        FAIL("nothing was thrown");
      } catch (const std::runtime_error& e) {
        CHECK(std::string(e.what()) == "item " + std::to_string(bad));
      }
      CHECK(begun == ended + 1);                   // nobody is still at work
      CHECK(visits(100, 1) == std::vector<int>(100, 1));
    }
  }
}

TEST_CASE("pool: when every piece throws, one exception arrives", "[cpu]") {
  const UseThreads use(4);
  for (int i = 0; i < 200; ++i)
    CHECK_THROWS_AS(parallel_for(64, 1, [](int64_t, int64_t) { throw std::bad_alloc(); }), std::bad_alloc);
  CHECK(visits(100, 1) == std::vector<int>(100, 1));
}

TEST_CASE("pool: a region that throws inside a region", "[cpu]") {
  const UseThreads use(3);
  CHECK_THROWS_AS(parallel_for(6, 1, [](int64_t, int64_t) {
    parallel_for(10, 1, [](int64_t, int64_t) { throw std::length_error("inner"); });
  }), std::length_error);
  CHECK(visits(100, 1) == std::vector<int>(100, 1));
}

TEST_CASE("memory that a thread lends twice is apart, and kept", "[cpu]") {
  const std::byte *first = nullptr, *second = nullptr;
  for (int i = 0; i < 3; ++i) {
    const ThreadArray<int> outer(1000);
    std::fill_n(outer.data(), 1000, 1);
    {
      const ThreadArray<int> inner(5000);
      std::fill_n(inner.data(), 5000, 2);
      const ThreadMemory innermost(100);
      std::fill_n(innermost.data(), 100, std::byte{3});
      CHECK(std::count(inner.data(), inner.data() + 5000, 2) == 5000);
      if (i == 1) second = reinterpret_cast<const std::byte*>(inner.data());
      if (i == 2) CHECK(second == reinterpret_cast<const std::byte*>(inner.data()));
    }
    CHECK(std::count(outer.data(), outer.data() + 1000, 1) == 1000);
    CHECK(reinterpret_cast<uintptr_t>(outer.data()) % 64 == 0);
    if (i == 1) first = reinterpret_cast<const std::byte*>(outer.data());
    if (i == 2) CHECK(first == reinterpret_cast<const std::byte*>(outer.data()));
  }
  CHECK_THROWS_AS(ThreadMemory(size_t{1} << 60), std::bad_alloc);
  CHECK(ThreadMemory(64).data() != nullptr);       // what could not be had is not taken
}

TEST_CASE("pool: a loop inside a loop has memory of its own", "[cpu]") {
  const UseThreads use(3);
  std::atomic<int> wrong = 0;
  parallel_for(12, 1, [&](int64_t first, int64_t) {
    const ThreadArray<int64_t> mine(64);
    std::fill_n(mine.data(), 64, first);
    parallel_for(5, 1, [&](int64_t, int64_t) {
      const ThreadArray<int64_t> inner(64);
      std::fill_n(inner.data(), 64, -1);
    });
    wrong += std::count(mine.data(), mine.data() + 64, first) != 64;
  });
  CHECK(wrong == 0);
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
