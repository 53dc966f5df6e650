// SPDX-License-Identifier: Apache-2.0
// test/cli/models.cpp — `fovea models --all` gives the lists that timm's list_models() gives, in its order.
#include <nlohmann/json.hpp>
#include <sstream>

#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/sha256.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("the tool: models answers as timm's list_models() does", "[cli]") {
  std::istringstream rows(read_file(FOVEA_SOURCE_DIR "/test/golden/lists.tsv"));
  std::string row;
  std::getline(rows, row);
  int queries = 0;
  while (std::getline(rows, row)) {
    const size_t first = row.find('\t'), second = row.find('\t', first + 1);
    std::vector<std::string> args = nlohmann::json::parse(row.substr(0, first));
    INFO(row);
    args.insert(args.begin(), {"models", "--all"});
    const Outcome o = run_tool({}, args);
    REQUIRE(o.code == 0);
    CHECK(std::count(o.out.begin(), o.out.end(), '\n') == std::stoi(row.substr(first + 1, second - first - 1)));
    CHECK(sha256(o.out) == row.substr(second + 1));
    ++queries;
  }
  CHECK(queries >= 50);
}
