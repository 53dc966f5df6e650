// SPDX-License-Identifier: Apache-2.0
// test/cli/bench.cpp — `fovea bench` as people call it: several models, tables for programs, every step, files.
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
    CHECK_FALSE(row.contains("machine"));
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
  const std::string steps = succeed({"test_resnet", "--per-op", "--roofline", "--threads", "1"});
  for (const char* part :
       {"measured with 1 thread\n", "GFLOP/s", "GB/s copy", "of the roofline", "layer1.0.conv1", "cpu:"})
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
           {{"test_resnet", "--top", "3"}, "requires"},
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
