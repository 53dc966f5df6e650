// SPDX-License-Identifier: Apache-2.0
// test/cli/finite.cpp — commands do not answer with what is no number, and say where it begins.
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

const std::string kImage = FOVEA_SOURCE_DIR "/docs/images/rocket.jpg";

// test_resnet with one NaN in a weight and one infinity behind it.
struct Broken {
  Scratch folder;
  std::string weights = folder / "w.safetensors", cache = "FOVEA_CACHE=" + (folder / "plans");
  Broken() {
    auto model = zoo::create("test_resnet");
    model->materialise();
    for (const NamedParameter& p : model->named_state()) {
      if (p.name == "layer2.0.conv2.weight") p.tensor().mutable_data<float>()[9 * 48 + 4] = kNaN;
      if (p.name == "fc.bias") p.tensor().mutable_data<float>()[2] = std::numeric_limits<float>::infinity();
    }
    write_safetensors(weights, model->state_dict());
  }
  Outcome run(std::vector<std::string> args) const {
    args.insert(args.end(), {"--weights", weights});
    return run_tool({}, args, {cache});
  }
  static constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
};

}  // namespace

TEST_CASE("the tool: no class is named after weights with a NaN", "[cli][finite]") {
  const Broken b;
  const std::string why = "test_resnet.r160_in1k are not finite: layer2.0.conv2.weight ";
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--json"}, {"--eager"}, {"--dtype", "bf16"}, {"--no-cache"}}) {
    std::vector<std::string> args{"classify", "test_resnet", kImage};
    args.insert(args.end(), more.begin(), more.end());
    for (int again = 0; again < 2; ++again) {      // also where a compiled model might have been kept
      const Outcome o = b.run(args);
      INFO(o.out << o.err);
      CHECK(o.code == 1);
      CHECK(o.err.find(why) != std::string::npos);
      CHECK(o.err.find("[48, 48, 3, 3] holds nan at [1, 0, 1, 1]") != std::string::npos);
      CHECK(o.err.find("--allow-nan") != std::string::npos);
      CHECK(o.out.find("nan") == std::string::npos);
      CHECK(o.out.find("null") == std::string::npos);
    }
  }
}

TEST_CASE("the tool: who allows NaN is told what it is, and JSON says so", "[cli][finite]") {
  const Broken b;
  for (int again = 0; again < 2; ++again) {
    const Outcome o = b.run({"classify", "test_resnet", kImage, "--json", "--allow-nan"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    CHECK(o.err.find("layer2.0.conv2.weight") != std::string::npos);
    const json told = json::parse(o.out);
    CHECK(told.at(0).at("finite") == false);
    CHECK(told.at(0).at("top").size() == 5);
  }
  const Outcome text = b.run({"classify", "test_resnet", kImage, "--allow-nan"});
  CHECK(text.code == 0);
  CHECK(text.out.find("nan") != std::string::npos);
}

TEST_CASE("the tool: features and ranges of weights with a NaN are not written", "[cli][finite]") {
  const Broken b;
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--out-indices", "1,-1"}}) {
    std::vector<std::string> args{"features", "test_resnet", kImage, "-o", b.folder / "f.npz"};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome o = b.run(args);
    INFO(o.err);
    CHECK(o.code == 1);
    CHECK(o.err.find("layer2.0.conv2.weight") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(b.folder / "f.npz"));
  }
  std::filesystem::create_directory(b.folder / "photos");
  std::filesystem::copy_file(kImage, b.folder / "photos/rocket.jpg");
  const Outcome o = b.run({"quantize", "test_resnet", "--images", b.folder / "photos", "-o", b.folder / "r.json",
                           "--crops", "2", "--compare", "0"});
  INFO(o.err);
  CHECK(o.code == 1);
  CHECK(o.err.find("layer2.0.conv2.weight") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(b.folder / "r.json"));
}
