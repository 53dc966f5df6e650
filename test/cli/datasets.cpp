// SPDX-License-Identifier: Apache-2.0
// test/cli/datasets.cpp — training from all forms of a dataset, and from one of which a part cannot be read.
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/tar_members.h"
#include "engine/core/text.h"
#include "test/cli/tool.h"
#include "test/support/archives.h"
#include "test/support/catch.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using fovea::test::make_tar;
using fovea::test::Outcome;
using fovea::test::run_tool;
using fovea::test::Scratch;
using fovea::test::TarFile;
namespace fs = std::filesystem;

namespace {

using Args = std::vector<std::string>;

Outcome train(const Scratch& scratch, const std::string& experiment, const std::string& data, const Args& more) {
  Args args{"train",    data,     "--model",        "test_resnet", "--img-size",    "32",        "-b",
            "8",        "--epochs", "2",            "--lr",        "0.003",         "--output",  scratch / "out",
            "--warmup-epochs", "0", "--log-interval", "1",         "--experiment",  experiment};
  args.insert(args.end(), more.begin(), more.end());
  return run_tool(scratch / ".", args);
}

// The losses of all steps, and what each epoch was measured at.
std::string losses(const Scratch& scratch, const std::string& experiment) {
  const std::string folder = str_cat(scratch / "out/", experiment, "/");
  const std::string steps = test::read_file(folder + "steps.jsonl");
  std::string out = test::read_file(folder + "summary.csv");
  for (size_t from = 0, to; (to = steps.find('\n', from)) != steps.npos; from = to + 1)
    out += nlohmann::json::parse(steps.substr(from, to - from)).at("loss").dump() + "\n";
  return out;
}

// A split as a tar, as shards and as a table, beside its folder.
void write_forms(const Scratch& scratch, const std::string& split) {
  const std::vector<TarFile> files = test::files_below(scratch / ("folder/" + split));
  std::vector<TarFile> shard;
  std::string table = "path,class\n";
  for (size_t i = 0; i < files.size(); ++i) {
    shard.push_back({str_cat(1000 + i, ".bmp"), files[i].content});
    shard.push_back({str_cat(1000 + i, ".cls"), files[i].name.substr(5, 1)});
    table += str_cat("../folder/", split, "/", files[i].name, ",", files[i].name.substr(0, 6), "\n");
  }
  for (const char* form : {"tar", "wds", "csv"}) fs::create_directories(scratch / form);
  test::write_file(scratch / ("tar/" + split + ".tar"), make_tar(files));
  test::write_file(scratch / ("wds/" + split + "-0.tar"), make_tar(shard));
  test::write_file(scratch / ("csv/" + split + ".csv"), table);
}

}  // namespace

TEST_CASE("training loses the same from a folder, an archive, shards and a table", "[cli][train][slow]") {
  if (!data::can_read_tar()) return;
  const Scratch scratch;
  test::write_image_folder(scratch / "folder/train", 3, 16, 40, 1);
  test::write_image_folder(scratch / "folder/val", 3, 6, 40, 2);
  write_forms(scratch, "train");
  write_forms(scratch, "val");
  std::string wanted;
  for (const auto& [form, workers] : {std::pair{"folder", "0"}, {"tar", "1"}, {"wds", "4"}, {"csv", "2"}}) {
    INFO(form);
    const Outcome o = train(scratch, form, scratch / form, {"--dataset", form, "--workers", workers});
    INFO(o.err);
    REQUIRE(o.code == 0);
    const std::string seen = losses(scratch, form);
    if (wanted.empty()) wanted = seen;
    CHECK(std::count(seen.begin(), seen.end(), '\n') == 3 + 12);
    CHECK(seen == wanted);
  }
}

TEST_CASE("training goes on without what cannot be read, up to a limit", "[cli][train][slow]") {
  const Scratch scratch;
  test::write_image_folder(scratch / "data/train", 2, 40, 40, 1);
  const auto path = [&](int label, int i) { return str_cat(scratch / "data/train/class", label, "/", i, ".bmp"); };
  test::write_file(path(0, 3), "BM, but no more");
  test::write_file(path(0, 20), "");
  fs::remove(path(1, 7));
  fs::create_symlink("/nowhere", path(1, 7));
  fs::remove(path(1, 8));
  REQUIRE(::mkfifo(path(1, 8).c_str(), 0600) == 0);
  const Args common{"--val-split", "", "--max-bad-samples"};
  const auto with = [&](const char* limit) {
    Args args = common;
    args.emplace_back(limit);
    return args;
  };
  const Outcome all = train(scratch, "all", scratch / "data", with("4"));
  INFO(all.err);
  CHECK(all.code == 0);
  size_t reports = 0;
  for (size_t at = 0; (at = all.err.find("4 images could not be read", at)) != all.err.npos; ++at) ++reports;
  CHECK(reports == 2);                             // an epoch
  CHECK(all.err.find("it is no regular file") != all.err.npos);
  const Outcome few = train(scratch, "few", scratch / "data", with("3"));
  INFO(few.err);
  CHECK(few.code == 1);
  CHECK(few.err.find("4 images could not be read, the limit is 3") != few.err.npos);

  const Outcome asked = run_tool(
      scratch / ".", {"infer", scratch / "data/train", "--model", "test_resnet", "--checkpoint",
                      scratch / "out/all/last.safetensors", "--num-classes", "2", "--img-size", "32",
                      "--max-bad-samples", "4", "--fullname"});
  INFO(asked.err);
  REQUIRE(asked.code == 0);
  CHECK(nlohmann::json::parse(asked.out.substr(asked.out.find('\n') + 1)).size() == 76);
}

TEST_CASE("images of several labels are trained on", "[cli][train][slow]") {
  const Scratch scratch;
  test::write_image_folder(scratch / "data/images", 2, 16, 40, 1);
  std::string table = "path,a,b,c\n";
  for (int i = 0; i < 32; ++i)
    table += str_cat("images/class", i / 16, "/", i % 16, ".bmp,", i % 2, ",", i / 16, ",1\n");
  test::write_file(scratch / "data/train.csv", table);
  const Args flags{"--dataset", "csv", "--target-key", "a,b,c", "--val-split", ""};
  const Outcome o = train(scratch, "several", scratch / "data", flags);
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(o.err.find("32 images of 3 classes") != o.err.npos);
  Args one = flags;
  one.back() = "train";
  one.insert(one.end(), {"--eval-metric", "top1"});
  const Outcome refused = train(scratch, "one", scratch / "data", one);
  CHECK(refused.code == 1);
  CHECK(refused.err.find("images have several labels") != refused.err.npos);
  Args mixed = flags;
  mixed.insert(mixed.end(), {"--mixup", "1"});
  CHECK(train(scratch, "mixed", scratch / "data", mixed).code == 0);
}

TEST_CASE("answers of several labels are measured while training and after it", "[cli][train][slow]") {
  const Scratch scratch;
  test::write_image_folder(scratch / "data/images", 2, 16, 40, 1);
  std::string table = "path,a,b,c\n";
  for (int i = 0; i < 32; ++i)
    table += str_cat("images/class", i / 16, "/", i % 16, ".bmp,", i % 2, ",", i / 16, ",", i % 3 == 0 ? 1 : 0, "\n");
  test::write_file(scratch / "data/train.csv", table);
  const Args data{"--dataset", "csv", "--target-key", "a,b,c"};
  Args flags = data;
  flags.insert(flags.end(), {"--val-split", "train", "--eval-metric", "sample_f1", "--html", scratch / "page.html"});
  const Outcome o = train(scratch, "several", scratch / "data", flags);
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(o.err.find("  mAP: ") != o.err.npos);
  const std::string folder = scratch / "out/several/", summary = test::read_file(folder + "summary.csv");
  CHECK(summary.starts_with("epoch,train_loss,eval_loss,eval_map,eval_micro_f1,eval_macro_f1,eval_sample_f1,lr\n"));
  CHECK(test::read_file(scratch / "page.html").find("best mAP") != std::string::npos);
  const auto best = nlohmann::json::parse(o.out.substr(o.out.find("--result\n") + 9));
  CHECK(best[0].at("validation").at("sample_f1") >= best[1].at("validation").at("sample_f1"));

  // The last epoch's weights are measured as training measured them.
  Args ask{"validate",     scratch / "data", "--model",   "test_resnet", "--checkpoint",  folder + "last.safetensors",
           "--img-size",   "32",             "--num-classes", "3",         "--split",       "train",
           "--results-file", scratch / "r.csv"};
  ask.insert(ask.end(), data.begin(), data.end());
  const Outcome asked = run_tool(scratch / ".", ask);
  INFO(asked.err);
  REQUIRE(asked.code == 0);
  const auto row = nlohmann::json::parse(asked.out.substr(asked.out.find("--result\n") + 9));
  const nlohmann::json& last = best[0].at("epoch") == 1 ? best[0] : best[1];
  for (const char* key : {"loss", "map", "micro_f1", "macro_f1", "sample_f1"})
    CHECK(row.at(key).get<double>() == Approx(last.at("validation").at(key).get<double>()).margin(2e-4));
  CHECK_FALSE(row.contains("top1"));
  CHECK(test::read_file(scratch / "r.csv").starts_with("model,loss,map,micro_f1,macro_f1,sample_f1,param_count"));
  ask.insert(ask.end(), {"--metrics-avg", "macro"});
  CHECK(run_tool(scratch / ".", ask).code == 1);
}

TEST_CASE("datasets of other libraries are refused, and loaders measured", "[cli]") {
  const Scratch scratch;
  test::write_image_folder(scratch / "data/train", 2, 8, 24, 1);
  const Outcome other = train(scratch, "other", scratch / "data", {"--dataset", "hfds/timm/imagenet-1k"});
  CHECK(other.code == 1);
  CHECK(other.err.find("Hugging Face's datasets are Arrow tables") != other.err.npos);
  for (const char* how : {"--rounds=2", "--eval"}) {
    const Outcome o = run_tool(scratch / ".", {"bench-loader", scratch / "data", "--model", "test_resnet", "-b", "4",
                                               "--images", "8", "--json", "-j", "2", how});
    INFO(o.err);
    REQUIRE(o.code == 0);
    const nlohmann::json row = nlohmann::json::parse(o.out);
    CHECK(row.at("images_per_second").get<double>() > 0);
    CHECK(row.at("images") == 8);
  }
}
