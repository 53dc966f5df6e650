// SPDX-License-Identifier: Apache-2.0
// test/cli/naflex_training.cpp — `fovea train --naflex-loader`: learning from sequences of patches of several lengths.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/decode.h"
#include "data/encode_png.h"
#include "data/resize.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"
#include "train/checkpoint.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

using Words = std::vector<std::string>;

// Two classes of pictures of several shapes, and a small ViT over sequences.
struct Shapes {
  const Scratch scratch;
  Shapes() {
    write_image_folder(scratch / "data/train", 2, 20, 48, 1);
    write_image_folder(scratch / "data/val", 2, 6, 48, 2);
    for (const char* split : {"train", "val"})
      for (int i = 0; i < 6; ++i) {
        const std::string path = scratch / str_cat("data/", split, "/class", i % 2, "/", i, ".bmp");
        const data::Image image = data::read_image(path);
        write_file(path, data::encode_png(data::resize(image, 48 - 6 * i, 30 + 5 * i, data::Filter::bilinear)));
      }
  }
  Words train(const std::string& experiment, const Words& more = {}) const {
    Words args{"train", scratch / "data", "--model", "vit_tiny_patch16_224", "--model-kwargs", "use_naflex=true",
               "depth=2", "embed_dim=48", "--naflex-loader", "--naflex-train-seq-lens", "4", "6", "9",
               "--naflex-max-seq-len", "9", "-b", "8", "--opt", "adamw", "--lr", "0.002", "--warmup-epochs", "0",
               "--epochs", "4", "--output", scratch / "out", "--experiment", experiment, "--log-interval", "1",
               "--threads", "2", "--scale", "0.5", "1"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  std::string file(const std::string& experiment, const std::string& name) const {
    return scratch / str_cat("out/", experiment, "/", name);
  }
  Outcome run(const Words& args) const { return run_tool(scratch / ".", args); }
};

std::vector<double> losses(const std::string& path) {
  std::vector<double> out;
  const std::string steps = read_file(path);
  for (size_t from = 0, to; (to = steps.find('\n', from)) != steps.npos; from = to + 1)
    out.push_back(json::parse(steps.substr(from, to - from)).at("loss").get<double>());
  return out;
}

json result_of(const Outcome& o) {
  INFO(o.err);
  REQUIRE(o.code == 0);
  return json::parse(o.out.substr(o.out.find("--result\n") + 9));
}

}  // namespace

TEST_CASE("sequences of patches are learnt, eagerly as compiled", "[cli][train][slow]") {
  const Shapes site;
  const json best = result_of(site.run(site.train("a", {"--epochs", "8", "--workers", "3"})));
  const double top1 = best[0].at("validation").at("top1");
  CHECK(top1 > 80);
  std::vector<double> of_epochs;
  for (const json& e : best) of_epochs.push_back(e.at("train").at("loss"));
  CHECK(std::ranges::min(of_epochs) < 0.6 * std::ranges::max(of_epochs));

  const Words first{"--epochs", "8", "--eager", "--workers", "0", "--stop-epoch", "1"};
  const json eager = result_of(site.run(site.train("b", first)));
  CHECK(eager.size() == 1);
  const std::vector<double> all = losses(site.file("a", "steps.jsonl")), some = losses(site.file("b", "steps.jsonl"));
  REQUIRE(some.size() * 8 == all.size());
  for (size_t i = 0; i < some.size(); ++i) CHECK(some[i] == Approx(all[i]).epsilon(1e-4));

  Words asked{"validate", site.scratch / "data", "--model", "vit_tiny_patch16_224", "--model-kwargs", "use_naflex=true",
              "depth=2", "embed_dim=48", "--checkpoint", site.file("a", "model_best.safetensors"), "--num-classes", "2",
              "--naflex-max-seq-len", "9"};
  CHECK(result_of(site.run(asked)).at("top1").get<double>() == Approx(top1).margin(1e-3));

  site.scratch.file("data/val/class0/3.bmp", "no image");
  Words again = site.train("a", {"--epochs", "9", "--resume", "auto"});
  const Outcome bad = site.run(again);
  REQUIRE(bad.code == 0);
  CHECK(bad.err.find("1 images could not be read") != bad.err.npos);
}

TEST_CASE("mixed and erased sequences of several patch sizes are learnt, and go on where they stopped",
          "[cli][train][slow]") {
  const Shapes site;
  const Words how{"--mixup", "0.4", "--cutmix", "1", "--reprob", "0.5", "--naflex-patch-sizes", "16", "8",
                  "--naflex-patch-size-probs", "0.75", "0.25", "--naflex-loss-scale", "sqrt", "--model-ema",
                  "--model-ema-decay", "0.9", "--aa", "rand-m5", "--epochs", "2"};
  result_of(site.run(site.train("whole", how)));
  for (const double loss : losses(site.file("whole", "steps.jsonl"))) CHECK((loss > 0 && loss < 3));
  Words more = how;
  more.insert(more.end(), {"--resume", "auto", "--recovery-interval", "1"});
  const Words args = site.train("part", more);
  const std::filesystem::path steps = site.file("part", "steps.jsonl");
  const auto told = [&] { return std::filesystem::exists(steps) ? std::filesystem::file_size(steps) : 0; };
  int code = -1, stopped = 0;
  for (int i = 0; i < 4 && code != 0; ++i) {
    const auto before = told();
    RunningTool tool(args);
    for (int wait = 0; wait < 60'000 && told() == before; ++wait) ::usleep(1000);
    code = tool.stop(SIGINT);
    CHECK((code == 0 || code == 130 || code == 128 + SIGINT));
    stopped += code == 130;
  }
  REQUIRE(site.run(args).code == 0);
  CHECK(stopped > 0);
  const auto weights = [&](const char* experiment) {
    return train::sum_of(train::read_summed(site.file(experiment, "checkpoint-1.train.safetensors")));
  };
  CHECK(weights("part") == weights("whole"));
}

TEST_CASE("the dry run of sequences shows their batches and draws them", "[cli][train][slow]") {
  const Shapes site;
  const Words dry{"--dry-run", "--mixup", "1", "--contact-sheet", site.scratch / "s.png"};
  const Outcome o = site.run(site.train("dry", dry));
  INFO(o.err);
  REQUIRE(o.code == 0);
  for (const char* part : {"sequences of 4 patches: 16 images a batch", "sequences of 6 patches: 8 images a batch",
                           "sequences of 9 patches: 8 images a batch", "patches of 16x16",
                           "resized to sequences of at most 9 patches"})
    CHECK(o.out.find(part) != o.out.npos);
  CHECK(data::read_image(site.scratch / "s.png").width > 64);
}

TEST_CASE("flags that sequences exclude are refused", "[cli][train]") {
  const Shapes site;
  const auto refused = [&](const Words& more, const char* why) {
    const Outcome o = site.run(site.train("x", more));
    CHECK(o.code != 0);
    INFO(o.err);
    CHECK(o.err.find(why) != o.err.npos);
  };
  refused({"--grad-accum-steps", "2"}, "--grad-accum-steps beside --naflex-loader");
  refused({"--mixup", "1", "--mixup-mode", "pair"}, "--mixup-mode beside --naflex-loader");
  refused({"--train-crop-mode", "rkrc"}, "--train-crop-mode beside --naflex-loader");
  refused({"--naflex-patch-sizes", "8", "16", "--naflex-patch-size-probs", "1"}, "2 --naflex-patch-sizes and 1");
  refused({"--naflex-patchify-channels-first"}, "are rows of pixels");
  refused({"--model-kwargs", "use_naflex=false"}, "takes no sequences of patches");
  refused({"--eval-metric", "map"}, "images have one label each");
}
