// SPDX-License-Identifier: Apache-2.0
// test/kernels/conv_few.cpp — convolutions of images with few channels against plain loops, in both memory orders.
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/threads.h"
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
  int64_t batch, channels, height, width, outputs;
  Dims kernel, stride, pad_lo, pad_hi;
  Unary act = Unary::identity;
  bool bias = true;
};

int64_t places(int64_t in, const Case& c, int i) {
  return (in + c.pad_lo[i] + c.pad_hi[i] - c.kernel[i]) / c.stride[i] + 1;
}

struct Layer {
  ConvAttrs attrs;
  Metas in, out;
  Layer(const Case& c, Memory from, Memory to, DType type) {
    attrs.stride = c.stride;
    attrs.dilation = {1, 1};
    attrs.pad_lo = c.pad_lo;
    attrs.pad_hi = c.pad_hi;
    attrs.epilogue.act = c.act;
    in = {make_meta(type, {c.batch, c.channels, c.height, c.width}, from),
          make_meta(type, {c.outputs, c.channels, c.kernel[0], c.kernel[1]}),
          c.bias ? make_meta(type, {c.outputs}) : Meta{}};
    out = {make_meta(type, {c.batch, c.outputs, places(c.height, c, 0), places(c.width, c, 1)}, to)};
  }
  PlanPtr plan() const { return make_plan({ops::conv, in, out, AttrsRef::of(attrs), 0b10}); }
};

const Case cases[] = {
    {1, 3, 40, 45, 16, {3, 3}, {2, 2}, {1, 1}, {1, 1}, Unary::hard_swish},
    {2, 3, 31, 33, 24, {3, 3}, {2, 2}, {0, 0}, {1, 1}, Unary::silu},
    {1, 3, 29, 26, 64, {7, 7}, {2, 2}, {3, 3}, {3, 3}, Unary::relu},
    {3, 1, 28, 28, 40, {5, 5}, {1, 1}, {2, 2}, {2, 2}, Unary::relu6},
    {1, 4, 52, 51, 48, {4, 4}, {4, 4}, {0, 0}, {0, 0}, Unary::identity, false},
    {1, 2, 19, 39, 5, {3, 5}, {1, 3}, {2, 1}, {0, 4}, Unary::gelu},
    {2, 2, 13, 15, 21, {1, 1}, {1, 1}, {0, 0}, {0, 0}, Unary::relu},
    {1, 3, 25, 27, 33, {2, 3}, {2, 1}, {1, 2}, {3, 2}, Unary::identity},
    {1, 3, 50, 140, 70, {3, 3}, {4, 5}, {0, 1}, {0, 0}, Unary::sigmoid},
};

Tensor of_type(std::string_view name, const Shape& s, DType type) { return cast(filled(name, s), type); }

}  // namespace

TEST_CASE("cpu: convolution of few channels", "[cpu][bf16]") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  for (const Case& c : cases)
    for (const Memory from : {Memory::contiguous, Memory::channels_last})
      for (const Memory to : {Memory::contiguous, Memory::channels_last}) {
        const Layer layer(c, from, to, type);
        INFO(c.channels << " -> " << c.outputs << " on " << c.height << " x " << c.width);
        const Tensor x = contiguous(of_type("x", layer.in[0].shape, type), from),
                     w = of_type("w", layer.in[1].shape, type),
                     b = c.bias ? of_type("b", {c.outputs}, type) : Tensor();
        Tensor expected;
        {
          const UseBackend ref("ref");
          const auto f32 = [](const Tensor& t) { return t ? cast(t, DType::f32) : t; };
          expected = call1(ops::conv, {f32(x), f32(w), f32(b)}, layer.attrs);
        }
        for (const kc::Processor* kind : test::processors_by_loops()) {
          INFO(kind->name);
          const kc::UseProcessor use(*kind);
          const UseBackend cpu("cpu");
          const PlanPtr plan = layer.plan();
          if (type == DType::f32) REQUIRE(plan->name == str_cat("cpu:few ", kind->f32->name));
          else if (!kind->bf16) continue;
          else REQUIRE(plan->name == str_cat("cpu:few ", kind->bf16->name));
          std::vector<double> first;
          for (const int n : {1, 2, 3}) {
            const UseThreads threads(n);
            const Tensor got = test::run_packed(*plan, {x, w, b}, 0b10, layer.out[0]);
            CHECK(relative_error(values_of(got), values_of(expected)) < (type == DType::f32 ? 1e-6 : 1.0 / 256));
            if (n == 1) first = values_of(got);
            else CHECK(values_of(got) == first);
          }
        }
      }
}

TEST_CASE("cpu: convolutions that only resemble those of few channels", "[cpu]") {
  const UseBackend cpu("cpu");
  const auto name = [](const Case& c) {
    return Layer(c, Memory::contiguous, Memory::channels_last, DType::f32).plan()->name;
  };
  const Case fits{1, 3, 32, 32, 16, {3, 3}, {1, 1}, {1, 1}, {1, 1}};
  CHECK_THAT(name(fits), contains_text("few"));
  Case c = fits;
  c.channels = 5;
  CHECK_THAT(name(c), !contains_text("few"));
  c = fits;
  c.height = c.width = 4;                          // fewer results in a row than a tile has
  CHECK_THAT(name(c), !contains_text("few"));
  c = fits;
  c.outputs = 2000;                                // weights that do not fit the nearer caches
  CHECK_THAT(name(c), !contains_text("few"));
}

}  // namespace fovea
