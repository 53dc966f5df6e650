// SPDX-License-Identifier: Apache-2.0
// test/bench/beside.cpp — busy processes are busy while they are wanted, and gone afterwards.
#include "bench/beside.h"

#include <sys/wait.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "test/support/catch.h"

namespace fovea::bench {

namespace {

// The state of every child, as /proc shows it: R for one that runs or waits for a processor.
std::string states(const std::vector<int>& children) {
  std::string all;
  for (const int id : children) {
    std::ifstream file(str_cat("/proc/", id, "/stat"));
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const size_t name = text.rfind(") ");
    if (name != std::string::npos) all += text[name + 2];
  }
  return all;
}

}  // namespace

TEST_CASE("busy processes want processors all the time, and end", "[bench]") {
  std::vector<int> children;
  {
    const BusyProcesses two(2);
    children.assign(two.ids().begin(), two.ids().end());
    REQUIRE(children.size() == 2);
    int waiting = 0;                               // a new process may wait for a page
    for (int i = 0; i < 1000; ++i) waiting += states(children) != "RR";
    CHECK(waiting < 500);
    CHECK(waitpid(-1, nullptr, WNOHANG) == 0);     // there are children, and none has ended
  }
  CHECK(states(children).empty());
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

}  // namespace fovea::bench
