// SPDX-License-Identifier: Apache-2.0
// test/engine/temporary.cpp — unfinished files that a program removes when a signal ends it.
#include "engine/core/temporary.h"

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("unfinished files can be removed, finished ones cannot", "[core]") {
  const Scratch folder;
  const std::string finished = folder.file("finished", "x"), unfinished = folder.file("unfinished", "x");
  { const Temporary soon(finished); }
  const Temporary never(unfinished), missing(folder / "missing");
  const pid_t child = ::fork();  // its parent goes on writing
  if (child == 0) {
    remove_temporaries();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  CHECK(folder.names().size() == 2);
  remove_temporaries();
  CHECK(folder.names() == std::vector<std::string>{"finished"});
}

TEST_CASE("more unfinished files than there are places", "[core]") {
  const Scratch folder;
  std::vector<std::unique_ptr<Temporary>> many;
  for (int i = 0; i < 200; ++i) many.push_back(std::make_unique<Temporary>(folder.file(str_cat(i), "x")));
  many.clear();
  const Temporary last(folder.file("last", "x"));
  remove_temporaries();
  CHECK(folder.names().size() == 200);
}
