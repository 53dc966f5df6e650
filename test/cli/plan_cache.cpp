// SPDX-License-Identifier: Apache-2.0
// test/cli/plan_cache.cpp — commands that find their model compiled say the same as those that compile it.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

const std::string kImage = FOVEA_SOURCE_DIR "/docs/images/rocket.jpg";

struct Prepared {
  Scratch folder;
  std::string weights = folder / "w.safetensors";
  std::string cache = "FOVEA_CACHE=" + (folder / "plans");
  explicit Prepared(const std::string& name) {
    auto model = zoo::create(name);
    model->materialise();
    write_safetensors(weights, model->state_dict());
  }
  std::string say(const std::vector<std::string>& args) const {
    const Outcome o = run_tool({}, args, {cache});
    INFO(o.err);
    REQUIRE(o.code == 0);
    return o.out;
  }
};

}  // namespace

TEST_CASE("the tool: classify from the plan cache", "[cli][plan_cache]") {
  const Prepared p("test_resnet");
  std::vector<std::string> args{"classify", "test_resnet", kImage, "--weights", p.weights, "--json"};
  std::vector<std::string> uncached = args;
  uncached.emplace_back("--no-cache");
  const std::string want = p.say(uncached);
  CHECK_FALSE(std::filesystem::exists(p.folder / "plans"));
  CHECK(p.say(args) == want);
  CHECK(std::filesystem::exists(p.folder / "plans"));
  CHECK(p.say(args) == want);
  args.pop_back();
  CHECK(p.say(args).find("(from the plan cache)") != std::string::npos);
}

TEST_CASE("the tool: features from the plan cache", "[cli][plan_cache]") {
  const Prepared p("test_resnet");
  const auto features = [&](const std::string& out, std::vector<std::string> more) {
    more.insert(more.begin(), {"features", "test_resnet", kImage, "--weights", p.weights, "-o", p.folder / out});
    p.say(more);
    return read_file(p.folder / out);
  };
  const std::string pooled = features("a.csv", {}), levels = features("a.npz", {"--out-indices", "1,-1"});
  CHECK(features("b.csv", {}) == pooled);
  CHECK(features("b.npz", {"--out-indices", "1,-1"}) == levels);
  CHECK(features("c.csv", {"--no-cache"}) == pooled);
}

TEST_CASE("the tool: bench measures starts", "[cli][bench][plan_cache]") {
  const Prepared p("test_vit");
  const json told = json::parse(p.say({"bench", "test_vit", "--start", "2", "--weights", p.weights, "--json"}));
  CHECK(told.at("model") == "test_vit");
  REQUIRE(told.at("starts").size() == 4);
  for (const json& s : told.at("starts")) {
    CHECK(s.at("ms").size() == 2);
    CHECK(s.at("ms")[0] > 0);
    CHECK(s.at("peak_mb")[0] > 1);
  }
  CHECK_FALSE(std::filesystem::exists(p.folder / "plans"));            // it measures in a folder of its own
  const std::vector<std::string> once{"bench", "test_vit", "--once", "--cache", "--weights", p.weights};
  const json first = json::parse(p.say(once)), second = json::parse(p.say(once));
  CHECK(first.at("from_cache") == false);
  CHECK(second.at("from_cache") == true);
  CHECK(first.at("out") == second.at("out"));
  const Outcome o = run_tool({}, {"bench", "test_vit", "--once", "--cache"});
  CHECK(o.code == 1);
  CHECK(o.err.find("the plan cache is for models with weights") != std::string::npos);
}
