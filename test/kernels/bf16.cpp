// SPDX-License-Identifier: Apache-2.0
// test/kernels/bf16.cpp — ops in bf16 against f32 on ref: sums are in f32 and the result is rounded once, whatever the
// instruction set; odd channels, groups, strides, both memory orders.
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/pointwise/coarse_map.h"
#include "test/kernels/instruction_sets.h"
#include "test/kernels/run_packed.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::filled;
using fovea::test::values_of;
namespace kc = fovea::kernels::cpu;

namespace {

Tensor last(const Tensor& x) { return contiguous(x, Memory::channels_last); }

// Values that bf16 can hold, in the type of the run.
struct Operands {
  DType type;
  Tensor operator()(std::string_view name, const Shape& s, test::Range r = {}) const {
    return cast(cast(filled(name, s, DType::f32, r), DType::bf16), type);
  }
};

// Half a unit in bf16's last place, and what the order of a sum may change.
void check_rounded_once(const Tensor& got, const std::vector<double>& exact, double slack) {
  CHECK(got.dtype() == DType::bf16);
  CAPTURE(to_string(got.meta()));
  const std::vector<double> values = values_of(got);
  REQUIRE(values.size() == exact.size());
  double absmax = 0, worst = 0;
  for (const double v : exact) absmax = std::max(absmax, std::abs(v));
  for (size_t i = 0; i < exact.size(); ++i) {
    const double allowed = std::abs(exact[i]) / 256 + slack * absmax;
    worst = std::max(worst, std::abs(values[i] - exact[i]) / allowed);
  }
  CHECK(worst <= 1);
}

// f in f32 on ref, then in bf16 on cpu with every instruction set; one thread and three give the same bits.
void check(const std::function<Tensor(const Operands&)>& f, double slack = 1e-5) {
  std::vector<double> expected;
  {
    const UseBackend ref("ref");
    expected = values_of(f({DType::f32}));
  }
  const int before = threads();
  test::with_bf16_sets([&](const char*) {
    std::vector<double> one;
    for (int n : {1, 3}) {
      clear_plan_cache();
      set_threads(n);
      const UseBackend cpu("cpu");
      const Tensor got = f({DType::bf16});
      check_rounded_once(got, expected, slack);
      if (n == 1) one = values_of(got);
      else CHECK(values_of(got) == one);
    }
  });
  set_threads(before);
}

}  // namespace

TEST_CASE("bf16: convolutions of odd channels, groups, strides and orders", "[cpu][bf16]") {
  struct Case {
    int64_t n, c, h, w, o, k, groups;
    ConvOptions options;
  };
  const Case cases[] = {
      {2, 16, 9, 7, 24, 1, 1, {}},
      {1, 5, 9, 7, 13, 1, 1, {.stride = {2}}},
      {1, 41, 7, 7, 40, 3, 1, {.pad = {1}}},
      {1, 3, 17, 19, 21, 3, 1, {.stride = {2}, .pad = {1}}},
      {1, 3, 18, 18, 33, 7, 1, {.stride = {2}, .pad = {3}}},
      {2, 3, 16, 24, 20, 8, 1, {.stride = {8}}},
      {1, 8, 11, 10, 8, 3, 1, {.stride = {1}, .dilation = {2}, .pad = {2}}},
      {1, 9, 9, 9, 18, 3, 3, {.pad = {1}}},
      {2, 24, 6, 8, 48, 3, 6, {.stride = {2}, .pad = {1}}},
      {1, 34, 8, 8, 130, 1, 2, {}},
      {1, 30, 13, 11, 30, 5, 30, {.pad = {2}}},
      {2, 20, 15, 16, 20, 3, 20, {.stride = {2}, .same = true}},
      {1, 130, 7, 7, 130, 7, 130, {.pad = {3}}},
      {1, 16, 6, 14, 16, 3, 16, {.pad = {1}}},
      {2, 72, 9, 13, 72, 5, 72, {.stride = {2}, .pad = {2}}},
      {1, 48, 8, 10, 48, 3, 48, {.stride = {2}, .pad = {1}}},
      {1, 56, 15, 15, 56, 7, 56, {.stride = {2}, .pad = {3}}},
      {1, 9, 12, 10, 9, 3, 9, {.dilation = {2}, .pad = {2}}},
      {1, 6, 12, 10, 12, 3, 6, {.pad = {1}}},
  };
  for (const Case& c : cases) {
    INFO(c.c << " -> " << c.o << " k" << c.k << " groups " << c.groups);
    ConvOptions o = c.options;
    o.groups = c.groups;
    const Shape xs{c.n, c.c, c.h, c.w}, ws{c.o, c.c / c.groups, c.k, c.k};
    check([&](const Operands& v) { return conv(v("x", xs), v("w", ws), v("b", {c.o}), o); });
    check([&](const Operands& v) { return conv(last(v("x", xs)), last(v("w", ws)), {}, o); });
  }
  check([](const Operands& v) {
    return conv(v("x", {2, 10, 23}), v("w", {14, 5, 3}), {}, {.stride = {2}, .pad = {1}, .groups = 2});
  });
  check([](const Operands& v) {
    return conv(last(v("x", {1, 6, 5, 7, 6})), v("w", {8, 6, 3, 3, 3}), {}, {.pad = {1}});
  });
}

// What lies behind an odd row's last element is another row's, and may be anything.
TEST_CASE("bf16: an odd depth reads nothing behind it", "[cpu][bf16]") {
  const float inf = std::numeric_limits<float>::infinity();
  test::with_bf16_sets([&](const char*) {
    const Tensor x = cast(cat({filled("x", {1, 5}), full({1, 5}, inf)}, 0), DType::bf16),
                 w = cast(filled("w", {7, 5}), DType::bf16);
    for (const double v : values_of(narrow(linear(x, w), 0, 0, 1))) CHECK(std::isfinite(v));
  });
}

TEST_CASE("bf16: epilogues with packed weights and bias are computed in f32", "[cpu][bf16]") {
  const int64_t groups = GENERATE(1, 3, 21);
  const Unary act = GENERATE(Unary::identity, Unary::relu6, Unary::silu, Unary::gelu, Unary::hard_swish);
  const bool channels_last = GENERATE(false, true);
  const auto lay = [&](const Tensor& t) { return channels_last ? last(t) : t; };
  const Operands f32{DType::f32}, bf16{DType::bf16};
  const Shape shape{2, 21, 9, 10}, filter{21, 21 / groups, 3, 3};
  ConvAttrs a;
  a.stride = a.dilation = a.pad_lo = a.pad_hi = {1, 1};
  a.groups = groups;
  a.epilogue = {.act = act, .residual = true};
  std::vector<double> expected;
  {
    const UseBackend ref("ref");
    const ConvOptions o{.pad = {1}, .groups = groups};
    expected = values_of(unary(conv(f32("x", shape), f32("w", filter), f32("b", {21}), o) + f32("r", shape), act));
  }
  const Tensor xs = lay(bf16("x", shape)), ws = bf16("w", filter), bs = bf16("b", {21}), rs = lay(bf16("r", shape));
  const Metas in{xs.meta(), ws.meta(), bs.meta(), rs.meta()}, out{rs.meta()};
  test::with_bf16_sets([&](const char* set) {
    const UseBackend cpu("cpu");
    const PlanPtr plan = make_plan({ops::conv, in, out, AttrsRef::of(a), 0b110});
    INFO(plan->name);
    const kc::Bf16Loops* const pairs = kc::processor().bf16;
    if (pairs && groups != 21) CHECK(plan->name == str_cat("cpu:product ", set));
    else if (pairs && pairs->depthwise) CHECK(plan->name == str_cat("cpu:depthwise ", pairs->name));
    else if (groups == 21) CHECK(plan->name == str_cat("cpu:depthwise ", kc::loops().name, " bf16"));
    const Tensor got = test::run_packed(*plan, {xs, ws, bs, rs}, 0b110, out[0]);
    check_rounded_once(got, expected, 1e-5);
  });
}

TEST_CASE("bf16: functions of sums are those of f32, rounded, and write nothing else", "[cpu][bf16]") {
  constexpr int64_t kRows = 5, kColumns = 59, kStep = 64;
  const float inf = std::numeric_limits<float>::infinity();
  for (const Unary fn : {Unary::identity, Unary::hard_sigmoid, Unary::hard_swish, Unary::silu, Unary::quick_gelu,
                         Unary::gelu, Unary::tanh})
    for (const kc::Processor* kind : test::processors_by_loops()) {
      INFO(kind->name << ", function " << static_cast<int>(fn));
      std::vector<float> x(kRows * kColumns), want(x.size());
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = (static_cast<float>(i) - 140.f) * (i % 2 ? 0.9f : 0.05f);
      x[1] = inf;
      x[2] = std::numeric_limits<float>::quiet_NaN();
      kind->f32->unary(fn, 0, 0, x.data(), want.data(), static_cast<int64_t>(x.size()));
      const bfloat16 untouched = to_bfloat16(77);
      std::vector<bfloat16> y(kRows * kStep, untouched);
      kc::map_to_bf16(*kind, {{.act = fn}, x.data(), y.data(), kColumns, kStep, kRows, kColumns});
      for (int64_t r = 0; r < kRows; ++r)
        for (int64_t c = 0; c < kStep; ++c) {
          const float got = to_float(y[static_cast<size_t>(r * kStep + c)]);
          const float v = c < kColumns ? want[static_cast<size_t>(r * kColumns + c)] : 77;
          INFO("row " << r << ", column " << c << ": " << got << ", expected " << v);
          CHECK(((std::isnan(got) && std::isnan(v)) || got == v || std::abs(got - v) <= std::abs(v) / 256 + 1e-30f));
        }
    }
}

TEST_CASE("bf16: linear layers of few and many rows", "[cpu][bf16]") {
  for (int64_t rows : {1, 2, 3, 5, 7, 16, 17, 50})
    for (int64_t outputs : {1, 7, 16, 20, 48, 100, 300}) {
      INFO(rows << " x 33 -> " << outputs);
      check([&](const Operands& v) { return linear(v("x", {rows, 33}), v("w", {outputs, 33}), v("b", {outputs})); });
      check([&](const Operands& v) { return linear(v("x", {rows, 40}), transpose(v("w", {40, outputs}), 0, 1)); });
    }
}

// The weights of attention round to bf16 before the second product.
constexpr double kWeights = 4e-3;

TEST_CASE("bf16: attention of odd and even sizes, with masks of every broadcast", "[cpu][bf16]") {
  struct Case {
    int64_t queries, keys, depth, columns;
  };
  const Case cases[] = {{70, 53, 12, 21}, {49, 49, 32, 32}, {1, 197, 64, 64}, {9, 16, 7, 33}, {5, 1, 1, 1},
                        {100, 97, 33, 48}, {17, 80, 40, 16}};
  for (const Case& c : cases) {
    INFO(c.queries << " queries, " << c.keys << " keys of " << c.depth << ", values of " << c.columns);
    const auto attend = [&](const Operands& v, const Tensor& mask, const AttentionOptions& o = {}) {
      return sdpa(v("q", {2, 3, c.queries, c.depth}, {-3, 3}), v("k", {2, 3, c.keys, c.depth}, {-3, 3}),
                  v("v", {2, 3, c.keys, c.columns}), mask, o);
    };
    check([&](const Operands& v) { return attend(v, {}); }, kWeights);
    check([&](const Operands& v) { return attend(v, {}, {.scale = -0.25}); }, kWeights);
    check([&](const Operands& v) { return attend(v, {}, {.causal = true}); }, kWeights);
    const Shape masks[] = {{c.keys}, {c.queries, c.keys}, {3, 1, c.keys}, {2, 1, c.queries, c.keys},
                           {2, 3, c.queries, c.keys}, {c.queries, 1}};
    for (const Shape& shape : masks) {
      INFO("mask " << to_string(shape));
      check([&](const Operands& v) { return attend(v, v("m", shape, {-2, 2}), {.scale = 0.5}); }, kWeights);
      Tensor allowed;
      {
        const UseBackend ref("ref");
        allowed = greater(filled("m", shape), -0.5);
      }
      check([&](const Operands& v) { return attend(v, allowed); }, kWeights);
    }
  }
}

TEST_CASE("bf16: attention to parts of packed tensors", "[cpu][bf16]") {
  for (const Shape& shape : {Shape{2, 40, 3, 4, 17}, Shape{2, 40, 3, 4, 32}}) {
    const auto part = [&](const Operands& v, int64_t i) {
      return permute(select(v("p", shape), 2, i), {0, 2, 1, 3});
    };
    check([&](const Operands& v) { return sdpa(part(v, 0), part(v, 1), part(v, 2)); }, kWeights);
    // keys and values that lie by columns
    check([&](const Operands& v) {
      const Tensor k = v("k", {2, 4, 17, 23}), value = v("v", {2, 4, 9, 23}), q = v("q", {2, 4, 11, 17});
      return sdpa(q, transpose(k, 2, 3), transpose(value, 2, 3));
    }, kWeights);
  }
}

TEST_CASE("bf16: attention of large scores, and of rows that see nothing", "[cpu][bf16]") {
  const float inf = std::numeric_limits<float>::infinity();
  check([](const Operands& v) {                    // what rounding leaves of them must not count
    const Tensor large = full({}, 1e6f), q = v("q", {2, 10, 8}), k = v("k", {2, 37, 8});
    return sdpa(q * cast(large, v.type), k * cast(large, v.type), v("v", {2, 37, 8}));
  }, kWeights);
  for (const float never : {-inf, -3e38f}) {
    const Tensor first = full({3, 1}, never), mask = cat({first, full({3, 20}, 0.f)}, 1);
    const Tensor rows = cat({full({1, 21}, never), mask}, 0);
    check([&](const Operands& v) {
      return sdpa(v("q", {2, 4, 8}), v("k", {2, 21, 8}), v("v", {2, 21, 5}), cast(rows, v.type));
    }, kWeights);
  }
  Tensor allowed;
  {
    const UseBackend ref("ref");
    allowed = greater(cat({full({2, 21}, -1.f), filled("m", {10, 21})}, 0), -0.5);
  }
  check(
      [&](const Operands& v) {
        return sdpa(v("q", {2, 12, 8}), v("k", {2, 21, 8}), v("v", {2, 21, 5}), allowed);
      },
      kWeights);
}

TEST_CASE("bf16: pointwise functions, norms and softmax round once", "[cpu][bf16]") {
  const Shape shape{2, 19, 15, 37};
  for (Unary fn : {Unary::relu, Unary::silu, Unary::gelu, Unary::hard_swish, Unary::affine})
    check([&](const Operands& v) { return unary(v("x", shape), fn, 0.75f, 1.5f); });
  for (const Shape& s : {shape, Shape{}, Shape{19, 1, 1}, Shape{2, 19, 1, 1}, Shape{37}})
    for (Binary fn : {Binary::add, Binary::mul, Binary::div}) {
      INFO(to_string(s));
      check([&](const Operands& v) { return binary(last(v("x", shape)), v("b", s, {0.5, 2}), fn); });
      check([&](const Operands& v) { return binary(v("b", s, {0.5, 2}), v("x", shape, {0.5, 2}), fn); });
    }
  const auto f32 = [](std::string_view name, int64_t n) { return filled(name, {n}, DType::f32, {0.5, 2}); };
  for (int64_t size : {5, 96, 1500}) {
    INFO("rows of " << size);
    check([&](const Operands& v) {
      return layer_norm(v("x", {7, size}, {1, 3}), f32("w", size), f32("b", size), 1e-5);
    });
    check([&](const Operands& v) {
      const Tensor x = last(v("x", {2, size, 5, 7}));
      return batch_norm(x, f32("w", size), f32("b", size), f32("m", size), f32("v", size), 1e-5);
    });
    check([&](const Operands& v) { return softmax(v("x", {5, size}, {-9, 9}), -1); });
    check([&](const Operands& v) { return log_softmax(v("x", {5, size}, {-9, 9}), -1); });
  }
}

TEST_CASE("bf16: sums, means, extremes and average pools round once", "[cpu][bf16]") {
  for (const Shape& shape : {Shape{2, 19, 9, 8}, Shape{2, 72, 28, 28}, Shape{1, 150, 14, 15}}) {
    INFO(to_string(shape));
    for (const bool channels_last : {false, true}) {
      const auto x = [&](const Operands& v) { return channels_last ? last(v("x", shape)) : v("x", shape); };
      check([&](const Operands& v) { return mean(x(v), {2, 3}, keep_dims); });
      check([&](const Operands& v) { return sum(x(v), {0, 2, 3}); });
      check([&](const Operands& v) { return mean(x(v), {1}); });
      check([&](const Operands& v) { return amax(x(v), {2, 3}); });
      check([&](const Operands& v) { return avg_pool(x(v), {.kernel = {2}, .stride = {2}}); });
      check([&](const Operands& v) { return avg_pool(x(v), {.kernel = {3}, .stride = {2}, .pad = {1}}); });
      check([&](const Operands& v) { return adaptive_avg_pool(x(v), {3, 4}); });
    }
  }
}

TEST_CASE("bf16: ops without kernels of their own go by way of f32", "[cpu][bf16]") {
  check([](const Operands& v) { return matmul(v("a", {3, 13, 9}), v("b", {3, 9, 21})); });
  check([](const Operands& v) { return matmul(transpose(v("a", {3, 9, 13}), 1, 2), v("b", {9, 21})); });
}

TEST_CASE("bf16: long depths, of which whole tiles and a part are multiplied", "[cpu][bf16]") {
  for (int64_t depth : {31, 32, 64, 95, 700}) {
    INFO(depth << " deep");
    check([&](const Operands& v) { return linear(v("x", {40, depth}), v("w", {70, depth}), v("b", {70})); });
    check([&](const Operands& v) {
      return conv(last(v("x", {1, depth, 5, 5})), v("w", {36, depth, 3, 3}), {}, {.pad = {1}});
    });
  }
}

TEST_CASE("bf16: the emulated instructions were met", "[cpu][bf16]") {
  const test::AmxEmulator emulator;
  const std::optional<kc::Processor> amx = test::emulated_amx();
  if (!amx) return;
  const kc::UseProcessor use(*amx);
  clear_plan_cache();
  const long before = test::AmxEmulator::carried_out();
  check_rounded_once(linear(cast(full({1, 64}, 1), DType::bf16), cast(full({16, 64}, 1), DType::bf16)),
                     std::vector<double>(16, 64.0), 0);
  // configured once, zeroed, two steps of two loads and a product, stored, released
  CHECK(test::AmxEmulator::carried_out() - before == 10);
  clear_plan_cache();
}
