// SPDX-License-Identifier: Apache-2.0
// test/cli/quantize.cpp — `fovea quantize`, and what takes the files that it writes.
#include <fstream>
#include <nlohmann/json.hpp>

#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("the tool: quantize, and classify and bench with what it found", "[cli][quant]") {
  const Scratch scratch;
  const std::string images = FOVEA_SOURCE_DIR "/docs/images", weights = scratch / "w.safetensors",
                    found = scratch / "c.json";
  const std::unique_ptr<zoo::ImageModel> model = zoo::create("test_efficientnet");
  fill_weights(*model);
  write_safetensors(weights, model->state_dict());
  const std::vector<std::string> quantize{"quantize", "test_efficientnet", "--weights", weights, "--images", images,
                                          "--crops",  "6",                 "--compare", "5",     "-o",       found};
  const Outcome first = run_tool({}, quantize);
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK_THAT(first.out, contains_text("6 crops of 3 images"));
  CHECK_THAT(first.out, contains_text(" of 5)"));
  CHECK(run_tool({}, quantize).out == first.out);  // seeded: the same crops, the same bits
  const nlohmann::json written = nlohmann::json::parse(std::ifstream(found));
  CHECK(written.at("model") == model->full_name());
  CHECK(written.at("values").size() > 5);

  const std::string photo = images + "/coffee.png";
  const auto classify = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args{"classify", "test_efficientnet", photo, "--weights", weights, "--json"};
    args.insert(args.end(), more.begin(), more.end());
    return run_tool({}, args);
  };
  const Outcome plain = classify({}), int8 = classify({"--calibration", found});
  REQUIRE(int8.code == 0);
  const auto prob = [](const Outcome& o) {
    return nlohmann::json::parse(o.out)[0].at("top")[0].at("prob").get<double>();
  };
  CHECK(prob(int8) == Approx(prob(plain)).epsilon(0.3));
  CHECK(prob(int8) != prob(plain));
  const Outcome bench = run_tool(
      {}, {"bench", "test_efficientnet", "--dtype", "int8", "--calibration", found, "--repeat", "2", "--per-op"});
  CHECK(bench.code == 0);
  CHECK_THAT(bench.out, contains_text("quant_conv"));

  const Outcome other = run_tool({}, {"bench", "test_resnet", "--dtype", "int8", "--calibration", found});
  CHECK(other.code == 1);
  CHECK_THAT(other.err, contains_text("not for test_resnet"));
  std::ofstream(found) << R"({"model": ")" << model->full_name()
                       << R"(", "values": {"a": {"range": [3, 1], "mean": []}}})";
  CHECK(classify({"--calibration", found}).code == 1);
  CHECK(classify({"--calibration", scratch / "none.json"}).code == 1);
  CHECK(run_tool({}, {"quantize", "test_efficientnet", "--weights", weights, "--images", scratch / "none", "-o", found})
            .code == 1);
}
