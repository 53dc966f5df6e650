// SPDX-License-Identifier: Apache-2.0
// test/cli/train.cpp — `fovea train`, `validate` and `infer` as a user has them: learning, going on, stopping.
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/decode.h"
#include "engine/core/text.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"
#include "train/checkpoint.h"
#include "train/summary.h"

using namespace fovea;
using fovea::test::Outcome;
using fovea::test::run_tool;
using fovea::test::Scratch;
using nlohmann::json;

namespace {

struct Data {
  Data() {
    test::write_image_folder(scratch / "data/train", 3, 16, 40, 1);
    test::write_image_folder(scratch / "data/val", 3, 6, 40, 2);
  }
  std::vector<std::string> train(const std::string& experiment, std::vector<std::string> more = {}) const {
    std::vector<std::string> args{"train",
                                  scratch / "data",
                                  "--model",
                                  "test_resnet",
                                  "--img-size",
                                  "32",
                                  "-b",
                                  "8",
                                  "--epochs",
                                  "3",
                                  "--opt",
                                  "adamw",
                                  "--lr",
                                  "0.003",
                                  "--output",
                                  scratch / "out",
                                  "--experiment",
                                  experiment,
                                  "--workers",
                                  "2",
                                  "--warmup-epochs",
                                  "0",
                                  "--log-interval",
                                  "2",
                                  "--scale",
                                  "0.5",
                                  "1",
                                  "--drop-path",
                                  "0.1",
                                  "--model-ema",
                                  "--model-ema-decay",
                                  "0.5"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  std::string file(const std::string& experiment, const std::string& name) const {
    return scratch / ("out/" + experiment + "/" + name);
  }
  Scratch scratch;
};

json result_of(const std::string& out) {
  const size_t at = out.find("--result\n");
  REQUIRE(at != out.npos);
  return json::parse(out.substr(at + 9));
}

std::string weights_of(const std::string& path) { return train::sum_of(train::read_summed(path)); }

}  // namespace

TEST_CASE("fovea train learns, and what it leaves can be measured and asked", "[cli][train][slow]") {
  const Data data;
  const Outcome trained = run_tool(data.scratch / ".", data.train("a", {"--epochs", "8"}));
  INFO(trained.err);
  REQUIRE(trained.code == 0);
  const json best = result_of(trained.out);
  REQUIRE(best.size() == 8);
  const double top1 = best[0].at("validation").at("top1");
  CHECK(top1 > 80);

  const std::string summary = test::read_file(data.file("a", "summary.csv"));
  CHECK(summary.starts_with("epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,"));
  CHECK(std::count(summary.begin(), summary.end(), '\n') == 9);
  const std::string steps = test::read_file(data.file("a", "steps.jsonl"));
  CHECK(json::parse(steps.substr(0, steps.find('\n'))).at("step") == 1);
  CHECK(std::filesystem::exists(data.file("a", "last.safetensors")));
  CHECK(std::filesystem::exists(data.file("a", "model_best.safetensors")));

  SECTION("validate and infer agree with each other") {
    const std::vector<std::string> with{data.scratch / "data", "--model", "test_resnet", "--checkpoint",
                                        data.file("a", "last.safetensors"), "--img-size", "32", "--num-classes", "3"};
    std::vector<std::string> args{"validate"};
    args.insert(args.end(), with.begin(), with.end());
    args.insert(args.end(), {"--metrics-avg", "macro", "--results-file", data.scratch / "rows.csv"});
    const Outcome measured = run_tool(data.scratch / ".", args);
    INFO(measured.err);
    REQUIRE(measured.code == 0);
    const json row = result_of(measured.out);
    CHECK(row.at("top1").get<double>() + row.at("top1_err").get<double>() == Approx(100));
    CHECK(row.at("top5") == 100);
    CHECK(row.at("img_size") == 32);
    CHECK(row.contains("macro_f1_score"));
    CHECK(test::read_file(data.scratch / "rows.csv").starts_with("model,top1,top1_err,top5,top5_err,macro_precision"));

    args = {"infer"};
    args.insert(args.end(), with.begin(), with.end());
    args.insert(args.end(), {"--fullname", "--include-index", "--topk", "1", "--results-dir", data.scratch / "answers",
                             "--results-format", "csv", "json"});
    const Outcome asked = run_tool(data.scratch / ".", args);
    INFO(asked.err);
    REQUIRE(asked.code == 0);
    const json answers = result_of(asked.out);
    CHECK(answers.size() == 18);
    int right = 0;
    for (const auto& [path, answer] : answers.items()) {
      right += path.find(str_cat("/class", answer.at("index").get<int>(), "/")) != path.npos;
      CHECK(answer.at("prob").get<double>() <= 1);
    }
    CHECK(100.0 * right / 18 == Approx(row.at("top1").get<double>()).margin(1e-3));
    CHECK(json::parse(test::read_file(data.scratch / "answers/test_resnet-32.json")) == answers);
    CHECK(test::read_file(data.scratch / "answers/test_resnet-32.csv").starts_with("filename,index,prob\n"));
  }
}

TEST_CASE("fovea train that is interrupted and resumed ends where it would have", "[cli][train][slow]") {
  const Data data;
  REQUIRE(run_tool(data.scratch / ".", data.train("whole")).code == 0);
  const Outcome part = run_tool(data.scratch / ".", data.train("part", {"--stop-epoch", "1"}));
  INFO(part.err);
  REQUIRE(part.code == 0);
  SECTION("between epochs") {
    const Outcome rest = run_tool(data.scratch / ".", data.train("part", {"--resume", "auto"}));
    INFO(rest.err);
    REQUIRE(rest.code == 0);
  }
  SECTION("by Ctrl-C, in the middle of an epoch") {
    std::vector<std::string> args = data.train("part", {"--resume", "auto", "--log-interval", "1"});
    int code = -1, stopped = 0;
    for (int i = 0; i < 20 && code != 0; ++i) {
      test::RunningTool tool(args);
      ::usleep(150'000 + 40'000 * static_cast<useconds_t>(i));
      code = tool.stop(SIGINT);
      CHECK((code == 0 || code == 130 || code == 128 + SIGINT));
      stopped += code == 130;
    }
    REQUIRE(run_tool(data.scratch / ".", args).code == 0);
    CHECK(stopped > 0);
  }
  CHECK(weights_of(data.file("part", "checkpoint-2.train.safetensors")) ==
        weights_of(data.file("whole", "checkpoint-2.train.safetensors")));
  CHECK(test::read_file(data.file("part", "summary.csv")) == test::read_file(data.file("whole", "summary.csv")));
}

TEST_CASE("fovea train stops with a code of its own when the loss is not finite", "[cli][train][slow]") {
  const Data data;
  const Outcome o =
      run_tool(data.scratch / ".", data.train("bad", {"--opt", "momentum", "--lr", "1e30", "--epochs", "9"}));
  INFO(o.err);
  CHECK(o.code == 3);
  CHECK(o.err.find("nothing was changed") != std::string::npos);
  CHECK_NOTHROW(train::read_summed(data.file("bad", "recovery.safetensors")));
}

TEST_CASE("fovea train reads args.yaml and says what it does not do", "[cli][train]") {
  const Data data;
  const std::string config = data.scratch.file("args.yaml",
                                               "# a recipe\nmodel: test_resnet\nbatch_size: 8\nepochs: 1\nmixup: 0.0\n"
                                               "aa: null\nlr: 0.001\nmean:\n- 0.5\n- 0.5\n- 0.5\nstd: [0.5, 0.5, 0.5]\n"
                                               "img_size: 32\nno_aug: true\npin_mem: false\nunheard_of: 3\n"
                                               "device: cuda\nfuser: ''\nwandb_tags: []\nopt: momentum\n"
                                               "opt_kwargs:\n  dampening: 0.5\n");
  const Outcome o = run_tool(data.scratch / ".", {"train", data.scratch / "data", "-c", config, "--output",
                                                  data.scratch / "out", "--experiment", "yaml", "--lr", "0.002"});
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(o.err.find("no flag 'unheard_of'") != std::string::npos);
  const std::string args = test::read_file(data.file("yaml", "args.yaml"));
  CHECK(args.find("lr: 0.002\n") != std::string::npos);
  CHECK(args.find("no_aug: true\n") != std::string::npos);
  CHECK(args.find("mean:\n- 0.5\n") != std::string::npos);
  CHECK(args.find("opt_kwargs: dampening=0.5\n") != std::string::npos);
  CHECK(o.err.find("--device cuda") != std::string::npos);
  const Outcome mixed = run_tool(data.scratch / ".", data.train("x", {"--amp"}));
  CHECK(mixed.code == 1);
  CHECK(mixed.err.find("not there yet") != std::string::npos);
  CHECK(run_tool(data.scratch / ".", data.train("x", {"--log-wandb"})).err.find("nobody outside") != std::string::npos);
  CHECK(
      run_tool(data.scratch / ".", {"train", data.scratch / "data", "--model", "test_resnet", "--opt", "adan2"}).code ==
      1);
}

TEST_CASE("fovea train --dry-run says what it would do, and draws it", "[cli][train][slow]") {
  const Data data;
  const std::string sheet = data.scratch / "sheet.png";
  const Outcome o = run_tool(data.scratch / ".",
                             data.train("dry", {"--dry-run", "--contact-sheet", sheet, "--aa", "rand-m9-mstd0.5-inc1",
                                                "--cutmix", "1", "--reprob", "0.25", "--weight-decay", "0.05"}));
  INFO(o.out << o.err);
  REQUIRE(o.code == 0);
  for (const char* part :
       {"model test_resnet", "48 of 3 classes", "6 an epoch of 8 images", "optimizer adamw", "loss ce", "mixed targets",
        "no_decay: ", "weight decay 0.05", "random resized crop, 32x32: area 0.5 to 1",
        "RandAugment: 2 of AutoContrast", "CutMix, alpha 1", "erased with probability 0.25", "transform of evaluation",
        "aa: rand-m9-mstd0.5-inc1"}) {
    INFO(part);
    CHECK(o.out.find(part) != std::string::npos);
  }
  CHECK(o.out.find("brightness") == std::string::npos);     // a policy stands for it
  const data::Image image = data::read_image(sheet);
  CHECK(image.width == 8 * 36 + 4);
  CHECK(image.height == 36 + 4);
  CHECK_FALSE(std::filesystem::exists(data.scratch / "out"));
  const Outcome wrong = run_tool(data.scratch / ".", data.train("dry", {"--dry-run", "--aa", "rand-m9-q3"}));
  CHECK(wrong.code == 1);
  CHECK(wrong.err.find("has a part 'q3'") != std::string::npos);
}

TEST_CASE("fovea train takes recipes of timm's", "[cli][train][slow]") {
  const Data data;
  const auto one = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.end(), {"--epochs", "1", "--threads", "1"});
    const Outcome o = run_tool(data.scratch / ".", data.train(name, more));
    INFO(name << ": " << o.err);
    CHECK(o.code == 0);
    return o;
  };
  one("mixed", {"--mixup", "0.4", "--cutmix", "1", "--mixup-mode", "elem", "--bce-loss", "-vb", "5", "--reprob",
                "0.5"});
  one("policy", {"--aa", "rand-m9-mstd0.5-inc1", "--aug-repeats", "3", "--mixup", "0.2", "--mixup-mode", "half"});
  one("augmix", {"--aa", "augmix-m5-w4-d2", "--aug-splits", "3", "--jsd-loss"});
  one("splits", {"--aug-splits", "2", "--jsd-loss", "--resplit", "--reprob", "0.3", "--grayscale-prob", "0.5"});
  const Outcome sizes = one("sizes", {"--train-img-sizes", "24", "32", "--train-batch-sizes", "8", "4", "--opt", "lion",
                                      "--variable-batch-loss-scale", "sqrt", "--train-batches-per-epoch", "5"});
  CHECK(sizes.err.find("/5 (") != std::string::npos);
  one("teacher",
      {"--kd-model-name", "test_resnet=" + data.file("mixed", "last.safetensors"), "--task-loss-weight", "0.5"});
  one("blurred", {"--train-crop-mode", "rkrr", "--gaussian-blur-prob", "1", "--opt", "kron", "--val-split", "",
                  "--save-epochs", "0", "--head-init-scale", "0.5"});
  CHECK(std::filesystem::exists(data.file("blurred", "milestone-0.safetensors")));
  CHECK_NOTHROW(train::read_summed(data.file("blurred", "milestone-0.safetensors")));

  const auto refused = [&](std::vector<std::string> more, const std::string& why) {
    const Outcome o = run_tool(data.scratch / ".", data.train("x", std::move(more)));
    INFO(o.err);
    CHECK(o.code == 1);
    CHECK(o.err.find(why) != std::string::npos);
  };
  refused({"--jsd-loss"}, "--aug-splits");
  refused({"--mixup", "0.2", "-b", "7"}, "odd");
  refused({"--aug-repeats", "0.5"}, "from 1 on");
  refused({"--train-batches-per-epoch", "3"}, "--train-img-sizes");
  refused({"--resume", data.file("mixed", "nothing.safetensors")}, "nothing.safetensors");
}

TEST_CASE("event files are TensorBoard's", "[train]") {
  CHECK(train::crc32c("123456789") == 0xE3069283u);         // the published check value
  const Scratch scratch;
  std::string path;
  {
    train::EventFile events(scratch / "");
    events.add(300, {{"train/loss", 0.5}});
    path = events.path();
  }
  const std::string bytes = test::read_file(path);
  // version: tag 1 with a double, tag 3 with the text
  REQUIRE(bytes.size() > 60);
  CHECK(bytes.substr(12 + 9, 2) == "\x1a\x0d");
  CHECK(bytes.substr(12 + 11, 13) == "brain.Event:2");
  const size_t second = 12 + 24 + 4;
  CHECK(bytes.substr(second + 12 + 9, 3) == std::string("\x10\xac\x02", 3));        // step 300
  CHECK(bytes.find("train/loss") != bytes.npos);
  CHECK(bytes.substr(bytes.size() - 8, 4) == std::string("\0\0\0\x3f", 4));        // 0.5f
}
