// SPDX-License-Identifier: Apache-2.0
// test/kernels/winograd.cpp — Winograd's convolution against plain loops, at borders and with everything that may
// follow it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/core/backend.h"
#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "test/kernels/instruction_sets.h"
#include "test/kernels/run_packed.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

namespace fovea {
namespace {

namespace kc = kernels::cpu;
using test::filled;
using test::relative_error;
using test::values_of;

struct Case {
  int64_t batch, channels, height, width, outputs, pad;
  Memory memory = Memory::channels_last;
  Unary act = Unary::identity;
  bool residual = false;
};

}  // namespace

TEST_CASE("cpu: Winograd's convolution", "[cpu]") {
  const Case cases[] = {
      {.batch = 1, .channels = 32, .height = 56, .width = 56, .outputs = 32, .pad = 1},
      {.batch = 2, .channels = 20, .height = 29, .width = 31, .outputs = 33, .pad = 0, .act = Unary::relu},
      {.batch = 3,
       .channels = 64,
       .height = 14,
       .width = 13,
       .outputs = 48,
       .pad = 1,
       .act = Unary::silu,
       .residual = true},
      {.batch = 1,
       .channels = 17,
       .height = 41,
       .width = 30,
       .outputs = 70,
       .pad = 2,
       .memory = Memory::contiguous,
       .act = Unary::relu6,
       .residual = true},
  };
  for (const Case& c : cases) {
    INFO(c.channels << " -> " << c.outputs << " on " << c.height << " x " << c.width);
    ConvAttrs a;
    a.stride = a.dilation = {1, 1};
    a.pad_lo = a.pad_hi = {c.pad, c.pad};
    a.epilogue = {.act = c.act, .residual = c.residual};
    const int64_t h = c.height + 2 * c.pad - 2, w = c.width + 2 * c.pad - 2;
    const Tensor x = contiguous(filled("x", {c.batch, c.channels, c.height, c.width}), c.memory),
                 weights = filled("w", {c.outputs, c.channels, 3, 3}), bias = filled("b", {c.outputs}),
                 residual = contiguous(filled("r", {c.batch, c.outputs, h, w}), c.memory);
    Tensor expected;
    {
      const UseBackend ref("ref");
      expected = conv(x, weights, bias, {.pad = {c.pad}});
      if (c.residual) expected = expected + residual;
      expected = unary(expected, c.act);
    }
    Metas in{x.meta(), weights.meta(), bias.meta()};
    if (c.residual) in.push_back(residual.meta());
    const Metas out{residual.meta()};
    for (const kc::Processor* kind : test::processors_by_loops()) {
      INFO(kind->name);
      const kc::UseProcessor use(*kind);
      const UseBackend cpu("cpu");
      const PlanPtr plan = make_plan({ops::conv, in, out, AttrsRef::of(a), 0b10});
      REQUIRE(plan->name == str_cat("cpu:winograd ", kind->f32->name));
      const Tensor got = test::run_packed(*plan, {x, weights, bias, c.residual ? residual : Tensor()}, 0b10, out[0]);
      CHECK(relative_error(values_of(got), values_of(expected)) < 2e-6);
    }
  }
}

// Pixels are added up before weights make them smaller: (3 + 3 / sqrt(2))^2 = 26.23 of them in the worst place, which
// these signs find. Direct sums have no such limit.
TEST_CASE("cpu: how large pixels may be for Winograd's convolution", "[cpu]") {
  const Shape size{1, 32, 16, 16};
  ConvAttrs a;
  a.stride = a.dilation = a.pad_lo = a.pad_hi = {1, 1};
  const Tensor weights = filled("w", {32, 32, 3, 3}) * 1e-6, bias = filled("b", {32});
  const auto image = [&](float magnitude) {
    std::vector<float> v;
    for (int64_t c = 0; c < 32; ++c)
      for (int64_t y = 0; y < 16; ++y)
        for (int64_t x = 0; x < 16; ++x) v.push_back((y % 4 < 2) == (x % 4 < 2) ? magnitude : -magnitude);
    return contiguous(from<float>(v, size), Memory::channels_last);
  };
  const auto finite = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  };
  const float largest = std::numeric_limits<float>::max();
  for (const kc::Processor* kind : test::processors_by_loops()) {
    INFO(kind->name);
    const kc::UseProcessor use(*kind);
    const auto run = [&](const Tensor& x) {
      const UseBackend cpu("cpu");
      const Metas in{x.meta(), weights.meta(), bias.meta()}, out{x.meta()};
      const PlanPtr plan = make_plan({ops::conv, in, out, AttrsRef::of(a), 0b10});
      REQUIRE(plan->name == str_cat("cpu:winograd ", kind->f32->name));
      return values_of(test::run_packed(*plan, {x, weights, bias, Tensor()}, 0b10, out[0]));
    };
    const auto direct = [&](const Tensor& x) {
      const UseBackend ref("ref");
      return values_of(conv(x, weights, bias, {.pad = {1}}));
    };
    const Tensor within = image(largest / 26.3f), beyond = image(largest / 26.1f);
    CHECK(relative_error(run(within), direct(within)) < 1e-5);
    CHECK_FALSE(finite(run(beyond)));
    CHECK(finite(direct(beyond)));
  }
}

TEST_CASE("cpu: weights that may change are not transformed", "[cpu]") {
  ConvAttrs a;
  a.stride = a.dilation = a.pad_lo = a.pad_hi = {1, 1};
  const Meta x = make_meta(DType::f32, {1, 32, 56, 56}, Memory::channels_last),
             w = make_meta(DType::f32, {32, 32, 3, 3});
  const Metas in{x, w}, out{x};
  const UseBackend cpu("cpu");
  CHECK_THAT(make_plan({ops::conv, in, out, AttrsRef::of(a)})->name, !contains_text("winograd"));
}

}  // namespace fovea
