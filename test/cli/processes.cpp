// SPDX-License-Identifier: Apache-2.0
// test/cli/processes.cpp — `mpirun -n N fovea …` answers as one process does. Where there is no mpirun of OpenMPI these
// tests say so and check what the tool says without.
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/core/text.h"
#include "test/cli/launched.h"
#include "test/support/catch.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"
#include "train/checkpoint.h"
#include "zoo/zoo.h"

using namespace fovea;
using fovea::test::Around;
using fovea::test::Outcome;
using fovea::test::run_tool_in;
using fovea::test::Scratch;
using nlohmann::json;

namespace {

std::vector<std::string> parts_of(const std::string& text, char between) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, between);)
    if (!part.empty()) out.push_back(part);
  return out;
}

bool has_mpirun() {
  for (const std::string& folder : parts_of(std::getenv("PATH") ? std::getenv("PATH") : "", ':'))
    if (::access((folder + "/orterun").c_str(), X_OK) == 0) return true;      // what OpenMPI 4 calls it, too
  WARN("skipped: there is no mpirun of OpenMPI 4 here");
  return false;
}

Outcome run(int n, const std::string& folder, const std::vector<std::string>& args) {
  const Around around{.folder = folder,
                      .settings = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "FOVEA_THREADS=1",
                                   "OMPI_MCA_btl_vader_single_copy_mechanism=none", "ASAN_OPTIONS=detect_leaks=0"}};
  if (n == 1) return run_tool_in(around, args);
  return test::run_launched({"mpirun", "--oversubscribe", "--bind-to", "none", "-n", std::to_string(n)}, around, args);
}

struct Data {
  Data() {
    test::write_image_folder(scratch / "data/train", 2, 9, 32, 1);
    test::write_image_folder(scratch / "data/val", 2, 3, 32, 2);
  }
  // 16 of 18 images a step, whatever the number of processes
  Outcome train(int n, const std::string& experiment, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> args{"train", scratch / "data", "--model", "test_resnet", "--img-size", "32",
                                  "-b", std::to_string(16 / n), "--epochs", "3", "--opt", "sgd", "--lr", "0.02",
                                  "--output", scratch / "out", "--experiment", experiment, "--workers", "1",
                                  "--warmup-epochs", "0", "--log-interval", "1", "--sync-bn"};
    args.insert(args.end(), more.begin(), more.end());
    return run(n, scratch / ".", args);
  }
  std::vector<double> losses(const std::string& experiment) const {
    std::vector<double> out;
    for (const std::string& line : parts_of(test::read_file(file(experiment, "steps.jsonl")), '\n'))
      out.push_back(json::parse(line).at("loss"));
    return out;
  }
  std::string file(const std::string& experiment, const std::string& name) const {
    return scratch / ("out/" + experiment + "/" + name);
  }
  Scratch scratch;
};

}  // namespace

TEST_CASE("processes under mpirun lose what one loses, and go on in another number", "[cli][train][peers]") {
  if (!has_mpirun()) return;
  const Data data;
  const Outcome alone = data.train(1, "one"), two = data.train(2, "two", {"--stop-epoch", "2"});
  INFO(alone.err << "\n" << two.err << two.out);
  REQUIRE((alone.code == 0 && two.code == 0));
  CHECK_THAT(two.err, contains_text("2 processes of 1 threads"));
  CHECK(two.out.find("--result") == two.out.rfind("--result"));          // one of them writes
  const std::vector<double> wanted = data.losses("one");
  REQUIRE(wanted.size() == 3);
  CHECK(std::abs(wanted[2] - wanted[0]) > 1e-3);
  const Outcome resumed = data.train(1, "two", {"--resume", "auto"});
  INFO(resumed.err);
  CHECK(resumed.code == 0);
  const std::vector<double> losses = data.losses("two");
  REQUIRE(losses.size() == 3);
  for (size_t i = 0; i < wanted.size(); ++i) CHECK(std::abs(losses[i] - wanted[i]) < 1e-5);

  const std::vector<std::string> with{data.scratch / "data", "--model", "test_resnet", "--checkpoint",
                                      data.file("one", "last.safetensors"), "--img-size", "32", "--num-classes", "2"};
  const auto same = [&](std::vector<std::string> args) {
    args.insert(args.begin() + 1, with.begin(), with.end());
    const Outcome a = run(1, data.scratch / ".", args), b = run(4, data.scratch / ".", args);
    INFO(a.err << "\n" << b.err);
    CHECK((a.code == 0 && b.code == 0));
    CHECK(a.out.starts_with("--result\n"));
    CHECK(a.out == b.out);
  };
  same({"validate", "-b", "2"});
  same({"infer", "-b", "2", "--label-type", "none"});
  for (const int n : {1, 3}) {
    const Outcome f = run(n, data.scratch / ".",
                          {"features", "test_resnet", "--weights", data.file("one", "last.safetensors"),
                           data.scratch / "data/val", "--num-classes", "2", "--img-size", "32", "-o",
                           data.scratch / (std::to_string(n) + ".csv")});
    INFO(f.err);
    CHECK(f.code == 0);
  }
  CHECK(test::read_file(data.scratch / "1.csv") == test::read_file(data.scratch / "3.csv"));
}

TEST_CASE("an error of one process ends all", "[cli][train][peers][slow]") {
  if (!has_mpirun()) return;
  const Data data;
  const std::string weights = data.scratch / "weights.safetensors";
  const std::unique_ptr<zoo::ImageModel> model = zoo::create("test_resnet", {.num_classes = 2});
  model->materialise(1);
  train::write_summed(weights, model->state_dict());
  // the second of two reads this one, and no image may be unreadable
  test::write_file(data.scratch / "data/val/class1/broken.bmp", "no image");
  const Outcome o = run(2, data.scratch / ".", {"validate", data.scratch / "data", "--model", "test_resnet",
                                                "--checkpoint", weights, "--img-size", "32", "--num-classes", "2"});
  CHECK(o.code != 0);
  CHECK_THAT(o.err, contains_text("1 images could not be read, the limit is 0"));
  CHECK(o.out.find("--result") == o.out.npos);
  const Outcome head = data.train(2, "head", {"--head-only"});
  CHECK(head.code != 0);
  CHECK_THAT(head.err, contains_text("--head-only in 2 processes"));
}

TEST_CASE("processes that cannot find each other are told how", "[cli][peers]") {
  Around torchrun{.settings = {"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=localhost", "MASTER_PORT=29500"}};
  const Outcome o = run_tool_in(torchrun, {"validate", "/nowhere", "--model", "test_resnet"});
  CHECK(o.code == 1);
  CHECK_THAT(o.err, contains_text("torchrun started 2 processes") && contains_text("mpirun -n 2 fovea"));
}
