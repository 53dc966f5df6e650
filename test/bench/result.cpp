// SPDX-License-Identifier: Apache-2.0
// test/bench/result.cpp — what a benchmark finds and tells: timm's counts and columns, sums that add up, traces that
// nest, a page that needs nothing else.
#include "bench/result.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/counts.h"
#include "bench/google.h"
#include "bench/page.h"
#include "bench/phases.h"
#include "bench/results_file.h"
#include "bench/spans.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::bench;
using namespace fovea::test;
using nlohmann::json;

namespace {

Machine known_machine() {
  Machine m = this_machine();
  m.cpu = "Known & <fast>";
  m.peaks = {{"avx2", DType::f32, 100e9}, {"avx512_bf16", DType::bf16, 200e9}};
  m.bandwidths = {{64 << 10, 100e9, 90e9}, {8 << 20, 50e9, 40e9}, {256 << 20, 10e9, 9e9}};
  return m;
}

Result profiled(const std::string& model, bool train = false) {
  Progress progress;
  return run({.work = {.model = model, .batch = 2, .train = train}, .repeat = 3, .profile = true, .detail = true},
             known_machine(), progress);
}

const Result& convolutions() {
  static const Result r = profiled("test_efficientnet");
  return r;
}
const Result& training() {
  static const Result r = profiled("test_resnet", true);
  return r;
}

size_t count_of(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("counts are those of timm's tables", "[bench]") {
  struct Row {
    const char* model;
    double gmacs, macts, params;
  };
  for (const Row& row : {Row{"resnet18", 1.82, 2.48, 11.69}, Row{"resnet50", 4.11, 11.11, 25.56},
                         Row{"mobilenetv3_large_100", 0.23, 4.41, 5.48}, Row{"efficientnet_b0", 0.40, 6.75, 5.29},
                         Row{"regnety_032", 3.20, 11.26, 19.44}, Row{"densenet121", 2.87, 6.90, 7.98},
                         Row{"convnext_tiny", 4.47, 13.44, 28.59}, Row{"vit_small_patch16_224", 4.61, 11.95, 22.05},
                         Row{"swin_tiny_patch4_window7_224", 4.51, 17.06, 28.29}}) {
    if (!zoo::is_model(row.model)) continue;
    INFO(row.model);
    const auto model = zoo::create(row.model);
    const Counts c = count(zoo::trace(*model));
    CHECK(c.macs * 1e-9 == Approx(row.gmacs).margin(0.0051));
    CHECK(c.activations * 1e-6 == Approx(row.macts).margin(0.0051));
    CHECK(static_cast<double>(model->parameter_count()) * 1e-6 == Approx(row.params).margin(0.0051));
  }
}

TEST_CASE("rows have timm's columns", "[bench]") {
  CHECK(csv_header(false) ==
        "model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,infer_gmacs,infer_macts,param_"
        "count");
  CHECK(csv_header(true) ==
        "model,train_samples_per_sec,train_step_time,train_batch_size,train_img_size,param_count");
  Result r;
  r.model = "a.b";
  r.batch = 4;
  r.height = r.width = 160;
  r.ms = {1, 2, 40};
  r.macs = 1.23456e9;
  r.activations = 7.891e6;
  r.parameters = 25'557'032;
  CHECK(csv_row(r) == "a.b,2000.0,2.0,4,160,1.23,7.89,25.56");
  r.train = true;
  CHECK(csv_row(r) == "a.b,2000.0,2.0,4,160,25.56");
}

TEST_CASE("JSON is a list with timm's keys and more", "[bench]") {
  const Machine m = known_machine();
  Result failed;
  failed.model = "broken";
  failed.error = "no \"weights\"";
  const json list = json::parse(json_list({convolutions(), training(), failed}, m, "1.2.3"));
  REQUIRE(list.is_array());
  REQUIRE(list.size() == 3);
  for (size_t i = 0; i < 2; ++i) {
    const json& row = list[i];
    const std::string prefix = i == 0 ? "infer_" : "train_";
    for (const char* key : {"samples_per_sec", "step_time"}) CHECK(row.at(prefix + key).get<double>() > 0);
    CHECK(row.at(prefix + "batch_size") == 2);
    CHECK(row.at(prefix + "img_size") == 160);
    CHECK(row.contains("infer_gmacs") == (i == 0));
    for (const char* key : {"dtype", "threads", "runs", "median_ms", "fastest_ms", "slowest_ms", "load_s", "first_ms",
                            "arena_bytes", "constant_bytes", "param_count", "steps_us", "roofline_share",
                            "percentiles_ms", "histogram_ms", "noise", "steps_noise"})
      CHECK(row.contains(key));
    CHECK(row.at("percentiles_ms").at("p50") == row.at("median_ms"));
    CHECK(row.at("percentiles_ms").at("p5") == row.at("fastest_ms"));
    int64_t counted = 0;
    for (const json& n : row.at("histogram_ms").at("counts")) counted += n.get<int64_t>();
    CHECK(counted == 3);
    for (const char* noise : {"noise", "steps_noise"}) {
      const json& n = row.at(noise);
      CHECK(n.at("runs").get<int>() >= 3);
      CHECK(n.at("runs").get<int>() <= 9);
      CHECK(n.at("calm_runs").get<int>() <= n.at("runs").get<int>());
      CHECK(n.at("noisy").get<bool>() == (n.at("calm_runs").get<int>() < 3));
      CHECK(n.at("canary_median_us").get<double>() >= n.at("canary_best_us").get<double>());
      CHECK(n.at("preempted").get<int64_t>() >= 0);
    }
    CHECK(row.contains("train_fwd_time") == (i == 1));
    for (const char* phase : {"fwd", "bwd", "opt"})
      if (i == 1) CHECK(row.at(str_cat("train_", phase, "_time")).get<double>() > 0);
    CHECK(row.at("runs") == 3);
    CHECK(row.at("fovea") == "1.2.3");
    CHECK(row.at("machine").at("cpu") == "Known & <fast>");
    CHECK(row.at("machine").at("peaks").size() == 2);
    CHECK(row.at("machine").at("peaks")[0].at("settled") == true);
    CHECK(!row.at("machine").at("isa").get<std::string>().empty());
    CHECK(row.at("machine").at("bandwidths").size() == 3);
  }
  CHECK(list[2] == json{{"model", "broken"}, {"error", "no \"weights\""}});
}

TEST_CASE("what the steps take adds up", "[bench]") {
  for (const Result* r : {&convolutions(), &training()}) {
    INFO(r->model);
    const json row = json::parse(json_list({*r}, known_machine(), ""))[0];
    const json& steps = row.at("steps");
    REQUIRE(steps.size() == r->steps.size());
    REQUIRE(steps.size() > 10);
    double us = 0, share = 0, least = 0;
    for (const json& s : steps) {
      for (const char* key : {"module", "op", "kernel", "kind", "detail", "operands", "attrs", "in", "out",
                              "gflops_per_sec", "gbytes_per_sec"})
        CHECK(s.contains(key));
      CHECK(!s.at("kernel").get<std::string>().empty());
      CHECK(s.at("bytes").get<int64_t>() > 0);
      CHECK(s.at("us_p10").get<double>() <= s.at("us").get<double>());
      CHECK(s.at("us_p90").get<double>() >= s.at("us").get<double>());
      us += s.at("us").get<double>();
      share += s.at("share").get<double>();
      least += s.at("us").get<double>() * s.at("roofline_share").get<double>();
    }
    CHECK(us == Approx(row.at("steps_us").get<double>()).epsilon(1e-3));
    CHECK(us == Approx(r->steps_seconds() * 1e6).epsilon(1e-3));
    CHECK(share == Approx(1));
    CHECK(least / us == Approx(row.at("roofline_share").get<double>()).epsilon(0.02));
  }
}

TEST_CASE("steps of products carry the model's multiply-adds", "[bench]") {
  const Result& r = convolutions();
  double flops = 0;
  for (const StepTime& t : r.steps) flops += static_cast<double>(t.step.flops);
  // what is counted beside products (norms, pools) is folded away, and small
  const int images = r.side_by_side ? 1 : r.batch;
  CHECK(flops / 2 / images < r.macs);
  CHECK(flops / 2 / images > 0.9 * r.macs);
  std::map<std::string_view, double> of_op;        // a gradient costs what its convolution does
  for (const StepTime& t : training().steps) of_op[t.step.op] += static_cast<double>(t.step.flops);
  CHECK(of_op["conv_dw"] == Approx(of_op["conv"]));
  CHECK(of_op["conv_dx"] > 0.8 * of_op["conv"]);   // but the image has none
  CHECK(of_op["conv_dx"] < of_op["conv"]);
}

TEST_CASE("the table lists every step", "[bench]") {
  const Result& r = convolutions();
  const std::string all = step_table(r), top = step_table(r, 3);
  for (const StepTime& t : r.steps) CHECK(all.find(str_cat("  ", t.step.scope, " ")) != std::string::npos);
  CHECK(all.find("roof") != std::string::npos);
  CHECK(count_of(all, "\n") - count_of(top, "\n") == r.steps.size() - 3);
  Result unmeasured = r;
  for (StepTime& t : unmeasured.steps) t.least_seconds = 0;
  CHECK(step_table(unmeasured).find("roof") == std::string::npos);
}

TEST_CASE("the steps are a table of CSV, too", "[bench]") {
  const Result& r = convolutions();
  CHECK(step_csv_header() ==
        "model,step,module,op,kernel,kind,detail,operands,us,us_p10,us_p90,share,flops,bytes,gflops_per_sec,"
        "gbytes_per_sec,roofline_share");
  const std::string rows = step_csv_rows(r);
  CHECK(count_of(rows, "\n") == r.steps.size());
  CHECK(rows.find("\"3x3, stride 2, pad 1") != std::string::npos);   // commas stand in quotes
  Result odd;
  odd.model = "a\"b";
  odd.steps.resize(1);
  CHECK(step_csv_rows(odd).starts_with("\"a\"\"b\",0,"));
}

TEST_CASE("a training step's phases add up, and each has what belongs to it", "[bench]") {
  const Result& r = training();
  CHECK(r.forward_ms + r.backward_ms + r.update_ms == Approx(r.steps_seconds() * 1e3));
  Work work({.model = "test_resnet", .batch = 2, .train = true});
  work();
  const std::vector<StepInfo>& steps = work.session().steps();
  const std::vector<Phase> phases = phases_of(work.session().graph());
  REQUIRE(phases.size() == steps.size());
  int64_t forward = 0, backward = 0, update = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    INFO(steps[i].op << " at " << steps[i].scope);
    if (steps[i].op == "conv") CHECK(phases[i] == Phase::forward);
    if (steps[i].op == "conv_dx" || steps[i].op == "conv_dw") CHECK(phases[i] == Phase::backward);
    if (steps[i].role == Role::conv) (phases[i] == Phase::forward ? forward : backward) += steps[i].flops;
    update += phases[i] == Phase::update;
  }
  CHECK(backward > forward * 3 / 2);
  CHECK(update >= 20);                             // a parameter each
}

TEST_CASE("results are told as google-benchmark tells them", "[bench]") {
  Result r;
  r.model = "a.b";
  r.dtype = "f32";
  r.batch = 4;
  r.threads = 2;
  r.ms = {1, 2, 6};
  r.cpu_ms = {2, 4, 12};
  Result failed;
  failed.model = "broken";
  failed.error = "it";
  const json all = json::parse(google_json({r, failed}, known_machine()));
  for (const char* key : {"date", "host_name", "executable", "num_cpus", "library_build_type"})
    CHECK(all.at("context").contains(key));
  const json& rows = all.at("benchmarks");
  REQUIRE(rows.size() == 7);                       // three runs, four aggregates
  for (size_t i = 0; i < 3; ++i) {
    CHECK(rows[i].at("name") == "a.b/f32/batch:4/threads:2");
    CHECK(rows[i].at("run_type") == "iteration");
    CHECK(rows[i].at("repetition_index") == i);
    CHECK(rows[i].at("real_time") == r.ms[i]);
    CHECK(rows[i].at("cpu_time") == r.cpu_ms[i]);
    CHECK(rows[i].at("time_unit") == "ms");
  }
  CHECK(rows[3].at("name") == "a.b/f32/batch:4/threads:2_mean");
  CHECK(rows[3].at("real_time") == 3);
  CHECK(rows[4].at("real_time") == 2);
  CHECK(rows[5].at("aggregate_name") == "stddev");
  CHECK(rows[5].at("real_time").get<double>() == Approx(std::sqrt(7.0)));
  CHECK(rows[6].at("cpu_time").get<double>() == Approx(std::sqrt(28.0) / 6));
}

TEST_CASE("a bulk run goes on where it was stopped", "[bench]") {
  const Scratch scratch;
  const std::string path = scratch / "r.jsonl";
  const Machine m = known_machine();
  RunOptions o{.work = {.model = "asked", .batch = 8}};
  Result r;
  r.model = "asked.tag";
  r.dtype = "f32";
  r.batch = 4;                                     // there was no memory for more
  r.height = r.width = 160;
  r.ms = {1, 2, 3};
  r.macs = 1.5e9;
  {
    ResultsFile file(path);
    CHECK_FALSE(file.has(o, "asked", m));
    file.add(r, o, m, "1");
    CHECK(file.has(o, "asked", m));
  }
  const std::string whole = read_file(path);
  scratch.file("r.jsonl", whole + whole.substr(0, whole.size() / 2));          // ended while it wrote
  ResultsFile again(path);
  CHECK(read_file(path) == whole);
  CHECK(again.has(o, "asked", m));
  CHECK_FALSE(again.has(o, "other", m));
  RunOptions smaller = o;
  smaller.work.batch = 4;
  CHECK_FALSE(again.has(smaller, "asked", m));
  Machine other = m;
  other.cpu = "Another";
  CHECK_FALSE(again.has(o, "asked", other));
  REQUIRE(again.results().size() == 1);
  CHECK(again.results()[0].median_ms() == 2);
  CHECK(again.results()[0].batch == 4);
  CHECK(again.results()[0].macs == 1.5e9);
  scratch.file("r.jsonl", "something else\n");
  CHECK_THROWS_WITH(ResultsFile(path), contains_text("line 1 is no result of a bulk run"));
  CHECK(read_file(path) == "something else\n");    // and nothing was done to it
}

TEST_CASE("shapes are short", "[bench]") {
  StepInfo s;
  s.in = {make_meta(DType::f32, {1, 3, 8, 8}, Memory::channels_last), make_meta(DType::f32, {4, 3, 1, 1}), Meta{},
          make_meta(DType::i64, {})};
  s.out = {make_meta(DType::i64, {2}), make_meta(DType::f32, {1})};
  CHECK(shapes(s) == "f32 1x3x8x8, 4x3x1x1, -, i64 scalar -> 2, f32 1");
}

TEST_CASE("blocks of working memory do not collide", "[bench]") {
  for (const Result* r : {&convolutions(), &training()}) {
    REQUIRE(!r->memory.empty());
    for (const Block& b : r->memory) {
      CHECK(b.first <= b.last);
      CHECK(b.last < r->steps.size());
      CHECK(b.offset + b.bytes <= r->arena_bytes);
      for (const Block& other : r->memory) {
        const bool together = b.first < other.first && other.first < b.last;
        const bool overlap = b.offset < other.offset + other.bytes && other.offset < b.offset + b.bytes;
        if (together && overlap) FAIL_CHECK(b.name << " and " << other.name);
      }
    }
    const std::vector<int64_t> used = bytes_in_use(*r);
    CHECK(*std::max_element(used.begin(), used.end()) <= r->arena_bytes);
    CHECK(*std::max_element(used.begin(), used.end()) > r->arena_bytes / 4);
  }
}

TEST_CASE("a trace is JSON whose slices nest", "[bench]") {
  const json trace = json::parse(chrome_trace({convolutions(), training()}));
  CHECK(trace.at("displayTimeUnit") == "ms");
  struct Slice {
    double from, to;
  };
  for (const int process : {1, 2}) {
    const Result& r = process == 1 ? convolutions() : training();
    std::vector<Slice> slices;
    size_t names = 0, counters = 0, ops = 0;
    double sum = 0;
    for (const json& e : trace.at("traceEvents")) {
      if (e.at("pid") != process) continue;
      const std::string phase = e.at("ph");
      names += phase == "M";
      counters += phase == "C";
      if (phase != "X") continue;
      const double from = e.at("ts"), duration = e.at("dur");
      CHECK(duration >= 0);
      slices.push_back({from, from + duration});
      if (e.at("cat") != "op") continue;
      ++ops;
      sum += duration;
      for (const char* key : {"module", "kernel", "shapes", "GFLOP/s", "GB/s"}) CHECK(e.at("args").contains(key));
    }
    CHECK(names == 1);
    CHECK(counters == r.steps.size());
    CHECK(ops == r.steps.size());
    CHECK(slices.size() > ops);
    CHECK(sum == Approx(r.steps_seconds() * 1e6));
    const double slack = 1e-6 * sum;
    for (const Slice& a : slices)
      for (const Slice& b : slices)
        if (a.from + slack < b.from && b.from + slack < a.to && a.to + slack < b.to)
          FAIL_CHECK(a.from << "-" << a.to << " and " << b.from << "-" << b.to);
  }
}

TEST_CASE("a trace has a lane a thread, whose pieces lie inside of their steps' order", "[bench]") {
  const Result& r = convolutions();
  REQUIRE(!r.lanes.empty());
  for (size_t i = 0; i < r.lanes.size(); ++i) {
    const LaneSlice& s = r.lanes[i];
    CHECK(s.step < r.steps.size());
    CHECK(s.from <= s.to);
    CHECK(s.from >= 0);
    CHECK(s.thread >= 0);
    if (i == 0 || r.lanes[i - 1].thread != s.thread) continue;
    CHECK(r.lanes[i - 1].step <= s.step);
    CHECK(r.lanes[i - 1].to <= s.from);
  }
  std::vector<bool> worked(r.steps.size(), false);         // each convolution is somebody's work
  for (const LaneSlice& s : r.lanes) worked[s.step] = true;
  for (size_t i = 0; i < r.steps.size(); ++i)
    if (r.steps[i].step.op == "conv") CHECK(worked[i]);
  size_t pieces = 0, names = 0;
  const json trace = json::parse(chrome_trace({r}));
  for (const json& e : trace.at("traceEvents")) {
    if (e.at("pid") != 2) continue;
    pieces += e.at("ph") == "X";
    names += e.at("name") == "thread_name";
    if (e.at("ph") == "X") CHECK(e.at("args").at("kernel") == r.steps[e.at("args").at("step").get<size_t>()].step.plan);
  }
  CHECK(pieces == r.lanes.size());
  CHECK(names >= 1);
}

TEST_CASE("what is counted in a step is told, and why what is not cannot be", "[bench]") {
  Progress progress;
  const Result r = run({.work = {.model = "test_resnet"}, .repeat = 2, .profile = true, .counters = true},
                       known_machine(), progress);
  const auto has = [&](const char* name) {
    return std::find(r.counters.begin(), r.counters.end(), name) != r.counters.end();
  };
  CHECK(has("cycles") == r.no_counters.empty());
  const json row = json::parse(json_list({r}, known_machine(), ""))[0];
  CHECK(row.contains("no_counters") == !r.no_counters.empty());
  double clock = 0, cycles = 0;
  for (const json& s : row.at("steps"))
    for (size_t i = 0; i < r.counters.size(); ++i) {
      const double n = s.at("counters").at(r.counters[i]);
      CHECK(n >= 0);
      if (r.counters[i] == "task_clock_ns") clock += n;
      if (r.counters[i] == "cycles") cycles += n;
    }
  if (has("task_clock_ns")) CHECK(clock > 1e4);    // at least a hundredth of a millisecond
  if (has("cycles")) CHECK(cycles > 1e4);
}

TEST_CASE("there is one profiler at a time", "[bench]") {
  Lanes one, two;
  CHECK_FALSE(watch());
  {
    const UseWatch use(one);
    CHECK(watch() == &one);
    CHECK_THROWS_AS(UseWatch(two), Error);
  }
  CHECK_FALSE(watch());
}

TEST_CASE("the page has its plots and asks for nothing else", "[bench]") {
  Result failed;
  failed.model = "broken<model>";
  failed.error = "it & that";
  const Result& r = convolutions();
  const std::string page = html_page({r, training(), failed}, known_machine(), "1.2.3");
  for (const char* reference :
       {"http:", "https:", "//", "src=", "<link", "@import", "url(", "<img", "<iframe", "import("})
    CHECK(page.find(reference) == std::string::npos);
  CHECK(count_of(page, "<svg ") == 26);             // six plots a model, one of both; each wide and narrow
  for (const char* element : {"svg", "section", "table", "div", "rect", "circle", "title", "details", "main", "body"}) {
    INFO(element);
    const size_t empty = count_of(page, "'/>");
    CHECK(count_of(page, str_cat("</", element, ">")) <= count_of(page, str_cat("<", element)));
    if (std::string_view(element) != "rect" && std::string_view(element) != "circle")
      CHECK(count_of(page, str_cat("</", element, ">")) ==
            count_of(page, str_cat("<", element, ">")) + count_of(page, str_cat("<", element, " ")));
    CHECK(empty > 0);
  }
  CHECK(page.find("Known &amp; &lt;fast&gt;") != std::string::npos);
  CHECK(page.find("broken&lt;model&gt;") != std::string::npos);
  CHECK(page.find("broken<model>") == std::string::npos);
  CHECK(count_of(page, "<tr><td class='x' data-v=") == r.steps.size() + training().steps.size());
  CHECK(count_of(page, "<div class='wide'>") == count_of(page, "<div class='narrow'>"));
  for (const char* said : {"3x3, stride 2, pad 1", "depthwise", "Who else used the machine",
                           "sum of the steps' medians", "canary: median to best", "nine of ten runs are below",
                           "What the kernels do", "Speed against multiply-adds", "Times of whole runs"})
    CHECK(page.find(said) != std::string::npos);
  CHECK(page.find("nan") == std::string::npos);
  CHECK(count_of(html_page({r}, this_machine(), ""), "<svg ") == 8);       // not measured: no roofline, no bandwidth
}
