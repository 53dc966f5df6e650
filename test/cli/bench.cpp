// SPDX-License-Identifier: Apache-2.0
// test/cli/bench.cpp — `fovea bench` as people call it: several models, tables for programs, every step, files.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/core/text.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

Outcome bench(std::vector<std::string> args) {
  args.insert(args.begin(), {"bench", "--repeat", "2"});
  return run_tool({}, args);
}

std::string succeed(const std::vector<std::string>& args) {
  const Outcome o = bench(args);
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(o.err.empty());                            // progress is for terminals
  return o.out;
}

std::vector<std::vector<std::string>> table(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(cell);
  }
  return rows;
}

}  // namespace

TEST_CASE("the tool: bench of several models as CSV", "[cli][bench]") {
  const auto rows = table(succeed({"test_efficientnet", "test_resnet", "--csv", "--batch", "2"}));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0] == std::vector<std::string>{"model", "infer_samples_per_sec", "infer_step_time", "infer_batch_size",
                                            "infer_img_size", "infer_gmacs", "infer_macts", "param_count"});
  for (size_t i : {1u, 2u}) {
    REQUIRE(rows[i].size() == rows[0].size());
    CHECK(std::stod(rows[i][2]) > 0);
    CHECK(std::stod(rows[i][1]) * std::stod(rows[i][2]) == Approx(2000).epsilon(0.01));
    CHECK(rows[i][3] == "2");
    CHECK(rows[i][4] == "160");
  }
  CHECK(rows[1][0].starts_with("test_efficientnet"));
  CHECK(rows[2][0].starts_with("test_resnet"));
  const auto train = table(succeed({"test_resnet", "--csv", "--train"}));
  REQUIRE(train.size() == 2);
  CHECK(train[0] == std::vector<std::string>{"model", "train_samples_per_sec", "train_step_time", "train_batch_size",
                                             "train_img_size", "param_count"});
  CHECK(train[1].size() == 6);
}

TEST_CASE("the tool: bench as JSON, with every step", "[cli][bench]") {
  const json list = json::parse(succeed({"test_efficientne?", "test_resnet", "--json", "--per-op", "--threads", "1"}));
  REQUIRE(list.is_array());
  REQUIRE(list.size() == 2);
  for (const json& row : list) {
    CHECK(row.at("threads") == 1);
    CHECK(row.at("runs") == 2);
    CHECK(row.at("dtype") == "f32");
    CHECK_FALSE(row.at("machine").contains("peaks"));
    double us = 0;
    for (const json& s : row.at("steps")) us += s.at("us").get<double>();
    CHECK(us == Approx(row.at("steps_us").get<double>()).epsilon(1e-3));
  }
  const json bf16 = json::parse(succeed({"test_resnet", "--json", "--dtype", "bf16"}));
  CHECK(bf16[0].at("dtype") == "bf16");
  CHECK_FALSE(bf16[0].contains("steps"));
  CHECK(json::parse(succeed({"test_resnet", "--json", "--eager"}))[0].at("arena_bytes") == 0);
}

TEST_CASE("the tool: bench for people", "[cli][bench]") {
  const std::string line = succeed({"test_resnet", "test_efficientnet"});
  CHECK(line.find("test_resnet") < line.find("test_efficientnet"));
  CHECK(line.find("over 2 runs") != std::string::npos);
  CHECK(line.find(", p90 ") != std::string::npos);
  const std::string steps = succeed({"test_resnet", "--per-op", "--roofline", "--threads", "1"});
  for (const char* part : {"measured with 1 thread\n", "GFLOP/s", "GB/s copy", "of the roofline", "layer1.0.conv1",
                           "cpu:", "steps add up to", "whole runs take", "(3x3, stride 2, pad 1"})
    CHECK(steps.find(part) != std::string::npos);
}

TEST_CASE("the tool: bench writes a trace and a page", "[cli][bench]") {
  const Scratch scratch;
  const std::string trace = scratch / "t.json", page = scratch / "p.html";
  succeed({"test_resnet", "--trace", trace});
  CHECK(json::parse(read_file(trace)).at("traceEvents").size() > 50);
  succeed({"test_resnet", "--html", page});
  CHECK(read_file(page).starts_with("<!doctype html>"));
  CHECK(read_file(page).find("http") == std::string::npos);
  CHECK(read_file(page).find("Roofline") != std::string::npos);
}

TEST_CASE("the tool: bench says what it cannot do", "[cli][bench]") {
  struct Row {
    std::vector<std::string> args;
    std::string says;
  };
  for (const Row& row : std::vector<Row>{
           {{}, "no model"},
           {{"test_resnet", "test_resnett"}, "no model 'test_resnett'"},
           {{"nothing_*"}, "no model matches nothing_*"},
           {{"test_resnet", "--json", "--csv"}, "excludes"},
           {{"test_resnet", "--top", "3"}, "--top 3 is for --per-op and --compare"},
           {{"test_resnet", "--google-benchmark", "--csv"}, "excludes"},
           {{"test_resnet", "--without", "fusion"}, "no pass 'fusion' to leave out"},
           {{"test_resnet", "--isa", "sse4"}, "sse4"},
           {{"test_resnet", "--detail"}, "requires"},
           {{"test_resnet", "--precision", "float16"}, "there are float32, bfloat16, amp and int8"},
           {{"test_resnet", "--precision", "half-ish"}, "half-ish"},
           {{"--model-list", "/nowhere/list.txt"}, "cannot read /nowhere/list.txt"},
           {{"test_resnet", "--compare", "/nowhere/old.json"}, "/nowhere/old.json"},
           {{"--op", "conv", "--x", "1,8,8,8", "--w", "8,4,1,1"}, "conv"},
           {{"--op", "convolve", "--x", "1"}, "convolve"},
           {{"test_resnet", "--x", "1,8"}, "requires"},
           {{"test_resnet", "--results", "/nowhere/r.jsonl"}, "cannot write /nowhere/r.jsonl"},
           {{"test_resnet", "--per-op", "--eager"}, "only a compiled model has steps"},
           {{"test_resnet", "test_vit", "--worker"}, "are for one model, not 2"},
           {{"test_resnet", "test_vit", "--weights", "w"}, "are for one model, not 2"},
           {{"test_resnet", "--html", "/nowhere/at/all.html"}, "cannot write /nowhere/at/all.html"}}) {
    const Outcome o = bench(row.args);
    INFO(join(row.args, " ") << ": " << o.err);
    CHECK(o.code == 1);
    CHECK(o.err.find(row.says) != std::string::npos);
  }
  // both fail, both are told
  const Outcome o = bench({"test_resnet", "test_vit", "--json", "--train", "--dtype", "bf16"});
  CHECK(o.code == 1);
  CHECK(o.err.find("2 of 2 models could not be measured") != std::string::npos);
  const json list = json::parse(o.out);
  REQUIRE(list.size() == 2);
  CHECK(list[1].at("model") == "test_vit");
  CHECK(list[1].at("error") == "training in bf16");
}

TEST_CASE("the tool: bench beside busy processes", "[cli][bench]") {
  std::istringstream out(succeed({"test_resnet", "--beside", "1", "--threads", "2"}));
  std::string line;
  REQUIRE(std::getline(out, line));
  CHECK(line.ends_with("f32: median of 5 runs, idle and beside 1 busy process"));
  for (const int threads : {2, 1}) {
    int told = 0;
    double idle = 0, beside = 0, ratio = 0;
    REQUIRE(std::getline(out, line));
    REQUIRE(std::sscanf(line.c_str(), " %d thread%*[s ] %lf ms idle %lf ms beside %lf", &told, &idle, &beside,
                        &ratio) == 4);
    CHECK(told == threads);
    CHECK(idle > 0);
    CHECK(ratio == Approx(beside / idle).margin(0.02));
  }
  CHECK(bench({"test_resnet", "--beside", "1", "--train"}).code != 0);
}

TEST_CASE("the tool: bench compares runs of now and then", "[cli][bench]") {
  const Scratch scratch;
  const std::string old_run = scratch.file("old.json", succeed({"test_resnet", "--json", "--per-op"})),
                    page = scratch / "page.html";
  const std::string table = succeed({"test_resnet", "--isa", "sse2", "--compare", old_run, "--html", page});
  for (const char* said :
       {"before: test_resnet", "now:    test_resnet", ", sse2, ", "times as quick", "layer1.0.conv1"})
    CHECK(table.find(said) != std::string::npos);
  CHECK(read_file(page).find("Before and now") != std::string::npos);
  const std::string bf16 = scratch.file("new.json", succeed({"test_resnet", "--json", "--per-op", "--dtype", "bf16"}));
  const json j = json::parse(succeed({"--compare", old_run, bf16, "--json"}));
  CHECK(j.at("steps").size() > 10);
  CHECK(j.at("before").get<std::string>().find("f32") != std::string::npos);
  CHECK(j.at("now").get<std::string>().find("bf16") != std::string::npos);
  const std::string vit = scratch.file("vit.json", succeed({"test_vit", "test_resnet", "--json", "--per-op"}));
  CHECK(json::parse(succeed({"--compare", vit, old_run, "--json"})).at("before").get<std::string>().starts_with(
      "test_resnet"));
}

TEST_CASE("the tool: bench limits kernels and leaves passes out", "[cli][bench]") {
  const json sse2 = json::parse(succeed({"test_resnet", "--isa", "sse2", "--per-op", "--json"}))[0];
  CHECK(sse2.at("machine").at("isa") == "sse2");
  for (const json& s : sse2.at("steps"))
    for (const char* higher : {"avx2", "avx512", "amx"})
      CHECK(s.at("kernel").get<std::string>().find(higher) == std::string::npos);
  const auto fused = [](const json& model) {
    int count = 0;
    for (const json& s : model.at("steps")) count += s.at("detail").get<std::string>().ends_with("relu");
    return count;
  };
  const json whole = json::parse(succeed({"test_resnet", "--per-op", "--json"}))[0];
  const json apart = json::parse(succeed({"test_resnet", "--per-op", "--json", "--without", "fuse_epilogue"}))[0];
  CHECK(apart.at("steps").size() > whole.at("steps").size());
  CHECK(fused(whole) > 0);
  const json both = json::parse(
      succeed({"test_resnet", "--per-op", "--json", "--without", "fuse_epilogue", "--without", "fold_norm"}))[0];
  CHECK(both.at("steps").size() > apart.at("steps").size());
}

TEST_CASE("the tool: bench of one op with every class of instructions", "[cli][bench]") {
  const json all = json::parse(succeed({"--op", "conv", "--x", "1,16,16,16", "--w", "16,1,3,3", "--groups", "16",
                                        "--pad", "1", "--act", "relu", "--between", "1", "--json", "--threads", "1"}));
  REQUIRE(!all.empty());
  CHECK(all[0].at("kernels")[0].at("isa") == "sse2");
  CHECK(all[0].at("kernels")[0].at("kernel") == "cpu:depthwise sse2");
  for (const json& one : all) CHECK(one.at("detail") == "3x3, pad 1, depthwise, relu");
  const std::string table =
      succeed({"--op", "linear", "--x", "8,32", "--w", "16,32", "--isa", "sse2", "--between", "1", "--dtype", "f32"});
  CHECK(table.find("cpu:product sse2 *") != std::string::npos);
  CHECK(table.find("avx") == std::string::npos);
}

TEST_CASE("the tool: bench takes timm's flags", "[cli][bench]") {
  const Scratch scratch;
  const std::string list =
      scratch.file("models.txt", "model,score\n# small ones\ntest_resnet  # the first\ntest_vit2,1\n");
  const json two = json::parse(succeed({"--model-list", list, "--precision", "bfloat16", "--json"}));
  REQUIRE(two.size() == 2);
  CHECK(two[0].at("dtype") == "bf16");
  CHECK(two[1].at("model").get<std::string>().starts_with("test_vit2"));
  const json sized = json::parse(succeed({"test_resnet", "--img-size", "96", "--json"}))[0];
  CHECK(sized.at("infer_img_size") == 96);
  CHECK(sized.at("infer_gmacs").get<double>() <
        json::parse(succeed({"test_resnet", "--json"}))[0].at("infer_gmacs").get<double>());
  const json detail =
      json::parse(succeed({"test_resnet", "--train", "--detail", "--json", "--precision", "float32"}))[0];
  for (const char* key : {"train_fwd_time", "train_bwd_time", "train_opt_time"})
    CHECK(detail.at(key).get<double>() > 0);
  const auto rows = table(succeed({"test_resnet", "--train", "--detail", "--csv"}));
  REQUIRE(rows.size() == 2);
  CHECK(std::find(rows[0].begin(), rows[0].end(), "train_bwd_time") != rows[0].end());
  CHECK(rows[1].size() == rows[0].size());
  CHECK(json::parse(succeed({"test_resnet", "--google-benchmark"})).at("benchmarks").size() == 6);
  CHECK(table(succeed({"test_resnet", "--per-op", "--csv"}))[0][1] == "step");
}

TEST_CASE("the tool: a bulk run over many models goes on", "[cli][bench]") {
  const Scratch scratch;
  const std::string rows = scratch / "rows.jsonl", page = scratch / "page.html";
  CHECK(succeed({"test_resnet", "--results", rows}).find("test_resnet") != std::string::npos);
  const std::string second = succeed({"test_resnet", "test_efficientnet", "--results", rows, "--html", page});
  CHECK(second.find("test_resnet") == std::string::npos);  // it was there
  CHECK(second.find("test_efficientnet") != std::string::npos);
  const std::string html = read_file(page);
  CHECK(html.find("Speed against multiply-adds") != std::string::npos);
  CHECK(html.find("test_resnet") != std::string::npos);
  CHECK(succeed({"test_resnet", "test_efficientnet", "--results", rows, "--json"}).find("test_resnet") !=
        std::string::npos);
}
