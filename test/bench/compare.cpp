// SPDX-License-Identifier: Apache-2.0
// test/bench/compare.cpp — two runs step by step: what belongs together, what changed, and a slow kernel that was
// planted.
#include "bench/compare.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "bench/page.h"
#include "engine/core/backend.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::bench;
using namespace fovea::test;
using nlohmann::json;

namespace {

SnapshotStep step(const std::string& module, const std::string& op, const std::string& kernel, double us) {
  return {.module = module, .op = op, .kernel = kernel, .kind = "conv", .detail = "3x3", .operands = "f32 1 -> 1",
          .us = us, .us_low = 0.9 * us, .us_high = 1.1 * us};
}

Snapshot before() {
  Snapshot s{.model = "m", .dtype = "f32", .median_ms = 2, .canary_us = 100};
  s.steps = {step("a", "conv", "fast", 10), step("b", "binary", "k", 5), step("b", "binary", "k", 6),
             step("c", "copy", "k", 1), step("d", "linear", "k", 20)};
  return s;
}

Snapshot later() {
  Snapshot s{.model = "m", .dtype = "bf16", .median_ms = 1, .canary_us = 200};
  s.steps = {step("", "cast", "k", 2), step("a", "quant_conv", "slow", 40), step("b", "binary", "k", 5),
             step("b", "binary", "k", 3), step("d", "linear", "k", 20)};
  return s;
}

// Does what the kernel that would have run does, and waits a little, too.
struct SlowPlan final : Plan {
  explicit SlowPlan(PlanPtr p) : inner(std::move(p)) {
    name = "planted";
    scratch = inner->scratch;
  }
  void run(const Args& a, Stream& s) const override {
    const auto start = std::chrono::steady_clock::now();
    inner->run(a, s);
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(5)) {}
  }
  size_t packed_bytes(int operand) const override { return inner->packed_bytes(operand); }
  void pack(int operand, const std::byte* in, std::byte* out) const override { inner->pack(operand, in, out); }
  PlanPtr inner;
};

bool planted = false;                              // only while the test of it runs

PlanPtr plan_slow(const Site& s) {
  const bool here = planted && s.operand(1).shape == Shape{48, 48, 3, 3};
  if (!here) return nullptr;
  planted = false;                                 // the others are asked now
  PlanPtr inner = make_plan(s);
  planted = true;
  return std::make_shared<SlowPlan>(std::move(inner));
}

constexpr Kernel slow_table[] = {{&ops::conv, plan_slow}};
std::vector<std::span<const Kernel>> slow_kernels() { return {slow_table}; }
const Backend slow_backend{.name = "planted",
                           .device = Device::Kind::cpu,
                           .runtime = nullptr,
                           .kernels = slow_kernels,
                           .rank = -1};

Result profiled() {
  Progress progress;
  return run({.work = {.model = "test_resnet"}, .repeat = 3, .profile = true}, this_machine(), progress);
}

}  // namespace

TEST_CASE("steps of one module and op are compared, in their order", "[bench]") {
  const Comparison c(before(), later());
  REQUIRE(c.pairs.size() == 6);
  const auto is = [&](size_t i, double was, double is_now) {
    INFO(i);
    CHECK(c.pairs[i].before_us() == was);
    CHECK(c.pairs[i].now_us() == is_now);
  };
  is(0, 0, 2);                                     // the cast is new
  is(1, 10, 40);                                   // a convolution in 8 bits is one
  is(2, 5, 5);
  is(3, 6, 3);
  is(4, 1, 0);                                     // the copy is gone, behind what stood before it
  is(5, 20, 20);
  CHECK(c.pairs[1].changed_kernel());
  CHECK(c.changed_kernels() == 1);
  CHECK(c.alone() == 2);
  CHECK(c.ratio() == 2);
  CHECK(c.machine_ratio() == 0.5);                 // it was twice as slow now
  CHECK(c.pairs[3].ratio() == 2);
  CHECK(c.pairs[4].ratio() == 0);
}

TEST_CASE("what changed most comes first, with both kernels", "[bench]") {
  const Comparison c(before(), later());
  const std::string table = comparison_table(c, 1);
  CHECK(table.find("fast → slow") != std::string::npos);
  CHECK(table.find("binary") == std::string::npos);
  CHECK(table.find("1 steps have another kernel, 2 are in one run alone") != std::string::npos);
  CHECK(table.find("2.00 times as quick") != std::string::npos);
  const std::string all = comparison_table(c, 0);
  for (const char* said : {"(new)", "(gone)", "+30.0", "0.25", "(3x3)"}) CHECK(all.find(said) != std::string::npos);
  const json j = json::parse(comparison_json(c));
  CHECK(j.at("steps")[0].at("kernel_before") == "fast");
  CHECK(j.at("steps")[0].at("ratio") == 0.25);
  CHECK(j.at("changed_kernels") == 1);
  CHECK(j.at("canary_ratio") == 0.5);
  for (const json& s : j.at("steps"))
    if (s.at("op") == "copy") CHECK(s.at("kernel_now").is_null());
}

TEST_CASE("the page sets two runs side by side", "[bench]") {
  std::vector<std::unique_ptr<Comparison>> all;
  all.push_back(std::make_unique<Comparison>(before(), later()));
  const std::string page = html_page({}, this_machine(), "1", all);
  for (const char* said : {"Before and now", "What changed most", "fast → slow", "(gone)", "class='bad'", "ringed"})
    CHECK(page.find(said) != std::string::npos);
  CHECK(page.find("nan") == std::string::npos);
}

TEST_CASE("results are read back from their JSON, and other files are refused", "[bench]") {
  const Result r = profiled();
  const Scratch scratch;
  const Machine m = this_machine();
  const std::vector<Snapshot> read = read_snapshots(scratch.file("r.json", json_list({r}, m, "1.2.3")));
  REQUIRE(read.size() == 1);
  const Snapshot direct = snapshot_of(r, m, "1.2.3");
  CHECK(read[0].title() == direct.title());
  CHECK(read[0].median_ms == Approx(direct.median_ms));
  CHECK(read[0].noisy == direct.noisy);
  REQUIRE(read[0].steps.size() == direct.steps.size());
  for (size_t i = 0; i < direct.steps.size(); ++i) {
    const SnapshotStep &a = read[0].steps[i], &b = direct.steps[i];
    CHECK(std::tie(a.module, a.op, a.kernel, a.kind, a.detail, a.operands) ==
          std::tie(b.module, b.op, b.kernel, b.kind, b.detail, b.operands));
    CHECK(a.us == Approx(b.us).margin(1e-3));
    CHECK(a.us_low == Approx(b.us_low).margin(1e-3));
    CHECK(a.us_high == Approx(b.us_high).margin(1e-3));
  }
  CHECK(Comparison(read[0], direct).changed_kernels() == 0);
  Result plain = r;
  plain.steps.clear();
  CHECK_THROWS_WITH(read_snapshots(scratch.file("p.json", json_list({plain}, m, ""))), contains_text("--per-op"));
  CHECK_THROWS_WITH(read_snapshots(scratch.file("x.json", "{}")), contains_text("is not a list of results"));
  CHECK_THROWS_WITH(read_snapshots(scratch.file("e.json", "")), contains_text("is not a list of results"));
  CHECK_THROWS_AS(read_snapshots(scratch / "none.json"), Error);
}

TEST_CASE("a slow kernel that was planted is found by a comparison", "[bench]") {
  static const bool added = (add_backend(slow_backend), true);
  CHECK(added);
  const Snapshot old_run = snapshot_of(profiled(), this_machine(), "");
  planted = true;
  clear_plan_cache();
  const Snapshot new_run = snapshot_of(profiled(), this_machine(), "");
  planted = false;
  clear_plan_cache();
  const Comparison c(old_run, new_run);
  const json j = json::parse(comparison_json(c));
  size_t slow = 0;
  for (const StepPair& p : c.pairs) slow += p.changed_kernel();
  CHECK(slow == c.changed_kernels());
  REQUIRE(slow >= 1);
  size_t found = 0;
  double largest = std::numeric_limits<double>::infinity();
  for (const json& step : j.at("steps")) {
    const double change = std::fabs(step.at("us_now").get<double>() - step.at("us_before").get<double>());
    CHECK(change <= largest);                      // in front of a planted one only what a busy machine changed by more
    largest = change;
    if (step.at("kernel_now") != "planted") continue;
    ++found;
    CHECK(step.at("kernel_before") != "planted");
    CHECK(step.at("us_now").get<double>() > 5000);
  }
  CHECK(found == slow);
  CHECK(c.alone() == 0);
}
