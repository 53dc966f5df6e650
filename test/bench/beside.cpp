// SPDX-License-Identifier: Apache-2.0
// test/bench/beside.cpp — busy processes are busy while they are wanted, and gone afterwards.
#include "bench/beside.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "test/support/catch.h"

namespace fovea::bench {

TEST_CASE("busy processes use processors and end", "[bench]") {
  const auto children_seconds = [] {
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
  };
  const double before = children_seconds();
  {
    const BusyProcesses two(2);
    usleep(300'000);
    CHECK(waitpid(-1, nullptr, WNOHANG) == 0);     // there are children, and none has ended
  }
  CHECK(children_seconds() - before > 0.01);       // as little as a crowded machine may give them
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

}  // namespace fovea::bench
