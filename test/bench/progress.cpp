// SPDX-License-Identifier: Apache-2.0
// test/bench/progress.cpp — how far a loop has come, in words, and how often that is said.
#include "bench/progress.h"

#include "test/support/catch.h"

using namespace fovea;

TEST_CASE("progress: count, rate and time left", "[bench]") {
  using bench::how_far;
  CHECK(how_far(0, 12, "images", 3) == "0 of 12 images");
  CHECK(how_far(3, 12, "images", 2) == "3 of 12 images, 1.5/s, 6 s left");
  CHECK(how_far(12, 12, "images", 2) == "12 of 12 images, 6.0/s");
  CHECK(how_far(250, 100'000, "images", 2) == "250 of 100000 images, 125/s, 13 min 18 s left");
  CHECK(how_far(1, 1000, "crops", 20) == "1 of 1000 crops, 0.05/s, 5 h 33 min left");
  CHECK(how_far(1, 12, "images", 0) == "1 of 12 images");
  CHECK(how_far(1'200'000'000, 4'500'000'000, "bytes", 4) == "1.2 of 4.5 GB, 300 MB/s, 11 s left");
  CHECK(how_far(500, 2000, "bytes", 1) == "0.50 of 2.0 kB, 0.50 kB/s, 3 s left");
}

TEST_CASE("progress: plain lines come ever more seldom", "[bench]") {
  bench::Pace pace;
  std::vector<int> told;
  for (int second = 0; second < 400; ++second)
    if (pace.due(second)) told.push_back(second);
  CHECK(told == std::vector<int>{5, 10, 20, 40, 80, 140, 200, 260, 320, 380});
}
