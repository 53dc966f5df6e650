// SPDX-License-Identifier: Apache-2.0
// test/cli/naflex.cpp — images that keep their aspect ratio: --max-seq-len.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/preprocess.h"
#include "data/decode.h"
#include "data/sequence.h"
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/safetensors.h"
#include "zoo/sequence_sessions.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;

namespace {

// A small ViT over sequences, with weights in a file, and three photos.
struct Photos {
  const Scratch scratch;
  const std::string model = "vit_tiny_patch16_224", weights = scratch / "w.safetensors";
  std::vector<std::string> paths, set;
  zoo::ModelOptions o{.num_classes = 7, .set = {{"use_naflex", "true"}, {"depth", "2"}, {"embed_dim", "48"}}};
  Photos() {
    for (const char* image : {"chelsea.png", "coffee.png", "rocket.jpg"})
      paths.push_back(FOVEA_SOURCE_DIR "/docs/images/" + std::string(image));
    for (const auto& [key, value] : o.set) set.push_back("--set"), set.push_back(key + "=" + value);
    const auto net = zoo::create(model, o);
    fill_weights(*net);
    write_safetensors(weights, net->state_dict());
  }
  std::unique_ptr<zoo::ImageModel> net(std::vector<std::pair<std::string, std::string>> more = {}) const {
    zoo::ModelOptions all = o;
    all.set.insert(all.set.end(), more.begin(), more.end());
    auto made = zoo::create(model, all);
    fill_weights(*made);
    return made;
  }
  zoo::PatchSequence sequence(zoo::ImageModel& net, std::array<int, 2> patch, int length) const {
    std::vector<data::Patches> all;
    for (const std::string& path : paths)
      all.push_back(data::sequence_transform(data::read_image(path), eval_config(net),
                                             {.patch = patch, .max_seq_len = length}));
    const data::SequenceBatch batch = data::collate(all, length);
    return {.patches = batch.patches, .coords = batch.coords, .valid = batch.valid};
  }
  std::string run(std::vector<std::string> args) const {
    args.insert(args.end(), {"--weights", weights, "--num-classes", "7"});
    args.insert(args.end(), set.begin(), set.end());
    const Outcome out = run_tool({}, args);
    INFO(out.err);
    REQUIRE(out.code == 0);
    return out.out;
  }
};

std::vector<NpzEntry> written(const std::string& path) { return read_npz_entries(Zip::open(MappedFile::open(path))); }

}  // namespace

TEST_CASE("the tool: classify and features of sequences of patches", "[cli]") {
  const NoGrad no_grad;
  const Photos site;
  const std::string& model = site.model;
  const auto net = site.net();
  const zoo::PatchSequence s = site.sequence(*net, {16, 16}, 100);
  const Tensor features = zoo::run_sequence(*net, s, true), classes = argmax(zoo::run_sequence(*net, s), 1);

  for (const std::vector<std::string>& how :
       {std::vector<std::string>{}, {"--batch", "3"}, {"--batch", "2", "--eager"}}) {
    std::vector<std::string> more{model};
    more.insert(more.end(), site.paths.begin(), site.paths.end());
    more.insert(more.end(), {"--max-seq-len", "100"});
    more.insert(more.end(), how.begin(), how.end());
    std::vector<std::string> save = more;
    save.insert(save.begin(), "features");
    save.insert(save.end(), {"-o", site.scratch / "f.npz"});
    site.run(save);
    const std::vector<NpzEntry> got = written(site.scratch / "f.npz");
    REQUIRE(got[0].tensor.shape() == features.shape());
    CHECK(relative_error(values_of(got[0].tensor), values_of(features)) < 1e-5);
    more.insert(more.begin(), "classify");
    more.push_back("--json");
    const auto said = nlohmann::json::parse(site.run(more));
    for (size_t i = 0; i < 3; ++i) CHECK(said.at(i).at("top").at(0).at("index") == classes.data<int64_t>()[i]);
  }
  const Outcome plain =
      run_tool({}, {"classify", model, site.paths[0], "--weights", site.weights, "--max-seq-len", "100"});
  CHECK(plain.code != 0);
  CHECK(plain.err.find("takes no sequences of patches") != std::string::npos);
}

TEST_CASE("the tool: patches of another size, and tokens of levels", "[cli]") {
  const NoGrad no_grad;
  const Photos site;
  const auto net = site.net({{"enable_patch_interpolator", "true"}});
  const zoo::PatchSequence s = site.sequence(*net, {14, 10}, 90);
  const zoo::SequenceWants wants{.levels = zoo::FeatureOptions{.indices = {0, -1}, .norm = true, .prefix_tokens = true},
                                 .patch = Size2(14, 10)};
  const Tensors levels = zoo::run_sequence(*net, s, wants);
  std::vector<std::string> args{"features", site.model};
  args.insert(args.end(), site.paths.begin(), site.paths.end());
  args.insert(args.end(), {"--max-seq-len", "90", "--patch-size", "14,10", "--out-indices", "0,-1", "--norm",
                           "--prefix-tokens", "--batch", "2", "-o", site.scratch / "t.npz"});
  for (const bool eager : {false, true}) {
    if (eager) args.push_back("--eager");
    site.run(args);
    const std::vector<NpzEntry> got = written(site.scratch / "t.npz");
    REQUIRE(got.size() == 7);
    const char* names[] = {"features_0", "features_-1", "prefix_0", "prefix_-1", "coords", "valid"};
    for (size_t i = 0; i < 6; ++i) CHECK(got[i].name == names[i]);
    for (size_t i = 0; i < 4; ++i) {
      REQUIRE(got[i].tensor.shape() == levels[i].shape());
      CHECK(relative_error(values_of(got[i].tensor), values_of(levels[i])) < 1e-5);
    }
    CHECK(values_of(got[4].tensor) == values_of(s.coords));
    CHECK(values_of(got[5].tensor) == values_of(s.valid));
  }
  args.insert(args.end(), {"--format", "nchw"});
  args.insert(args.end(), {"--weights", site.weights});
  const Outcome map = run_tool({}, args);
  CHECK(map.code != 0);
  CHECK(map.err.find("do not lie in one map") != std::string::npos);
}

TEST_CASE("the tool: sequences of patches and 8-bit integers exclude each other", "[cli]") {
  const Outcome both = run_tool(
      {}, {"classify", "naflexvit_base_patch16_gap", "x.png", "--max-seq-len", "64", "--calibration", "c.json"});
  CHECK(both.code != 0);
  for (const char* part : {"--calibration", " excludes ", "--max-seq-len"})
    CHECK(both.err.find(part) != std::string::npos);
  const Outcome alone = run_tool({}, {"classify", "naflexvit_base_patch16_gap", "x.png", "--patch-size", "8"});
  CHECK(alone.code != 0);
  CHECK(alone.err.find("--patch-size requires --max-seq-len") != std::string::npos);
}

TEST_CASE("the tool: validate and infer with sequences of patches", "[cli]") {
  const NoGrad no_grad;
  const Photos site;
  namespace fs = std::filesystem;
  const auto net = site.net();
  const Tensor classes = argmax(zoo::run_sequence(*net, site.sequence(*net, {16, 16}, 100)), 1);
  // the first two lie where the model puts them, the third elsewhere
  for (int c = 0; c < 7; ++c) fs::create_directories(site.scratch / str_cat("d/validation/", c));
  for (size_t i = 0; i < 3; ++i) {
    const int64_t c = (classes.data<int64_t>()[i] + (i == 2 ? 1 : 0)) % 7;
    fs::copy_file(site.paths[i],
                  site.scratch / str_cat("d/validation/", c, "/", fs::path(site.paths[i]).filename().string()));
  }
  write_file(site.scratch / "classes.txt", "0\n1\n2\n3\n4\n5\n6\n");
  std::vector<std::string> with{site.scratch / "d",
                                "--model",
                                site.model,
                                "--checkpoint",
                                site.weights,
                                "--num-classes",
                                "7",
                                "--class-map",
                                site.scratch / "classes.txt",
                                "-b",
                                "2",
                                "--max-seq-len",
                                "100",
                                "--model-kwargs"};
  for (const auto& [key, value] : site.o.set) with.push_back(key + "=" + value);
  std::vector<std::string> args{"validate"};
  args.insert(args.end(), with.begin(), with.end());
  const Outcome measured = run_tool(site.scratch / ".", args);
  INFO(measured.err);
  REQUIRE(measured.code == 0);
  const auto row = nlohmann::json::parse(measured.out.substr(measured.out.find("--result\n") + 9));
  CHECK(row.at("top1").get<double>() == Approx(200.0 / 3).margin(1e-3));
  CHECK(row.at("max_seq_len") == 100);
  args[0] = "infer";
  args.insert(args.begin() + 1, {"--include-index", "--label-type", "none"});
  const Outcome asked = run_tool(site.scratch / ".", args);
  INFO(asked.err);
  REQUIRE(asked.code == 0);
  const auto answers = nlohmann::json::parse(asked.out.substr(asked.out.find("--result\n") + 9));
  for (size_t i = 0; i < 3; ++i)
    CHECK(answers.at(fs::path(site.paths[i]).filename().string()).at("index") == classes.data<int64_t>()[i]);
}
