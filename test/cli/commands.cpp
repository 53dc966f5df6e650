// SPDX-License-Identifier: Apache-2.0
// test/cli/commands.cpp — every command of the tool: its flags, its JSON, the files that it writes.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "api/preprocess.h"
#include "data/decode.h"
#include "data/labels.h"
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

const std::string kImages = FOVEA_SOURCE_DIR "/docs/images/";
const std::string kModel = "test_efficientnet";

// test_efficientnet with the weights of the formula, and a file of them.
struct Filled {
  Scratch scratch;
  std::unique_ptr<zoo::ImageModel> model = zoo::create(kModel);
  std::string weights = scratch / "w.safetensors";
  Filled() {
    fill_weights(*model);
    model->eval();
    write_safetensors(weights, model->state_dict());
  }
  Tensor image(const std::string& name) const { return preprocess(*model, data::read_image(kImages + name)); }
};

std::string succeed(const std::vector<std::string>& args, const std::vector<std::string>& settings = {}) {
  const Outcome o = run_tool({}, args, settings);
  INFO(o.err);
  REQUIRE(o.code == 0);
  return o.out;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

std::vector<std::string> models(std::vector<std::string> args) {
  args.insert(args.begin(), "models");
  return lines(succeed(args));
}

bool has(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

TEST_CASE("the tool: classify", "[cli]") {
  if (!data::can_decode()) return;
  const Filled net;
  const std::vector<std::string> names{kImages + "rocket.jpg", kImages + "coffee.png"};
  const auto classify = [&](std::vector<std::string> more) {
    std::vector<std::string> args{"classify", kModel, names[0], names[1], "--weights", net.weights};
    args.insert(args.end(), more.begin(), more.end());
    return succeed(args);
  };
  const NoGrad no_grad;
  for (const std::vector<std::string>& how : {std::vector<std::string>{},
                                              {"--eager"},
                                              {"--threads", "1"},
                                              {"--dtype", "bf16"},
                                              {"--dtype", "bf16", "--eager"}}) {
    std::vector<std::string> flags{"--json", "--topk", "3"};
    flags.insert(flags.end(), how.begin(), how.end());
    const json report = json::parse(classify(flags));
    REQUIRE(report.size() == 2);
    const bool exact = how.empty() || how[0] != "--dtype";
    for (size_t i = 0; i < 2; ++i) {
      REQUIRE(report[i].size() == 2);
      CHECK(report[i].at("image") == names[i]);
      const json& top = report[i].at("top");
      REQUIRE(top.size() == 3);
      const Tensor wanted = softmax((*net.model)(net.image(i ? "coffee.png" : "rocket.jpg")), 1);
      for (size_t k = 0; k < 3; ++k) {
        REQUIRE(top[k].size() == 3);
        const int index = top[k].at("index").get<int>();
        const double p = top[k].at("prob").get<double>();
        CHECK(top[k].at("label") == std::string(data::label(index)));
        CHECK(
            p ==
            Approx(static_cast<double>(wanted.data<float>()[static_cast<size_t>(index)])).epsilon(exact ? 1e-3 : 0.3));
        if (k) CHECK(p <= top[k - 1].at("prob").get<double>());
      }
    }
  }
  const std::string text = classify({});  // for people: five classes an image, with times
  CHECK(lines(text).size() == 1 + 2 * 6);
  CHECK(text.find("infer") != std::string::npos);
}

TEST_CASE("the tool: models", "[cli]") {
  const std::vector<std::string> all = models({});
  CHECK(all == zoo::list());
  CHECK(has(all, "efficientnet_b0"));
  CHECK(!has(all, "tf_efficientnet_b0_ns"));  // a deprecated name
  const std::vector<std::string> some = models({"efficientnet_b?", "tinynet_*", "--exclude", "*_b3", "tinynet_a"});
  CHECK(has(some, "efficientnet_b1"));
  CHECK(has(some, "tinynet_b"));
  CHECK(!has(some, "efficientnet_b3"));
  CHECK(!has(some, "tinynet_a"));
  CHECK(models({"--module", "efficientnet"}).size() == 115);
  CHECK(models({"--all"}).size() == 1371);
  CHECK(models({"--all", "--tags", "--pretrained"}).size() == 1826);
  const std::vector<std::string> tags = models({"--tags", "--pretrained", "tf_efficientnet_lite*"});
  CHECK(tags == std::vector<std::string>{"tf_efficientnet_lite0.in1k", "tf_efficientnet_lite1.in1k",
                                         "tf_efficientnet_lite2.in1k", "tf_efficientnet_lite3.in1k",
                                         "tf_efficientnet_lite4.in1k"});
  CHECK(json::parse(succeed({"models", "--json"})).get<std::vector<std::string>>() == all);
  CHECK(models({"nothing_is_called_so"}).empty());
}

TEST_CASE("the tool: info", "[cli]") {
  std::ifstream file(FOVEA_SOURCE_DIR "/test/golden/models/efficientnet.json");
  const json recorded = json::parse(file);
  size_t compared = 0;
  for (const json& entry : recorded) {
    const std::string name = entry.at("name");
    if (name != "tf_efficientnet_lite0" && name != "test_efficientnet" && name != "mobilenetv2_100") continue;
    ++compared;
    const json info = json::parse(succeed({"info", name, "--json"}));
    for (const char* key : {"params", "num_classes", "num_features", "head_hidden_size", "input", "fo_info"}) {
      INFO(name << " " << key);
      CHECK(info.at(key) == entry.at(key));
    }
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016llx",
                  static_cast<unsigned long long>(fnv1a(succeed({"info", name, "--state"}))));
    CHECK(hash == entry.at("state_fnv1a"));
  }
  CHECK(compared == 3);
  // a token model gives its last three levels unless it is told otherwise
  CHECK(json::parse(succeed({"info", "vit_tiny_patch16_224", "--json"})).at("fo_info").size() == 3);

  const json cfg = json::parse(succeed({"info", "tf_efficientnet_lite0", "--json"})).at("pretrained_cfg");
  CHECK(cfg.at("tag") == "in1k");
  CHECK(cfg.at("interpolation") == "bicubic");
  CHECK(cfg.at("crop_pct") == 0.875);
  CHECK(cfg.at("mean") == json({0.5, 0.5, 0.5}));
  CHECK(cfg.at("hf_hub_id") == "timm/tf_efficientnet_lite0.in1k");
  const std::string text = succeed({"info", "tf_efficientnet_lite0"});
  CHECK(text.find("4.65 M") != std::string::npos);
  CHECK(text.find("tf_efficientnet_lite0.in1k") != std::string::npos);
}

TEST_CASE("the tool: features", "[cli]") {
  if (!data::can_decode()) return;
  const Filled net;
  const NoGrad no_grad;
  // a folder in natural order, between files in the order given
  std::filesystem::create_directories(net.scratch / "photos/sub");
  std::filesystem::copy(kImages + "rocket.jpg", net.scratch / "photos/r10.jpg");
  std::filesystem::copy(kImages + "coffee.png", net.scratch / "photos/r9.PNG");
  std::filesystem::copy(kImages + "chelsea.png", net.scratch / "photos/sub/c.png");
  net.scratch.file("photos/notes.txt", "not an image");
  const std::vector<std::string> paths{kImages + "rocket.jpg", net.scratch / "photos/r9.PNG",
                                       net.scratch / "photos/r10.jpg", net.scratch / "photos/sub/c.png",
                                       kImages + "coffee.png"};
  const std::vector<std::string> shown{"rocket.jpg", "coffee.png", "rocket.jpg", "chelsea.png", "coffee.png"};
  const auto features = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> args{"features",  kModel,      paths[0], net.scratch / "photos", paths[4],
                                  "--weights", net.weights, "-o",     net.scratch / out};
    args.insert(args.end(), more.begin(), more.end());
    succeed(args);
    return net.scratch / out;
  };
  Tensors images;
  for (const std::string& name : shown) images.push_back(net.image(name));
  const Tensor all = cat(images, 0);
  const std::vector<double> rows = values_of(net.model->forward_head(net.model->forward_features(all), true));

  for (const std::vector<std::string>& how :
       {std::vector<std::string>{}, {"--pre-logits", "--batch", "2"}, {"--eager", "--batch", "7"}}) {
    const std::vector<NpzEntry> got = read_npz_entries(Zip::open(MappedFile::open(features("f.npz", how))));
    REQUIRE(got.size() == 2);
    CHECK(got[0].name == "features");
    CHECK(got[0].tensor.shape() == Shape{5, net.model->head_hidden_size()});
    CHECK(relative_error(values_of(got[0].tensor), rows) < 1e-5);
    CHECK(got[1].name == "paths");
    CHECK(got[1].texts == paths);
  }

  const std::vector<std::string> csv = lines(read_file(features("f.csv", {"--batch", "3"})));
  REQUIRE(csv.size() == 6);
  CHECK(csv[0].starts_with("path,f0,f1,"));
  const size_t width = static_cast<size_t>(net.model->head_hidden_size());
  for (size_t i = 0; i < 5; ++i) {
    const size_t comma = csv[i + 1].find("\",");
    CHECK(csv[i + 1].substr(0, comma + 1) == '"' + paths[i] + '"');
    CHECK(std::stod(csv[i + 1].substr(comma + 2)) == Approx(rows[i * width]).margin(1e-4));
  }

  const Tensors maps = net.model->forward_intermediates(all, {.indices = {1, -1}, .stop_early = true}).features;
  const std::vector<NpzEntry> got =
      read_npz_entries(Zip::open(MappedFile::open(features("m.npz", {"--out-indices", "1,-1", "--batch", "2"}))));
  REQUIRE(got.size() == 3);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(got[i].name == (i ? "features_-1" : "features_1"));
    CHECK(got[i].tensor.shape() == maps[i].shape());
    CHECK(relative_error(values_of(got[i].tensor), values_of(maps[i])) < 1e-5);
  }
  CHECK(got[2].texts == paths);
}

TEST_CASE("the tool: convert and weights", "[cli]") {
  const Filled net;
  const std::string out = net.scratch / "out.safetensors";
  succeed({"convert", net.weights, out, "--model", kModel});
  CHECK(read_file(out) == read_file(net.weights));
  succeed({"convert", golden("plain.zip.pth"), out});
  const std::vector<std::string> listed = lines(succeed({"weights", out}));
  CHECK(listed[0] == "12 tensors");
  CHECK(listed.size() == 13);
}

TEST_CASE("the tool: convert writes fused networks, and reads them", "[cli]") {
  const Scratch scratch;
  const auto model = zoo::create("mobileone_s1");
  fill_weights(*model);
  const std::string weights = scratch / "w.safetensors", fused = scratch / "fused.safetensors";
  write_safetensors(weights, model->state_dict());
  succeed({"convert", weights, fused, "--model", "mobileone_s1", "--fuse"});
  CHECK(lines(succeed({"weights", fused}))[0] == "88 tensors");
  succeed({"convert", fused, scratch / "again.safetensors", "--model", "mobileone_s1"});
  CHECK(read_file(scratch / "again.safetensors") == read_file(fused));
  const Filled net;
  const Outcome o = run_tool({}, {"convert", net.weights, fused, "--model", kModel, "--fuse"});
  CHECK(o.code != 0);
  CHECK(o.err.find("has no branches to fuse") != std::string::npos);
  CHECK(run_tool({}, {"convert", weights, fused, "--fuse"}).code != 0);  // of which model?
}

TEST_CASE("the tool: bench answers as a worker", "[cli]") {
  const Filled net;
  const auto [channels, height, width] = net.model->input_size();
  const Tensor x = golden_input({2, channels, height, width});
  const std::span<const float> values = x.data<float>();
  const std::string input =
      net.scratch.file("x.f32", {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  const NoGrad no_grad;
  const std::vector<double> logits = values_of((*net.model)(x));
  for (const bool train : {false, true}) {
    std::vector<std::string> args{"bench",     "--worker", kModel,      "--batch",   "2",       "--dtype", "f32",
                                  "--threads", "2",        "--weights", net.weights, "--input", input};
    if (train) args.push_back("--train");
    RunningTool worker(args);
    const json ready = json::parse(worker.hear());
    CHECK(ready.at("ready") == true);
    CHECK(ready.at("load_s").get<double>() > 0);
    CHECK(ready.at("first_ms").get<double>() > 0);
    CHECK(ready.at("rss_mb").get<int>() > 0);
    REQUIRE(ready.at("out").size() == (train ? 1 : 8));
    if (!train)
      for (size_t i = 0; i < 8; ++i) CHECK(ready["out"][i].get<double>() == Approx(logits[i]).margin(1e-4));
    for (const int runs : {1, 3}) {
      worker.say(str_cat("run ", runs));
      const json ms = json::parse(worker.hear());
      CHECK(ms.size() == static_cast<size_t>(runs));
      for (const json& m : ms) CHECK(m.get<double>() > 0);
    }
    CHECK(worker.finish() == 0);
  }
  RunningTool confused({"bench", "--worker", kModel});
  CHECK(!confused.hear().empty());
  confused.say("walk 3");
  CHECK(confused.hear().empty());
  CHECK(confused.finish() == 1);
}

TEST_CASE("the tool: one number rules the threads", "[cli]") {
  struct Row {
    std::vector<std::string> args, settings;
    size_t threads;
  };
  for (const Row& row : {Row{{"--threads", "1"}, {}, 1}, Row{{}, {"FOVEA_THREADS=1"}, 1},
                         Row{{"--threads", "3"}, {}, 3}, Row{{}, {"FOVEA_THREADS=2"}, 2},
                         Row{{"--threads", "1"}, {"FOVEA_THREADS=3"}, 1}, Row{{"--threads", "1", "--train"}, {}, 1},
                         Row{{"--threads", "2", "--train"}, {}, 2}, Row{{"--threads", "1", "--eager"}, {}, 1}}) {
    std::vector<std::string> args{"bench", "--worker", kModel};
    args.insert(args.end(), row.args.begin(), row.args.end());
    RunningTool worker(args, row.settings);
    REQUIRE(!worker.hear().empty());
    INFO("fovea " << join(args, " ") << "  " << join(row.settings, " "));
    CHECK(worker.threads() == row.threads);
    CHECK(worker.finish() == 0);
  }
}
