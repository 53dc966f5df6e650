// SPDX-License-Identifier: Apache-2.0
// test/bench/samples.cpp — which runs count on a machine that others use, and how those that do are spread.
#include "bench/samples.h"

#include <numeric>

#include "bench/beside.h"
#include "test/support/catch.h"

using namespace fovea::bench;

TEST_CASE("quantiles are values that were measured", "[bench]") {
  CHECK(quantile({}, 0.5) == 0);
  CHECK(quantile({1, 2, 3, 4}, 0.5) == 3);         // the upper of two in the middle
  CHECK(quantile({1, 2, 3, 4, 5}, 0.5) == 3);
  CHECK(quantile({1, 2, 3, 4, 5}, 0) == 1);
  CHECK(quantile({1, 2, 3, 4, 5}, 1) == 5);
  CHECK(quantile({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.9) == 10);
  CHECK(median({9, 1, 5}) == 5);
}

TEST_CASE("a histogram holds every value", "[bench]") {
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) values.push_back(1 + 0.01 * i);
  values.push_back(50);                            // one that was interrupted
  const Histogram h = histogram(values);
  CHECK(h.from == 1);
  CHECK(h.from + h.width * static_cast<double>(h.counts.size()) == Approx(50));
  CHECK(std::accumulate(h.counts.begin(), h.counts.end(), int64_t{0}) == 101);
  CHECK(h.counts.size() == 40);
  CHECK(h.counts[0] >= 99);
  CHECK(h.counts.back() == 1);
  const Histogram same = histogram({2, 2, 2});
  CHECK(same.width == 0);
  CHECK(same.counts == std::vector<int64_t>{3});
  CHECK(histogram({}).counts.empty());
}

TEST_CASE("the runs beside the quickest canaries count, whatever they took", "[bench]") {
  CHECK(calmest({5, 1, 3, 2, 4}, 3) == std::vector<size_t>{1, 2, 3});
  CHECK(calmest({5, 1}, 3) == std::vector<size_t>{0, 1});
  CHECK(calmest({1, 1, 1, 1}, 2) == std::vector<size_t>{0, 1});
}

TEST_CASE("as many runs count as were wanted, and no more than three times as many are tried", "[bench]") {
  size_t calls = 0;
  Noise noise;
  const std::vector<size_t> count = run_calmly(4, noise, [&](size_t i) { CHECK(i == calls++); });
  CHECK(count.size() == 4);
  CHECK(calls >= 4);
  CHECK(calls <= 12);
  CHECK(noise.runs == static_cast<int>(calls));
  CHECK(noise.noisy == (noise.calm < 4));
  CHECK(noise.canary_best > 1e-5);
  CHECK(noise.slowdown() >= 1);
  for (size_t i = 1; i < count.size(); ++i) CHECK(count[i - 1] < count[i]);
}

TEST_CASE("a machine that others use is found out", "[bench]") {
  const BusyProcesses others(8);
  Noise noise;
  volatile double sum = 0;
  run_calmly(20, noise, [&](size_t) {
    for (int i = 0; i < 2'000'000; ++i) sum = sum + i;
  });
  CHECK(noise.preempted > 0);
  CHECK(noise.calm < noise.runs);
}
