// SPDX-License-Identifier: Apache-2.0
// test/kernels/cpu.cpp — the CPU backend against ref: every instruction set of this machine, shapes with tails, both
// memory orders.
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/threads.h"
#include "engine/ops/lowered/fused.h"
#include "kernels/cpu/allocator.h"
#include "kernels/cpu/isa/processor.h"
#include "test/kernels/against_ref.h"
#include "test/kernels/instruction_sets.h"
#include "test/kernels/run_packed.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::filled;
using fovea::test::relative_error;
using fovea::test::values_of;
namespace kc = fovea::kernels::cpu;

namespace {

Tensor last(const Tensor& x) { return contiguous(x, Memory::channels_last); }

void check(const std::function<Tensors()>& f, double tolerance = 1e-6) { test::check_against_ref(f, tolerance); }
void check1(const std::function<Tensor()>& f, double tolerance = 1e-6) {
  check([&] { return Tensors{f()}; }, tolerance);
}

double ulps_apart(float got, double exact) {
  const double step = std::ldexp(1.0, std::max(std::ilogb(exact == 0 ? 1e-30 : exact), -126) - 23);
  return std::abs(static_cast<double>(got) - exact) / step;
}

}  // namespace

TEST_CASE("cpu: exp, tanh, erf, sigmoid are within a few units in the last place", "[cpu]") {
  std::vector<float> x, y;
  for (int i = -87000; i <= 88000; i += 7) x.push_back(static_cast<float>(i) * 0.001f);
  for (int i = 1; i < 2000; ++i) x.push_back(std::ldexp(1.f + static_cast<float>(i) * 4e-4f, -i % 30));
  y.resize(x.size());
  const auto n = static_cast<int64_t>(x.size());
  for (const kc::Processor* kind : test::processors_by_loops()) {
    INFO(kind->name);
    const auto worst = [&](Unary fn, double (*exact)(double), double from) {
      kind->f32->unary(fn, 0, 0, x.data(), y.data(), n);
      double most = 0;
      for (size_t i = 0; i < x.size(); ++i)
        if (static_cast<double>(x[i]) > from) most = std::max(most, ulps_apart(y[i], exact(static_cast<double>(x[i]))));
      return most;
    };
    CHECK(worst(Unary::exp, std::exp, -87) < 2);
    CHECK(worst(Unary::tanh, std::tanh, -100) < 3);
    CHECK(worst(Unary::erf, std::erf, -100) < 3);
    CHECK(worst(Unary::sigmoid, [](double v) { return 1 / (1 + std::exp(-v)); }, -80) < 4);
    CHECK(worst(Unary::silu, [](double v) { return v / (1 + std::exp(-v)); }, -80) < 4);
  }
}

TEST_CASE("cpu: functions at infinities and NaN", "[cpu]") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float x[] = {inf, -inf, nan, 0.f, -0.f, 1e30f, -1e30f};
  float y[7];
  for (const kc::Processor* kind : test::processors_by_loops()) {
    INFO(kind->name);
    kind->f32->unary(Unary::exp, 0, 0, x, y, 7);
    CHECK(y[0] == inf);
    CHECK(y[1] == 0);
    CHECK(std::isnan(y[2]));
    CHECK(y[3] == 1);
    for (Unary fn : {Unary::relu, Unary::relu6, Unary::silu, Unary::gelu, Unary::tanh, Unary::sigmoid,
                     Unary::hard_swish, Unary::erf, Unary::mish}) {
      kind->f32->unary(fn, 0, 0, x, y, 7);
      CHECK(std::isnan(y[2]));
      CHECK(y[3] == (fn == Unary::sigmoid ? 0.5f : 0.f));
      const bool kept =
          fn == Unary::relu || fn == Unary::silu || fn == Unary::gelu || fn == Unary::hard_swish || fn == Unary::mish;
      CHECK(y[5] == Approx(kept ? 1e30f : fn == Unary::relu6 ? 6.f : 1.f));
    }
  }
}

TEST_CASE("cpu: unary and its gradient", "[cpu]") {
  for (int i = 0; i < static_cast<int>(Unary::count_); ++i) {
    const auto fn = static_cast<Unary>(i);
    if (!kc::loops().has_unary(fn)) continue;
    INFO(name_of(fn));
    const bool positive = fn == Unary::sqrt || fn == Unary::rsqrt || fn == Unary::log || fn == Unary::log1p ||
                          fn == Unary::pow || fn == Unary::reciprocal;
    const Tensor x = filled("x", {3, 37}, DType::f32, {positive ? 0.1 : -6, 6}), g = filled("g", {3, 37});
    check1([&] { return unary(x, fn, 0.75f, 1.5f); }, 2e-6);
    if (kc::loops().has_unary_dx(fn)) check1([&] { return unary_dx(g, x, fn, 0.75f, 1.5f); }, 2e-6);
  }
}

TEST_CASE("cpu: slopes that the loops lack", "[cpu]") {
  const Tensor x = filled("x", {3, 37}, DType::f32, {0.1, 6}), g = filled("g", {3, 37});
  for (const Unary fn : {Unary::sqrt, Unary::rsqrt, Unary::reciprocal, Unary::log, Unary::clamp}) {
    INFO(name_of(fn));
    REQUIRE(!kc::loops().has_unary_dx(fn));
    check1([&] { return unary_dx(g, x, fn, 0.75f, 1.5f); });
  }
}

TEST_CASE("cpu: comparisons with the broadcasts of networks", "[cpu]") {
  const Tensor x = filled("x", {2, 19, 5, 7}) * 3.0;
  for (const DType t : {DType::f32, DType::i64})
    for (const Shape& s : {Shape{2, 19, 5, 7}, Shape{}, Shape{19, 1, 1}, Shape{7}}) {
      const Tensor a = cast(x, t), b = cast(filled("b", s) * 2.0, t);
      for (const Binary fn : {Binary::eq, Binary::ne, Binary::lt, Binary::le, Binary::gt, Binary::ge})
        check([&] { return Tensors{binary(a, b, fn), binary(b, a, fn), binary(a, a, fn)}; }, 0);
    }
}

TEST_CASE("cpu: binary and where with the broadcasts of networks", "[cpu]") {
  const Tensor x = filled("x", {2, 19, 5, 7});
  for (const Shape& s : {Shape{2, 19, 5, 7}, Shape{}, Shape{19, 1, 1}, Shape{2, 19, 1, 1}, Shape{7}, Shape{5, 7}}) {
    INFO(to_string(s));
    const Tensor b = filled("b", s, DType::f32, {0.5, 2});
    for (Binary fn : {Binary::add, Binary::sub, Binary::mul, Binary::div, Binary::maximum, Binary::minimum}) {
      check1([&] { return binary(x, b, fn); });
      check1([&] { return binary(b, x, fn); });
    }
    if (s.size() < 4 || s[2] == 1) check1([&] { return binary(last(x), b, Binary::mul); });
    Tensor c;
    {
      const UseBackend ref("ref");
      c = less(x, 0.1);
    }
    check1([&] { return where(c, x, b); });
  }
}

TEST_CASE("cpu: convolution", "[cpu]") {
  struct Case {
    int64_t n, c, h, w, o, k, groups;
    ConvOptions options;
  };
  const Case cases[] = {
      {2, 16, 9, 7, 24, 1, 1, {}},
      {1, 5, 9, 7, 13, 1, 1, {.stride = {2}}},
      {1, 40, 7, 7, 40, 3, 1, {.pad = {1}}},
      {1, 3, 17, 19, 21, 3, 1, {.stride = {2}, .pad = {1}}},
      {1, 3, 18, 18, 33, 3, 1, {.stride = {2}, .same = true}},
      {2, 3, 16, 24, 20, 8, 1, {.stride = {8}}},
      {1, 8, 11, 10, 8, 3, 1, {.stride = {1}, .dilation = {2}, .pad = {2}}},
      {1, 12, 9, 9, 18, 3, 3, {.pad = {1}}},
      {2, 24, 6, 8, 48, 3, 6, {.stride = {2}, .pad = {1}}},
      {1, 30, 13, 11, 30, 5, 30, {.pad = {2}}},
      {2, 20, 15, 16, 20, 3, 20, {.stride = {2}, .same = true}},
      {1, 130, 7, 7, 130, 7, 130, {.pad = {3}}},
      {1, 9, 12, 10, 9, 3, 9, {.dilation = {2}, .pad = {2}}},
      {1, 9, 12, 10, 9, 4, 9, {.stride = {3}, .pad = {1}}},
      {1, 6, 12, 10, 12, 3, 6, {.pad = {1}}},
  };
  for (const Case& c : cases) {
    INFO(c.c << " -> " << c.o << " k" << c.k << " groups " << c.groups);
    const Tensor x = filled("x", {c.n, c.c, c.h, c.w}), w = filled("w", {c.o, c.c / c.groups, c.k, c.k}),
                 b = filled("b", {c.o});
    ConvOptions o = c.options;
    o.groups = c.groups;
    check1([&] { return conv(x, w, b, o); });
    check1([&] { return conv(last(x), w, b, o); });
    check1([&] { return conv(last(x), last(w), {}, o); });
  }
}

TEST_CASE("cpu: convolution of one and three spatial dimensions", "[cpu]") {
  const Tensor x1 = filled("x", {2, 10, 23}), w1 = filled("w", {14, 5, 3}), x3 = filled("y", {1, 6, 5, 7, 6}),
               w3 = filled("v", {8, 6, 3, 3, 3});
  check1([&] { return conv(x1, w1, {}, {.stride = {2}, .pad = {1}, .groups = 2}); });
  check1([&] { return conv(last(x3), w3, {}, {.pad = {1}}); });
  check1([&] { return conv(x3, filled("u", {6, 1, 3, 3, 3}), {}, {.stride = {2}, .pad = {1}, .groups = 6}); });
}

TEST_CASE("cpu: convolution and linear with an epilogue and packed weights", "[cpu]") {
  const int64_t groups = GENERATE(1, 21);
  const Unary act = GENERATE(Unary::identity, Unary::relu6, Unary::silu, Unary::gelu);
  const Meta x = make_meta(DType::f32, {2, 21, 9, 10}, Memory::channels_last),
             w = make_meta(DType::f32, {21, 21 / groups, 3, 3});
  const Meta b = make_meta(DType::f32, {21}), y = make_meta(DType::f32, {2, 21, 9, 10}, Memory::channels_last);
  ConvAttrs a;
  a.stride = a.dilation = a.pad_lo = a.pad_hi = {1, 1};
  a.groups = groups;
  a.epilogue = {.act = act, .residual = true};
  const Metas in{x, w, b, y}, out{y};
  const Tensor xs = last(filled("x", x.shape)), ws = filled("w", w.shape), bs = filled("b", {21}),
               rs = last(filled("r", y.shape));
  Tensor expected;
  {
    const UseBackend ref("ref");
    expected = unary(conv(xs, ws, bs, {.pad = {1}, .groups = groups}) + rs, act);
  }
  for (const kc::Processor* kind : test::processors_by_loops()) {
    INFO(kind->name);
    const kc::UseProcessor use(*kind);
    const UseBackend cpu("cpu");
    const PlanPtr plan = make_plan({ops::conv, in, out, AttrsRef::of(a), 0b10});
    REQUIRE(plan->packed_bytes(1) > 0);
    const Tensor got = test::run_packed(*plan, {xs, ws, bs, rs}, 0b10, y);
    CHECK(relative_error(values_of(got), values_of(expected)) < 1e-6);
  }
}

TEST_CASE("cpu: linear layers of few and many rows", "[cpu]") {
  for (int64_t rows : {1, 2, 3, 5, 7, 50})
    for (int64_t outputs : {1, 7, 16, 20, 100}) {
      INFO(rows << " x 33 -> " << outputs);
      const Tensor x = filled("x", {rows, 33}), w = filled("w", {outputs, 33}), b = filled("b", {outputs});
      check1([&] { return linear(x, w, b); });
      check1([&] { return linear(x, transpose(filled("v", {33, outputs}), 0, 1)); });
    }
}

TEST_CASE("cpu: matrix products with broadcasts and transposes", "[cpu]") {
  for (bool ta : {false, true})
    for (bool tb : {false, true}) {
      const MatmulAttrs attrs{ta, tb, 0.5f};
      const auto a = [&](int64_t m, int64_t k) { return ta ? Shape{3, 2, k, m} : Shape{3, 2, m, k}; };
      const auto b = [&](int64_t k, int64_t n) { return tb ? Shape{2, n, k} : Shape{2, k, n}; };
      check1([&] { return matmul(filled("a", a(13, 9)), filled("b", b(9, 21)), attrs); });
      check1([&] { return matmul(filled("a", a(1, 40)), filled("b", b(40, 8)), attrs); });
    }
  check1([&] { return matmul(filled("a", {65, 50}), filled("b", {50, 70})); });
  check1([&] { return matmul(filled("a", {9, 17, 12}), filled("b", {12, 31})); });
  check1([&] {
    return matmul(permute(filled("a", {5, 17, 3, 12}), {0, 2, 1, 3}),
                  permute(filled("b", {5, 19, 3, 12}), {0, 2, 3, 1}));
  });
}

TEST_CASE("cpu: attention", "[cpu]") {
  const Tensor q = filled("q", {2, 3, 70, 12}, DType::f32, {-3, 3}),
               k = filled("k", {2, 3, 53, 12}, DType::f32, {-3, 3}), v = filled("v", {2, 3, 53, 20});
  const Tensor bias = filled("m", {3, 70, 53}), row = filled("n", {53});
  Tensor allowed;
  {
    const UseBackend ref("ref");
    allowed = greater(bias, -0.5);
  }
  check1([&] { return sdpa(q, k, v); }, 2e-6);
  check1([&] { return sdpa(q, k, v, bias, {.scale = 0.5}); }, 2e-6);
  check1([&] { return sdpa(q, k, v, row); }, 2e-6);
  check1([&] { return sdpa(q, k, v, allowed); }, 2e-6);
  check1([&] { return sdpa(q, k, v, {}, {.causal = true}); }, 2e-6);
  const Tensor packed = filled("p", {2, 40, 3, 4, 16});
  const auto part = [&](int64_t i) { return permute(select(packed, 2, i), {0, 2, 1, 3}); };
  check1([&] { return sdpa(part(0), part(1), part(2)); }, 2e-6);
  check1([&] { return sdpa(filled("s", {500, 8}), filled("t", {33, 8}), filled("u", {33, 8})); }, 2e-6);
}

TEST_CASE("cpu: attention of windows, with one key more than whole vectors", "[cpu]") {
  for (int64_t keys : {1, 5, 9, 17, 49, 64, 65}) {
    INFO(keys << " keys");
    const Tensor qkv = filled("w", {4, keys, 3, 2, 20}, DType::f32, {-3, 3}), bias = filled("m", {2, keys, keys});
    const auto part = [&](int64_t i) { return permute(select(qkv, 2, i), {0, 2, 1, 3}); };
    Tensor allowed;
    {
      const UseBackend ref("ref");
      allowed = greater(bias, -0.5);
    }
    check1([&] { return sdpa(part(0), part(1), part(2)); }, 2e-6);
    check1([&] { return sdpa(part(0), part(1), part(2), bias); }, 2e-6);
    check1([&] { return sdpa(part(0), part(1), part(2), narrow(bias, 2, 0, 1), {.scale = -0.3}); }, 2e-6);
    check1([&] { return sdpa(part(0), part(1), part(2), transpose(bias, 1, 2), {.causal = true}); }, 2e-6);
    check1([&] { return sdpa(part(0), part(1), part(2), allowed, {.scale = -0.3}); }, 2e-6);
  }
}

TEST_CASE("cpu: attention to more keys than a cache holds, and to keys that lie in columns", "[cpu]") {
  const Tensor q = filled("q", {1, 130, 64}, DType::f32, {-2, 2}), k = filled("k", {1, 1101, 64}, DType::f32, {-2, 2}),
               v = filled("v", {1, 1101, 72}), across = filled("a", {2, 24, 37}), values = filled("b", {2, 24, 37});
  check1([&] { return sdpa(q, k, v); }, 2e-6);
  check1([&] { return sdpa(q, k, v, {}, {.causal = true}); }, 2e-6);
  check1([&] { return sdpa(filled("c", {2, 11, 24}), transpose(across, 1, 2), transpose(values, 1, 2)); }, 2e-6);
}

TEST_CASE("cpu: attention where scores are infinite or no numbers", "[cpu]") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  Tensor mask = zeros({4, 21});
  float* const m = mask.mutable_data<float>().data();
  for (int i = 0; i < 21; ++i) m[i] = m[42 + i] = m[63 + i] = -kInfinity;
  m[42 + 20] = 1;                                  // row 2: one key is left
  m[63 + 3] = kNan;
  const Tensor q = filled("q", {1, 4, 8}), k = filled("k", {1, 21, 8}), v = filled("v", {1, 21, 5});
  const std::vector<double> last_key = values_of(select(v, 1, 20));
  for (const kc::Processor* kind : test::processors_by_loops()) {
    const kc::UseProcessor use(*kind);
    clear_plan_cache();
    const UseBackend cpu("cpu");
    const std::vector<double> y = values_of(sdpa(q, k, v, mask));
    INFO(kind->name);
    for (size_t i = 0; i < 5; ++i) {
      CHECK(y[i] == 0);
      CHECK(std::isfinite(y[5 + i]));
      CHECK(y[10 + i] == last_key[i]);
      CHECK(std::isnan(y[15 + i]));
    }
  }
  clear_plan_cache();
}

TEST_CASE("cpu: gradients of convolution", "[cpu]") {
  if (!kernels::cpu::processor().vendor) return;   // they are oneDNN's
  for (int64_t groups : {1, 3, 12}) {
    INFO("groups " << groups);
    const Shape x{2, 12, 9, 11}, w{24, 12 / groups, 3, 3};
    ConvAttrs a;
    a.stride = {2, 1};
    a.dilation = a.pad_lo = {1, 1};
    a.pad_hi = {0, 1};
    a.groups = groups;
    const Tensor gy = filled("g", {2, 24, 4, 11}), xs = filled("x", x), ws = filled("w", w);
    for (bool channels_last : {false, true}) {
      const auto lay = [&](const Tensor& t) { return channels_last ? last(t) : t; };
      a.size = {9, 11};
      check1([&] { return call1(ops::conv_dx, {lay(gy), ws}, a); }, 2e-6);
      a.size = {3, 3};
      check1([&] { return call1(ops::conv_dw, {lay(gy), lay(xs)}, a); }, 2e-6);
    }
  }
}

TEST_CASE("cpu: reductions", "[cpu]") {
  const Tensor x = filled("x", {2, 19, 8, 9}), long_one = filled("l", {1, 40, 70, 60});
  for (Reduce fn : {Reduce::sum, Reduce::mean, Reduce::max, Reduce::min, Reduce::sum_squares})
    for (const Dims& axes : {Dims{2, 3}, Dims{3}, Dims{1}, Dims{0, 2, 3}, Dims{0, 1, 2, 3}, Dims{0}, Dims{1, 2}})
      for (KeepDims keep : {drop_dims, keep_dims}) {
        INFO(static_cast<int>(fn) << " over " << to_string(axes));
        check1([&] { return reduce(x, fn, axes, keep); }, 1e-5);
        if (keep) check1([&] { return reduce(last(x), fn, axes, keep); }, 1e-5);
      }
  check1([&] { return mean(long_one, {2, 3}, keep_dims); }, 1e-5);
  check1([&] { return mean(last(long_one), {2, 3}, keep_dims); }, 1e-5);
}

TEST_CASE("cpu: copies, cat, pad and cast", "[cpu]") {
  const Tensor x = filled("x", {2, 19, 17, 18}), m = filled("m", {3, 40, 50});
  check1([&] { return last(x); }, 0);
  check1([&] { return contiguous(last(x)); }, 0);
  check1([&] { return contiguous(transpose(m, 1, 2)); }, 0);
  check1([&] { return contiguous(permute(x, {2, 0, 3, 1})); }, 0);
  check1([&] { return contiguous(permute(x, {0, 2, 1, 3})); }, 0);
  check1([&] { return contiguous(expand(narrow(m, 2, 3, 1), {3, 40, 4})); }, 0);
  for (int dim : {0, 1, 2, 3}) {
    check1([&] { return cat({x, x, x}, dim); }, 0);
    check1([&] { return cat({last(x), last(x)}, dim); }, 0);
  }
  check1([&] { return pad(x, {0, 0, 1, 2}, {0, 3, 0, 1}, PadMode::constant, 2.5f); }, 0);
  check1([&] { return pad(last(x), {0, 0, 1, -2}, {0, 0, -3, 1}); }, 0);
  check1([&] { return pad(last(cast(x, DType::bf16)), {0, 0, 1, -2}, {0, 0, -3, 1}, PadMode::constant, 2.5f); }, 0);
  for (PadMode mode : {PadMode::reflect, PadMode::replicate, PadMode::circular})
    for (DType t : {DType::f32, DType::bf16}) {
      INFO(name_of(mode));
      check1([&] { return pad(cast(x, t), {0, 0, 1, 2}, {0, 0, 16, 0}, mode); }, 0);
      check1([&] { return pad(last(cast(x, t)), {1, 0, 0, 3}, {0, 4, 1, 1}, mode); }, 0);
    }
  for (DType t : {DType::bf16, DType::f16}) {
    check1([&] { return cast(x, t); }, 0);
    check1([&] { return cast(cast(x, t), DType::f32); }, 0);
    check1([&] { return cast(cast(filled("big", {333}, DType::f32, {-1e9, 1e9}), t), DType::f32); }, 0);
  }
}

TEST_CASE("cpu: softmax", "[cpu]") {
  for (int64_t n : {1, 7, 8, 31, 197}) {
    const Tensor x = filled("x", {5, n}, DType::f32, {-20, 20});
    check1([&] { return softmax(x, -1); });
    check1([&] { return log_softmax(x, -1); });
  }
  for (int64_t n : {1, 2, 7})
    for (int64_t inner : {1, 3, 64, 300}) {
      INFO(n << " values, " << inner << " apart");
      const Tensor x = filled("x", {5, n, inner}, DType::f32, {-20, 20}), map = filled("m", {2, n, inner, 3});
      check1([&] { return softmax(x, 1); });
      check1([&] { return log_softmax(x, 1); });
      for (const int dim : {0, 1, 2}) check1([&] { return softmax(last(map), dim); });
    }
}

TEST_CASE("cpu: norms", "[cpu]") {
  const Tensor x = filled("x", {3, 20, 9, 5}, DType::f32, {2, 5}), w = filled("w", {20}), b = filled("b", {20});
  for (bool channels_last : {false, true}) {
    const auto lay = [&](const Tensor& t) { return channels_last ? last(t) : t; };
    check([&] {
      const BatchNormResult r = batch_norm_train(lay(x), w, b, 1e-5);
      return Tensors{r.y, r.mean, r.var};
    }, 2e-6);
    check1([&] { return batch_norm(lay(x), w, b, filled("m", {20}), filled("v", {20}, DType::f32, {0.5, 2}), 1e-5); });
    check1([&] { return group_norm(lay(x), w, b, 4, 1e-5); }, 2e-6);
    check1([&] { return group_norm(lay(x), {}, {}, 1, 1e-5); }, 2e-6);
  }
  for (int64_t n : {3, 16, 77}) {
    const Tensor rows = filled("r", {11, n}, DType::f32, {1, 3}), v = filled("v", {n}), u = filled("u", {n});
    check1([&] { return layer_norm(rows, v, u, 1e-6); }, 2e-6);
    check1([&] { return layer_norm(rows, {}, {}, 1e-6); }, 2e-6);
    check1([&] { return rms_norm(rows, v, 1e-6); }, 2e-6);
    // rows that others lie between, one by one and in groups
    const Tensor wide = filled("wide", {2, 5, 3, 4, n}, DType::f32, {1, 3});
    check1([&] { return layer_norm(select(wide, 3, 1), v, u, 1e-6); }, 2e-6);
    check1([&] { return rms_norm(slice(wide, 2, 1, 3), v, 1e-6); }, 2e-6);
    check1([&] { return rms_norm(slice(slice(wide, 3, 0, 3), 1, 1, 3), v, 1e-6); }, 2e-6);
    check1([&] { return rms_norm(permute(select(wide, 2, 1), {1, 2, 0, 3}), v, 1e-6); }, 2e-6);
    check1([&] { return rms_norm(expand(slice(wide, 3, 0, 1), {2, 5, 3, 2, n}), v, 1e-6); }, 2e-6);
  }
}

TEST_CASE("cpu: gates and means over places of channels-last images", "[cpu]") {
  for (const Shape& s : {Shape{1, 32, 40, 33}, Shape{2, 150, 13, 11}, Shape{1, 1152, 7, 7}}) {
    const Tensor x = last(filled("x", s)), gate = filled("gate", {s[0], s[1], 1, 1});
    check1([&] { return x * gate; }, 0);
    check1([&] { return gate * x; }, 0);
    check1([&] { return x * reshape(slice(gate, 0, 0, 1), {s[1], 1, 1}); }, 0);
    for (Reduce fn : {Reduce::mean, Reduce::max, Reduce::sum_squares})
      check1([&] { return call1(ops::reduce, {x}, ReduceAttrs{fn, {2, 3}, true}); }, 2e-6);
  }
}

TEST_CASE("cpu: channels scaled and shifted, of several images joined", "[cpu]") {
  for (Unary fn : {Unary::identity, Unary::relu, Unary::silu})
    for (bool channels_last : {false, true}) {
      const ScaleShiftAttrs a{{.act = fn}};
      Tensors in{filled("gain", {181}), filled("shift", {181})};
      for (int64_t channels : {11, 64, 32, 48, 26}) {
        const Tensor x = filled("x", {2, channels, 9, 5}, DType::f32, {-2, 2});
        in.push_back(channels_last ? last(x) : x);
      }
      check([&] { return call(ops::scale_shift, in, AttrsRef::of(a)); });
      check([&] { return call(ops::scale_shift, {slice(in[0], 0, 0, 64), slice(in[1], 0, 0, 64), in[3]}, a); });
      for (size_t i = 2; i < in.size(); ++i) in[i] = cast(in[i], DType::bf16);
      check([&] { return call(ops::scale_shift, in, AttrsRef::of(a)); }, 0.01);
    }
}

TEST_CASE("cpu: pooling", "[cpu]") {
  const Tensor x = filled("x", {2, 11, 13, 10});
  for (bool channels_last : {false, true}) {
    const auto lay = [&](const Tensor& t) { return channels_last ? last(t) : t; };
    const PoolOptions options[] = {{.kernel = {2}},
                                   {.kernel = {3}, .stride = {2}, .pad = {1}},
                                   {.kernel = {3}, .stride = {2}, .same = true},
                                   {.kernel = {3}, .stride = {2}, .ceil_mode = true, .count_include_pad = false}};
    for (const PoolOptions& o : options) {
      check([&] {
        const auto [y, i] = max_pool_indices(lay(x), o);
        return Tensors{y, i};
      });
      check1([&] { return avg_pool(lay(x), o); });
    }
    check1([&] { return adaptive_avg_pool(lay(x), {1, 1}); });
    check1([&] { return adaptive_avg_pool(lay(x), {5, 3}); });
  }
}

TEST_CASE("cpu: the largest alone is what comes with indices", "[cpu]") {
  PoolAttrs a{.kernel = {3, 2}, .stride = {2, 1}, .pad_lo = {1, 0}, .pad_hi = {1, 1}, .dilation = {1, 2}};
  for (int64_t channels : {1, 11, 64, 150}) {
    Tensor x = filled("x", {2, channels, 9, 7});
    x.mutable_data<float>()[40] = std::numeric_limits<float>::quiet_NaN();
    for (bool channels_last : {false, true})
      for (DType t : {DType::f32, DType::bf16}) {
        INFO(channels << " channels, " << name_of(t));
        const Tensor image = cast(channels_last ? last(x) : x, t);
        a.values_only = false;
        const Tensors both = call(ops::max_pool, {image}, a);
        a.values_only = true;
        for (const kc::Processor* kind : test::processors_by_loops()) {
          const kc::UseProcessor use(*kind);
          clear_plan_cache();
          const Tensors one = call(ops::max_pool, {image}, a);
          REQUIRE(one.size() == 1);
          const std::vector<double> got = values_of(one[0]), want = values_of(both[0]);
          CHECK(std::equal(got.begin(), got.end(), want.begin(), want.end(), [](double u, double v) {
            return u == v || (std::isnan(u) && std::isnan(v));
          }));
        }
        clear_plan_cache();
      }
  }
}

TEST_CASE("cpu: interpolation and rolling", "[cpu]") {
  const Tensor x = filled("x", {2, 11, 7, 6});
  for (bool channels_last : {false, true}) {
    const auto lay = [&](const Tensor& t) { return channels_last ? last(t) : t; };
    for (const Dims& size : {Dims{14, 12}, Dims{5, 9}, Dims{1, 1}}) {
      check1([&] { return interpolate(lay(x), size); }, 0);
      check1([&] { return interpolate(lay(x), size, {.mode = Interpolation::linear}); });
      check1([&] { return interpolate(lay(x), size, {.mode = Interpolation::linear, .align_corners = true}); });
      check1([&] { return interpolate(lay(x), size, {.mode = Interpolation::cubic}); });
      check1([&] { return interpolate(lay(x), size, {.mode = Interpolation::cubic, .align_corners = true}); });
    }
    check1([&] { return roll(lay(x), {-3, 2}, {2, 3}); }, 0);
    check1([&] { return roll(lay(x), {8}, {1}); }, 0);
  }
}

TEST_CASE("cpu: freed memory is reused and can be given back", "[cpu]") {
  kc::trim();
  std::byte* first = nullptr;
  {
    const auto block = kc::allocate(100000, {});
    first = block->data;
    CHECK(reinterpret_cast<uintptr_t>(first) % 64 == 0);
  }
  CHECK(kc::allocate(100000, {})->data == first);
  CHECK(kc::trim() >= 100000);
  CHECK(kc::trim() == 0);
  CHECK(kc::allocate(0, {})->data != nullptr);
}
