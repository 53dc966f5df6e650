// SPDX-License-Identifier: Apache-2.0
// test/kernels/quant.cpp — ops on quantised values against loops over integers written here, with every set of loops.
#include <algorithm>
#include <cmath>
#include <optional>

#include "api/plain_integers.h"
#include "engine/core/backend.h"
#include "engine/graph/session.h"
#include "engine/graph/trace.h"
#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/isa/generic/sets.h"
#include "kernels/cpu/isa/processor.h"
#include "test/kernels/instruction_sets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/vnni_emulator.h"

namespace fovea {
namespace {

namespace kc = kernels::cpu;
using test::filled;
using test::values_of;

struct Case {
  int64_t batch, channels, size, outputs, kernel, stride = 1, pad = 0, groups = 1, dilation = 1;
  Unary act = Unary::identity;
  enum { none, u8, f32 } residual = none;
  bool f32_out = false;
};

template <class T>
Tensor integers(std::string_view name, const Shape& s, int lo, int hi) {
  const std::vector<double> v = values_of(filled(name, s, DType::f32, {static_cast<double>(lo), hi + 0.999}));
  std::vector<T> q;
  for (double x : v) q.push_back(static_cast<T>(std::floor(x)));
  return from<T>(std::span<const T>(q), s);
}

double activated(double v, Unary act) {
  switch (act) {
    case Unary::relu: return std::max(v, 0.0);
    case Unary::relu6: return std::clamp(v, 0.0, 6.0);
    case Unary::hard_swish: return v * std::clamp(v + 3, 0.0, 6.0) / 6;
    case Unary::silu: return v / (1 + std::exp(-v));
    default: return v;
  }
}

struct Operands {
  Tensor x, w, scale, bias, residual;
};

Operands operands_of(const Case& c, const Shape& y) {
  const int64_t depth = c.channels / c.groups;
  Operands o{integers<uint8_t>("x", {c.batch, c.channels, c.size, c.size}, 0, 255),
             integers<int8_t>("w", {c.outputs, depth, c.kernel, c.kernel}, -127, 127),
             filled("scale", {c.outputs}, DType::f32, {1e-5, 1e-4}),
             integers<int32_t>("bias", {c.outputs}, -9999, 9999),
             {}};
  if (c.residual == Case::u8) o.residual = integers<uint8_t>("residual", y, 0, 255);
  if (c.residual == Case::f32) o.residual = filled("residual", y);
  return o;
}

QuantConvAttrs attrs_of(const Case& c) {
  QuantConvAttrs a;
  a.conv.stride = {c.stride, c.stride};
  a.conv.dilation = {c.dilation, c.dilation};
  a.conv.pad_lo = a.conv.pad_hi = {c.pad, c.pad};
  a.conv.groups = c.groups;
  a.conv.epilogue.act = c.act;
  a.conv.epilogue.residual = c.residual != Case::none;
  a.x = {0.02f, 37};
  if (c.residual == Case::u8) a.residual = {0.015f, 90};
  if (!c.f32_out) a.y = {0.03f, c.act == Unary::relu || c.act == Unary::relu6 ? 0 : 101};
  return a;
}

// Sums in 64-bit integers, everything behind them in double.
std::vector<double> expected(const Case& c, const QuantConvAttrs& a, const Operands& o, int64_t out) {
  const std::span<const uint8_t> x = o.x.data<uint8_t>();
  const std::span<const int8_t> w = o.w.data<int8_t>();
  const std::vector<double> residual = o.residual ? values_of(o.residual) : std::vector<double>();
  const int64_t depth = c.channels / c.groups, per_group = c.outputs / c.groups;
  std::vector<double> y;
  for (int64_t n = 0; n < c.batch; ++n)
    for (int64_t oc = 0; oc < c.outputs; ++oc)
      for (int64_t oy = 0; oy < out; ++oy)
        for (int64_t ox = 0; ox < out; ++ox) {
          int64_t sum = o.bias.data<int32_t>()[static_cast<size_t>(oc)];
          for (int64_t d = 0; d < depth; ++d)
            for (int64_t ky = 0; ky < c.kernel; ++ky)
              for (int64_t kx = 0; kx < c.kernel; ++kx) {
                const int64_t v = oy * c.stride - c.pad + ky * c.dilation, u = ox * c.stride - c.pad + kx * c.dilation;
                const bool inside = v >= 0 && v < c.size && u >= 0 && u < c.size;
                const int64_t from = ((n * c.channels + oc / per_group * depth + d) * c.size + v) * c.size + u;
                sum += (inside ? x[static_cast<size_t>(from)] : a.x.zero) *
                       w[static_cast<size_t>(((oc * depth + d) * c.kernel + ky) * c.kernel + kx)];
              }
          double v = static_cast<double>(sum) * static_cast<double>(o.scale.data<float>()[static_cast<size_t>(oc)]);
          if (o.residual) {
            const double r = residual[y.size()];
            v += a.residual ? static_cast<double>(a.residual.scale) * (r - a.residual.zero) : r;
          }
          v = activated(v, c.act);
          if (a.y) v = std::clamp(std::nearbyint(v / static_cast<double>(a.y.scale)) + a.y.zero, 0.0, 255.0);
          y.push_back(v);
        }
  return y;
}

// As a session runs it: weights are constants, images lie channels-last.
Tensor run_compiled(const QuantConvAttrs& a, const Operands& o, std::string_view kernel = "cpu:quant") {
  const auto last = [](const Tensor& t) { return contiguous(t, Memory::channels_last); };
  Tensors in{last(o.x)};
  if (o.residual) in.push_back(last(o.residual));
  Metas metas;
  for (const Tensor& t : in) metas.push_back(t.meta());
  Graph g = trace(
      [&](std::span<const Tensor> v) -> Tensors {
        return call(ops::quant_conv, {v[0], o.w, o.scale, o.bias, v.size() > 1 ? v[1] : Tensor()}, a);
      },
      metas);
  Session s = compile(std::move(g));
  CHECK(s.steps()[0].plan.starts_with(kernel));
  CHECK(note_of_plain_integers(s).empty() == !s.steps()[0].plan.ends_with("plain"));
  return s.run(in)[0];
}

void check_close(const std::vector<double>& got, const std::vector<double>& want, double most, double exact_share) {
  REQUIRE(got.size() == want.size());
  size_t exact = 0;
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double off = std::fabs(got[i] - want[i]);
    exact += off == 0;
    worst = std::max(worst, off);
  }
  CHECK(worst <= most);
  CHECK(static_cast<double>(exact) >= exact_share * static_cast<double>(got.size()));
}

// Only where a result lies between two steps may the rounding of f32 decide otherwise than that of double.
void check_case(const Case& c) {
  const int64_t out = (c.size + 2 * c.pad - c.dilation * (c.kernel - 1) - 1) / c.stride + 1;
  const QuantConvAttrs a = attrs_of(c);
  const Operands o = operands_of(c, {c.batch, c.outputs, out, out});
  const std::vector<double> want = expected(c, a, o, out);
  INFO(c.channels << " channels of " << c.size << ", " << c.outputs << " outputs, kernel " << c.kernel << ", stride "
                  << c.stride << ", groups " << c.groups << ", " << name_of(c.act));
  const double most = c.f32_out ? 1e-4 : 1, share = c.f32_out ? 0 : 0.999;
  {
    const UseBackend ref("ref");
    check_close(values_of(call1(ops::quant_conv, {o.x, o.w, o.scale, o.bias, o.residual}, a)), want, most, share);
  }
  test::with_quant_sets([&](const kc::Processor&) { check_close(values_of(run_compiled(a, o)), want, most, share); });
}

// Numbers whose sums f32 shows: the same bits as `on` and with plain loops.
void check_sums(const kc::Processor& on, const Case& c, const Operands& o, std::string_view kernel) {
  INFO(on.name << ": " << c.channels << " channels of " << c.size << ", " << c.outputs << " outputs, kernel "
               << c.kernel << ", stride " << c.stride << ", groups " << c.groups);
  QuantConvAttrs a = attrs_of(c);
  a.y = {};
  kc::Processor plain = on;
  plain.u8_tiles = &kc::quant_plain;
  plain.u8_winograd = nullptr;
  std::vector<double> sums[2];
  for (const bool fast : {false, true}) {
    const kc::UseProcessor use(fast ? on : plain);
    clear_plan_cache();
    sums[fast] = values_of(run_compiled(a, o, fast ? kernel : "cpu:quant product plain"));
  }
  clear_plan_cache();
  CHECK(sums[0] == sums[1]);
}
Operands unscaled(const Case& c) {
  Operands o = operands_of(c, {});
  o.scale = full({c.outputs}, 1);
  return o;
}

// In double: what padding holds takes part in the sums.
std::vector<double> expected_depthwise(const QuantConvAttrs& a, const Tensor& x, const Tensor& w, const Tensor& bias) {
  const UseBackend ref("ref");
  ConvAttrs conv = a.conv;
  conv.epilogue = {};
  const Tensor wide = cast(w, DType::f64), numbers = cast(x, DType::f64) - static_cast<double>(a.x.zero);
  const Tensor all = reshape(cast(bias, DType::f64) + sum(reshape(wide, {w.dim(0), -1}), {1}) *
                                                          static_cast<double>(a.x.zero), {1, w.dim(0), 1, 1});
  std::vector<double> y = values_of(call1(ops::conv, {numbers, wide, Tensor()}, conv) + all);
  for (double& v : y) {
    v = activated(v, a.conv.epilogue.act);
    if (a.y) v = std::clamp(std::nearbyint(v / static_cast<double>(a.y.scale)) + a.y.zero, 0.0, 255.0);
  }
  return y;
}

void check_depthwise(const Case& c) {
  const Tensor w = filled("w", {c.channels, 1, c.kernel, c.kernel}), bias = filled("bias", {c.channels});
  const bool by_pairs = c.kernel % 2 && c.dilation == 1;
  const Tensor bytes = integers<uint8_t>("x", {c.batch, c.channels, c.size, c.size}, 0, 255);
  for (const bool from_u8 : {true, false})
    for (const bool to_u8 : {true, false}) {
      QuantConvAttrs a = attrs_of(c);
      a.y = to_u8 ? Quant{0.02f, 90} : Quant{};
      if (!from_u8) a.x = {};
      if (!from_u8 && !to_u8) continue;            // that is a conv
      const Tensor x = from_u8 ? bytes : filled("f", bytes.shape());
      const Tensor scaled = from_u8 ? w * 0.01 : w;
      const std::vector<double> want = expected_depthwise(a, x, scaled, bias);
      INFO(c.channels << " channels of " << c.size << ", kernel " << c.kernel << ", stride " << c.stride << ", "
                      << name_of(c.act) << (from_u8 ? ", from u8" : "") << (to_u8 ? ", to u8" : ""));
      const double most = to_u8 ? 1 : 1e-3, share = to_u8 ? 0.99 : 0;   // weights may be rounded to 16 bits
      {
        const UseBackend ref("ref");
        check_close(values_of(call1(ops::quant_depthwise, {x, scaled, bias}, a)), want, most, share);
      }
      const Tensor image = contiguous(x, Memory::channels_last);
      test::with_depthwise_sets([&](bool integers) {
        Session s = compile(trace(
            [&](std::span<const Tensor> v) -> Tensors {
              return call(ops::quant_depthwise, {v[0], scaled, bias}, a);
            },
            {image.meta()}));
        CHECK(s.steps()[0].plan.starts_with("cpu:depthwise"));
        CHECK(s.steps()[0].plan.starts_with("cpu:depthwise avx512vnni") == (integers && from_u8 && by_pairs));
        check_close(values_of(s.run(image)), want, most, share);
      });
    }
}

}  // namespace

TEST_CASE("quant_conv: products", "[quant]") {
  check_case({.batch = 2, .channels = 16, .size = 9, .outputs = 24, .kernel = 1});
  check_case({.batch = 1, .channels = 40, .size = 7, .outputs = 100, .kernel = 1, .act = Unary::relu6});
  check_case({.batch = 3, .channels = 64, .size = 1, .outputs = 200, .kernel = 1, .act = Unary::relu});
  check_case({.batch = 1, .channels = 36, .size = 1, .outputs = 130, .kernel = 1, .f32_out = true});
  check_case({.batch = 1, .channels = 32, .size = 11, .outputs = 48, .kernel = 3, .pad = 1, .act = Unary::hard_swish});
  check_case({.batch = 1, .channels = 24, .size = 12, .outputs = 33, .kernel = 3, .stride = 2, .pad = 1,
              .act = Unary::silu});
  check_case({.batch = 1, .channels = 20, .size = 13, .outputs = 16, .kernel = 3, .pad = 2, .dilation = 2});
  check_case({.batch = 17, .channels = 260, .size = 1, .outputs = 80, .kernel = 1});
  check_case({.batch = 1, .channels = 128, .size = 4, .outputs = 96, .kernel = 1, .act = Unary::relu});
}

TEST_CASE("quant_conv: few channels, and numbers of them that fours do not fill", "[quant]") {
  check_case({.batch = 2, .channels = 3, .size = 21, .outputs = 32, .kernel = 3, .stride = 2, .pad = 1});
  check_case({.batch = 1, .channels = 3, .size = 23, .outputs = 64, .kernel = 7, .stride = 2, .pad = 3,
              .act = Unary::relu});
  check_case({.batch = 1, .channels = 18, .size = 6, .outputs = 7, .kernel = 1});
  check_case({.batch = 1, .channels = 8, .size = 10, .outputs = 16, .kernel = 3, .pad = 1, .act = Unary::relu6});
}

TEST_CASE("quant_conv: groups", "[quant]") {
  check_case({.batch = 1, .channels = 64, .size = 8, .outputs = 32, .kernel = 3, .pad = 1, .groups = 4});
  check_case({.batch = 2, .channels = 24, .size = 7, .outputs = 48, .kernel = 3, .stride = 2, .pad = 1, .groups = 3,
              .act = Unary::relu});
}

TEST_CASE("quant_conv: residuals", "[quant]") {
  check_case({.batch = 2, .channels = 32, .size = 6, .outputs = 40, .kernel = 1, .act = Unary::relu,
              .residual = Case::u8});
  check_case({.batch = 1, .channels = 32, .size = 6, .outputs = 17, .kernel = 1, .residual = Case::f32});
  check_case({.batch = 1, .channels = 32, .size = 6, .outputs = 64, .kernel = 3, .pad = 1, .act = Unary::silu,
              .residual = Case::u8, .f32_out = true});
}

void check_product_sums(const kc::Processor& on) {
  const std::string product = str_cat("cpu:quant product ", on.u8_tiles->name);
  for (int64_t size : {1, 2, 3, 4, 5})
    for (int64_t channels : {1, 4, 20, 52, 132})
      for (int64_t outputs : {1, 8, 9, 16, 17, 31, 40, 70}) {
        const Case c{.batch = 1, .channels = channels, .size = size, .outputs = outputs, .kernel = 1};
        check_sums(on, c, unscaled(c), product);
      }
  for (const Case& c : std::initializer_list<Case>{
           {.batch = 2, .channels = 3, .size = 21, .outputs = 32, .kernel = 3, .stride = 2, .pad = 1},
           {.batch = 1, .channels = 36, .size = 9, .outputs = 24, .kernel = 3, .stride = 2, .pad = 1},
           {.batch = 1, .channels = 20, .size = 13, .outputs = 16, .kernel = 3, .pad = 2, .dilation = 2},
           {.batch = 1, .channels = 72, .size = 8, .outputs = 63, .kernel = 3, .pad = 1, .groups = 3}})
    check_sums(on, c, unscaled(c), product);
}

TEST_CASE("quant_conv: sums are those of plain loops, to the last bit", "[quant]") {
  for (const kc::Processor* p : test::processors_but([](const kc::Processor& a, const kc::Processor& b) {
         return a.u8_tiles == b.u8_tiles;
       }))
    if (p->u8_tiles != &kc::quant_plain) check_product_sums(*p);
}

TEST_CASE("quant_conv: AVX-VNNI's sums are those of plain loops, to the last bit", "[quant]") {
  const std::optional<kc::Processor> vnni = test::emulated_avx2_vnni();
  if (!vnni) return;
  const test::VnniEmulator emulator;
  const long before = test::VnniEmulator::carried_out();
  check_product_sums(*vnni);
  const auto& here = kc::supported_processors();
  const bool has = std::any_of(here.begin(), here.end(), [&](const auto& p) { return p.u8_tiles == vnni->u8_tiles; });
  if (!has) CHECK(test::VnniEmulator::carried_out() > before);
}

TEST_CASE("quant_conv: Winograd's sums are those of plain loops, to the last bit", "[quant]") {
  for (const kc::Processor* p : test::processors_but([](const kc::Processor& a, const kc::Processor& b) {
         return a.u8_winograd == b.u8_winograd;
       })) {
    if (!p->u8_winograd) continue;
    const std::string winograd = str_cat("cpu:quant winograd ", p->u8_winograd->name);
    for (const Case& c : std::initializer_list<Case>{
             {.batch = 1, .channels = 64, .size = 14, .outputs = 64, .kernel = 3, .pad = 1},
             {.batch = 2, .channels = 96, .size = 13, .outputs = 50, .kernel = 3, .pad = 1},
             {.batch = 1, .channels = 160, .size = 18, .outputs = 129, .kernel = 3},
             {.batch = 3, .channels = 256, .size = 8, .outputs = 40, .kernel = 3, .pad = 2}})
      check_sums(*p, c, unscaled(c), winograd);
    // the largest sums, which more than one part of the channels makes, of either sign
    const Case c{.batch = 1, .channels = 512, .size = 12, .outputs = 64, .kernel = 3, .pad = 1};
    for (int x : {0, 255})
      for (int w : {-127, 127}) {
        Operands o = unscaled(c);
        o.x = full(o.x.shape(), x, DType::u8);
        o.w = full(o.w.shape(), w, DType::i8);
        check_sums(*p, c, o, winograd);
      }
  }
}

TEST_CASE("quant_conv: functions and residuals behind Winograd's sums", "[quant]") {
  for (const Unary act : {Unary::identity, Unary::relu6, Unary::hard_swish, Unary::silu})
    for (const auto residual : {Case::none, Case::u8, Case::f32})
      check_case({.batch = 1, .channels = 64, .size = 15, .outputs = 72, .kernel = 3, .pad = 1, .act = act,
                  .residual = residual, .f32_out = act == Unary::silu});
}

TEST_CASE("quant_depthwise: from u8 and f32, to u8 and f32", "[quant]") {
  for (int64_t channels : {8, 16, 40, 72, 144})
    for (int64_t kernel : {3, 5})
      for (int64_t stride : {1, 2})
        check_depthwise({.batch = 1, .channels = channels, .size = 11, .outputs = channels, .kernel = kernel,
                         .stride = stride, .pad = kernel / 2, .groups = channels, .act = Unary::relu6});
  check_depthwise({.batch = 2, .channels = 48, .size = 9, .outputs = 48, .kernel = 7, .pad = 3, .groups = 48});
  check_depthwise({.batch = 1, .channels = 96, .size = 3, .outputs = 96, .kernel = 3, .pad = 1, .groups = 96,
                   .act = Unary::hard_swish});
  check_depthwise({.batch = 1, .channels = 24, .size = 8, .outputs = 24, .kernel = 3, .pad = 2, .groups = 24,
                   .dilation = 2, .act = Unary::silu});
  check_depthwise({.batch = 1, .channels = 300, .size = 8, .outputs = 300, .kernel = 4, .pad = 1, .groups = 300,
                   .act = Unary::relu});
}

TEST_CASE("quant_depthwise: functions, strides and sizes that pairs of taps distinguish", "[quant]") {
  for (int64_t stride : {1, 2}) {
    check_depthwise({.batch = 2, .channels = 52, .size = 15, .outputs = 52, .kernel = 7, .stride = stride, .pad = 3,
                     .groups = 52, .act = Unary::hard_swish});
    check_depthwise({.batch = 1, .channels = 133, .size = 10, .outputs = 133, .kernel = 5, .stride = stride, .pad = 2,
                     .groups = 133, .act = Unary::silu});
    check_depthwise({.batch = 1, .channels = 17, .size = 12, .outputs = 17, .kernel = 3, .stride = stride, .pad = 1,
                     .groups = 17, .act = Unary::hard_swish});
  }
}

TEST_CASE("quant_depthwise: a channel of zeros, of tiny weights and of the largest sums", "[quant]") {
  std::vector<float> weights(3 * 49);
  for (size_t i = 0; i < 49; ++i) weights[49 + i] = 1e-42f, weights[98 + i] = 3;
  const Tensor w = from<float>(weights, {3, 1, 7, 7}), x = full({1, 3, 9, 9}, 255, DType::u8);
  QuantConvAttrs a = attrs_of({.batch = 1, .channels = 3, .size = 9, .outputs = 3, .kernel = 7, .groups = 3});
  a.y = {};
  const Tensor image = contiguous(x, Memory::channels_last), bias = from({0.5f, -2.f, 1.f});
  test::with_depthwise_sets([&](bool) {
    const std::vector<double> y = values_of(call1(ops::quant_depthwise, {image, w, bias}, a));
    for (size_t i = 0; i < y.size(); ++i) {
      const double want = i < 9 ? 0.5 : i < 18 ? -2 : 1 + 255 * 49 * 3;
      if (std::fabs(y[i] - want) > 1e-6 * std::fabs(want)) FAIL_CHECK(i << ": " << y[i]);
    }
  });
}

TEST_CASE("quantize, dequantize, gates, means and largest values", "[quant]") {
  const Quant q = quant_for(-1, 2), out = quant_for(-0.5f, 1);
  CHECK(q.zero == 85);
  const Tensor values = from({-5.f, -1.f, 0.f, 2.f, 7.f, 0.0058f, 0.006f});
  CHECK(values_of(call1(ops::quantize, {values}, QuantAttrs{q})) == std::vector<double>{0, 0, 85, 255, 255, 85, 86});
  // twelve bits: sixteenths of the scale, in a second channel
  const Tensor row = reshape(from({-5.f, 0.f, 0.0058f, 2.1f, 0.f, 0.001f}), {1, 2, 1, 3});
  CHECK(values_of(call1(ops::quantize_fine, {row}, QuantAttrs{q})) ==
        std::vector<double>{0, 85, 85, 255, 85, 85, 0, 0, 8, 15, 0, 1});
  PoolAttrs pool;
  pool.kernel = {3, 3};
  pool.stride = {2, 2};
  pool.pad_lo = pool.pad_hi = {1, 1};
  pool.dilation = {1, 1};
  for (int64_t channels : {5, 64, 300}) {
    const int64_t width = channels == 64 ? 80 : 7;   // sums of more rows than 16 bits hold
    const Tensor f = contiguous(filled("f", {2, channels, 9, width}, DType::f32, {-1, 2}), Memory::channels_last);
    const Tensor gate = filled("gate", {2, channels, 1, 1}, DType::f32, {0, 1});
    const auto all = [&] {
      const Tensor u = call1(ops::quantize, {f}, QuantAttrs{q});
      return Tensors{u, call1(ops::dequantize, {u}, QuantAttrs{q}),
                     call1(ops::quant_gate, {u, gate}, QuantGateAttrs{q, out}),
                     call1(ops::quant_mean, {u}, QuantAttrs{q}), call1(ops::quant_max_pool, {u}, pool),
                     call1(ops::quantize_fine, {f}, QuantAttrs{q})};
    };
    Tensors want;
    {
      const UseBackend ref("ref");
      want = all();
    }
    // half a step is the most that rounding changes, and nothing is lost on the way back
    const std::vector<double> given = values_of(f), back = values_of(want[1]);
    for (size_t i = 0; i < given.size(); ++i)
      if (std::fabs(given[i] - back[i]) > 0.5001 * static_cast<double>(q.scale)) FAIL_CHECK(given[i]);
    for (const kc::Processor* kind : test::processors_by_loops()) {
      const kc::UseProcessor use(*kind);
      clear_plan_cache();
      INFO(kind->name);
      const Tensors got = all();
      check_close(values_of(got[0]), values_of(want[0]), 1, 0.999);
      check_close(values_of(got[2]), values_of(want[2]), 1, 0.99);
      CHECK(test::relative_error(values_of(got[1]), values_of(want[1])) < 0.01);
      CHECK(test::relative_error(values_of(got[3]), values_of(want[3])) < 0.01);
      check_close(values_of(got[4]), values_of(want[4]), 1, 0.99);
      check_close(values_of(got[5]), values_of(want[5]), 15, 0.99);
    }
    clear_plan_cache();
  }
}

TEST_CASE("ops on quantised values refuse what makes no sense", "[quant]") {
  const Tensor x = integers<uint8_t>("x", {1, 4, 3, 3}, 0, 255), w = integers<int8_t>("w", {8, 4, 1, 1}, -127, 127);
  const Tensor scale = filled("scale", {8}), bias = integers<int32_t>("bias", {8}, 0, 9);
  QuantConvAttrs a = attrs_of({.batch = 1, .channels = 4, .size = 3, .outputs = 8, .kernel = 1});
  CHECK_NOTHROW(call1(ops::quant_conv, {x, w, scale, bias, Tensor()}, a));
  CHECK_THROWS_AS(call1(ops::quant_conv, {cast(x, DType::f32), w, scale, bias, Tensor()}, a), Error);
  CHECK_THROWS_AS(call1(ops::quant_conv, {x, w, scale, cast(bias, DType::f32), Tensor()}, a), Error);
  const Tensor own = filled("own", {4, 1, 1, 1}), four = filled("four", {4});
  QuantConvAttrs each = a;
  each.conv.groups = 4;
  CHECK_NOTHROW(call1(ops::quant_depthwise, {x, own, four}, each));
  CHECK_THROWS_AS(call1(ops::quant_depthwise, {x, own, four}, a), Error);
  CHECK_THROWS_AS(call1(ops::quant_depthwise, {cast(x, DType::f32), own, four}, each), Error);
  CHECK_THROWS_AS(call1(ops::quant_depthwise, {x, filled("w8", {8, 1, 1, 1}), scale}, each), Error);
  CHECK_THROWS_AS(call1(ops::quantize_fine, {scale}, QuantAttrs{{1, 0}}), Error);
  a.x.scale = 0;
  CHECK_THROWS_AS(call1(ops::quant_conv, {x, w, scale, bias, Tensor()}, a), Error);
  CHECK_THROWS_AS(call1(ops::quantize, {scale}, QuantAttrs{{-1, 0}}), Error);
  CHECK_THROWS_AS(call1(ops::quant_gate, {x, scale}, QuantGateAttrs{{1, 0}, {1, 0}}), Error);
}

TEST_CASE("half_linear: weights in f16, all else in f32", "[quant]") {
  for (int64_t rows : {1, 3})
    for (int64_t depth : {1, 24, 100, 1280})
      for (int64_t outputs : {1, 6, 37})
        for (Unary act : {Unary::identity, Unary::relu, Unary::hard_sigmoid}) {
          INFO(rows << " x " << depth << " -> " << outputs << ", " << name_of(act));
          const Tensor x = filled("x", {rows, depth}), b = filled("b", {outputs});
          const Tensor w = cast(filled("w", {outputs, depth}), DType::f16);
          const LinearAttrs a{{.act = act}};
          std::vector<double> want;
          {
            const UseBackend ref("ref");
            want = values_of(call1(ops::linear, {x, cast(w, DType::f32), b}, a));
            CHECK(test::relative_error(values_of(call1(ops::half_linear, {x, w, b}, a)), want) < 1e-6);
          }
          for (const kc::Processor* kind : test::processors_by_loops()) {
            const kc::UseProcessor use(*kind);
            clear_plan_cache();
            CHECK(test::relative_error(values_of(call1(ops::half_linear, {x, w, b}, a)), want) < 1e-6);
          }
        }
  clear_plan_cache();
  const Tensor x = filled("x", {2, 8}), w = filled("w", {3, 8});
  CHECK_THROWS_AS(call1(ops::half_linear, {x, w, Tensor()}, LinearAttrs{}), Error);
  CHECK_THROWS_AS(call1(ops::half_linear, {x, cast(filled("w", {3, 9}), DType::f16), Tensor()}, LinearAttrs{}), Error);
}

}  // namespace fovea
