// SPDX-License-Identifier: Apache-2.0
// test/bench/op.cpp — one op at a chosen shape: which kernels are timed, and what is told of them.
#include "bench/op.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/detail.h"
#include "bench/result.h"
#include "engine/core/error.h"
#include "test/support/catch.h"

using namespace fovea;
using namespace fovea::bench;
using nlohmann::json;

namespace {

OpTimes timed(OpOptions o) {
  o.repeat = 2;
  o.between = 1 << 20;
  return time_op(o);
}

bool runs(const OpTimes& t, const std::string& kernel) {
  return std::any_of(t.kernels.begin(), t.kernels.end(),
                     [&](const KernelTime& k) { return k.kernel.find(kernel) != k.kernel.npos; });
}

}  // namespace

TEST_CASE("every kernel that takes a convolution is timed, the one that models run first", "[bench]") {
  const OpTimes depthwise = timed({.op = "conv", .x = {1, 32, 14, 14}, .w = {32, 1, 3, 3}, .pad = {1}, .groups = 32});
  CHECK(depthwise.kernels[0].kernel.find("depthwise") != std::string::npos);
  CHECK(depthwise.kernels[0].chosen);
  CHECK(runs(depthwise, "product"));
  CHECK(runs(depthwise, "ref"));
  CHECK(std::count_if(depthwise.kernels.begin(), depthwise.kernels.end(), [](const auto& k) { return k.chosen; }) == 1);
  for (const KernelTime& k : depthwise.kernels) {
    CHECK(k.at_hand > 0);
    CHECK(k.low <= k.in_model);
    CHECK(k.in_model <= k.high);
    CHECK(!k.isa.empty());
  }
  const OpTimes few = timed({.op = "conv", .x = {1, 3, 32, 32}, .w = {16, 3, 3, 3}, .stride = {2}, .pad = {1}});
  CHECK(runs(few, "few"));
  CHECK(runs(few, "product"));
  CHECK(bench::detail(few.step) == "3x3, stride 2, pad 1");
  CHECK(shapes(few.step) == "f32 1x3x32x32, 16x3x3x3, 16 -> 1x16x16x16");
  CHECK(few.step.flops == 2 * 16 * 16 * 16 * 27);
}

TEST_CASE("every op can be timed, in both types", "[bench]") {
  for (const char* dtype : {"f32", "bf16"})
    for (const std::string& op : op_names()) {
      INFO(op << " in " << dtype);
      OpOptions o{.op = op, .x = {2, 8, 12, 16}, .dtype = dtype};
      if (op == "conv") o.w = {8, 8, 1, 1}, o.act = "relu", o.residual = true;
      if (op == "linear") o.w = {24, 16}, o.act = "gelu";
      if (op == "matmul") o.w = {2, 8, 16, 10};
      const OpTimes t = timed(o);
      CHECK(t.step.op == op);
      CHECK(!t.kernels.empty());
      CHECK(t.step.bytes > 0);
      CHECK((t.step.flops > 0) == (t.step.role == Role::conv || t.step.role == Role::product || op == "sdpa"));
      if (op == "conv") CHECK(bench::detail(t.step) == "1x1, + residual, relu");
    }
}

TEST_CASE("shapes that do not go together are refused", "[bench]") {
  const auto fails = [](const OpOptions& o, const std::string& says) {
    CHECK_THROWS_WITH(time_op(o), contains_text(says));
  };
  fails({.op = "conv", .x = {1, 8, 4, 4}, .w = {8, 4, 3, 3}}, "conv");
  fails({.op = "conv", .x = {8}, .w = {8, 4, 3, 3}}, "--x [8] has 1 dimensions");
  fails({.op = "linear", .x = {2, 16}}, "--w [] has 0 dimensions");
  fails({.op = "unary", .x = {4}, .fn = "sylu"}, "no function 'sylu'");
  fails({.op = "conv", .x = {1, 8, 4, 4}, .w = {8, 8, 1, 1}, .act = "rely"}, "no activation 'rely'");
  fails({.op = "conv", .x = {1, 8, 4, 4}, .w = {8, 8, 1, 1}, .stride = {1, 1, 1}}, "for 2 dimensions");
  fails({.op = "convolve"}, "no op 'convolve'");
}

TEST_CASE("times of kernels are told and read back", "[bench]") {
  OpTimes t{.step = op_step({.op = "conv", .x = {1, 8, 4, 4}, .w = {8, 8, 1, 1}}), .kernels = {}, .noise = {}};
  t.kernels = {{"fast", "avx2", true, 1e-6, 2e-6, 1.5e-6, 3e-6}, {"slow", "avx2", false, 1e-5, 2e-5, 1.5e-5, 3e-5}};
  t.noise.noisy = true;
  const std::string text = op_json({t});
  const json j = json::parse(text)[0];
  CHECK(j.at("op") == "conv");
  CHECK(j.at("detail") == "1x1");
  CHECK(j.at("flops") == 2 * 16 * 64);
  CHECK(j.at("kernels")[0].at("us").get<double>() == Approx(2));
  CHECK(j.at("kernels")[0].at("us_at_hand").get<double>() == Approx(1));
  const OpTimes back = read_op_json(text);
  REQUIRE(back.kernels.size() == 2);
  CHECK(back.kernels[1].kernel == "slow");
  CHECK_FALSE(back.kernels[1].chosen);
  CHECK(back.kernels[1].high == Approx(3e-5));
  CHECK(back.noise.noisy);
  CHECK_THROWS_AS(read_op_json("[]"), Error);
  const std::string table = op_table({t});
  for (const char* said : {"fast *", "slow ", "noisy", "1x8x4x4, 8x8x1x1, 8 -> 1x8x4x4  (1x1)"})
    CHECK(table.find(said) != std::string::npos);
}
