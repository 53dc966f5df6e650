// SPDX-License-Identifier: Apache-2.0
// kernels/ref/quant.cpp — ops on quantised values in double, where sums of their products are exact.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/ops/lowered/quant.h"
#include "kernels/ref/functions.h"
#include "kernels/ref/gemm.h"
#include "kernels/ref/run.h"
#include "kernels/ref/window.h"

namespace fovea::ref {
namespace {

Dims spatial(const Shape& s) { return Dims(s.begin() + 2, s.end()); }

double real(double q, const Quant& t) { return static_cast<double>(t.scale) * (q - t.zero); }
double quantised(double v, const Quant& t) {
  return std::clamp(std::nearbyint(v / static_cast<double>(t.scale)) + t.zero, 0.0, 255.0);
}

void quantize(const Run& r) {
  std::vector<double> v = load<double>(r.in(0));
  for (double& x : v) x = quantised(x, r.attrs<QuantAttrs>().quant);
  store(v.data(), r.out());
}

void quantize_fine(const Run& r) {
  const Quant& q = r.attrs<QuantAttrs>().quant;
  const std::vector<double> v = load<double>(r.in(0));
  const auto batch = static_cast<size_t>(r.in(0).shape()[0]), each = batch ? v.size() / batch : 0;
  std::vector<double> y(2 * v.size());
  for (size_t i = 0; i < v.size(); ++i) {
    const double n = std::clamp(std::nearbyint(16 * v[i] / static_cast<double>(q.scale)) + 16 * q.zero, 0.0, 4095.0);
    const size_t at = i / each * 2 * each + i % each;
    y[at] = std::floor(n / 16);
    y[at + each] = n - 16 * y[at];
  }
  store(y.data(), r.out());
}

void dequantize(const Run& r) {
  std::vector<double> v = load<double>(r.in(0));
  for (double& x : v) x = real(x, r.attrs<QuantAttrs>().quant);
  store(v.data(), r.out());
}

// sum w q: with zero for what lies outside the image, and as if all were that much smaller at first.
std::vector<double> sums(const Run& r, const QuantConvAttrs& a) {
  const Shape x_shape = r.in(0).shape(), w_shape = r.in(1).shape(), y_shape = r.out().shape();
  const Window window{triple(spatial(x_shape), 1), triple(spatial(y_shape), 1),       triple(spatial(w_shape), 1),
                      triple(a.conv.stride, 1),    triple(a.conv.dilation, 1), triple(a.conv.pad_lo, 0)};
  std::vector<double> x = load<double>(r.in(0));
  for (double& q : x) q -= a.x.zero;
  const std::vector<double> w = load<double>(r.in(1));
  std::vector<double> y(static_cast<size_t>(r.out().meta.numel()));
  const int64_t channels = w_shape[1], outputs = w_shape[0] / a.conv.groups, depth = channels * window.taps();
  std::vector<double> columns(static_cast<size_t>(depth * window.places()));
  for (int64_t i = 0; i < x_shape[0] * a.conv.groups; ++i) {
    gather_columns(window, channels, 0, window.lines(), x.data() + i * channels * window.pixels(), columns.data());
    multiply_add(outputs, window.places(), depth, w.data() + i % a.conv.groups * outputs * depth, depth, columns.data(),
                 window.places(), y.data() + i * outputs * window.places(), window.places());
  }
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t channel = i / static_cast<size_t>(window.places()) % static_cast<size_t>(w_shape[0]);
    const double* row = w.data() + static_cast<int64_t>(channel) * depth;
    y[i] += a.x.zero * std::accumulate(row, row + depth, 0.0);
  }
  return y;
}

// The activation, and rounding where y is u8.
void finish(const Run& r, const QuantConvAttrs& a, std::vector<double>& y) {
  const Epilogue& e = a.conv.epilogue;
  apply(e.act, static_cast<double>(e.a), static_cast<double>(e.b), y.data(), static_cast<int64_t>(y.size()));
  if (a.y)
    for (double& v : y) v = quantised(v, a.y);
  store(y.data(), r.out());
}

void quant_conv(const Run& r) {
  const auto& a = r.attrs<QuantConvAttrs>();
  std::vector<double> y = sums(r, a);
  const std::vector<double> scale = load<double>(r.in(2)), bias = load<double>(r.in(3));
  const auto places = static_cast<size_t>(numel(spatial(r.out().shape())));
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t channel = i / places % scale.size();
    y[i] = scale[channel] * (y[i] + bias[channel]);
  }
  if (r.has(4)) {
    const std::vector<double> residual = load<double>(r.in(4));
    for (size_t i = 0; i < y.size(); ++i) y[i] += a.residual ? real(residual[i], a.residual) : residual[i];
  }
  finish(r, a, y);
}

void quant_depthwise(const Run& r) {
  const auto& a = r.attrs<QuantConvAttrs>();
  std::vector<double> y = sums(r, a);
  const std::vector<double> bias = load<double>(r.in(2));
  const auto places = static_cast<size_t>(numel(spatial(r.out().shape())));
  for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i / places % bias.size()];
  finish(r, a, y);
}

void quant_gate(const Run& r) {
  const auto& a = r.attrs<QuantGateAttrs>();
  std::vector<double> v = load<double>(r.in(0));
  const std::vector<double> gate = load<double>(r.in(1));
  const size_t places = gate.empty() ? 1 : v.size() / gate.size();
  for (size_t i = 0; i < v.size(); ++i) v[i] = quantised(real(v[i], a.x) * gate[i / places], a.y);
  store(v.data(), r.out());
}

void quant_mean(const Run& r) {
  const std::vector<double> v = load<double>(r.in(0));
  std::vector<double> y(static_cast<size_t>(r.out().meta.numel()));
  const size_t places = y.empty() ? 1 : v.size() / y.size();
  for (size_t i = 0; i < v.size(); ++i) y[i / places] += real(v[i], r.attrs<QuantAttrs>().quant);
  for (double& m : y) m /= static_cast<double>(places);
  store(y.data(), r.out());
}

void quant_max_pool(const Run& r) {
  const auto& a = r.attrs<PoolAttrs>();
  const Triple size = triple(spatial(r.in(0).shape()), 1), out = triple(spatial(r.out().shape()), 1);
  const Triple kernel = triple(a.kernel, 1), stride = triple(a.stride, 1), dilation = triple(a.dilation, 1);
  const Triple pad = triple(a.pad_lo, 0);
  const std::vector<double> x = load<double>(r.in(0));
  std::vector<double> y(static_cast<size_t>(r.out().meta.numel()));
  const auto places = out[0] * out[1] * out[2], taps = kernel[0] * kernel[1] * kernel[2];
  for (size_t i = 0; i < y.size(); ++i) {
    const auto at = static_cast<int64_t>(i), image = at / places;
    const Triple place{at / (out[1] * out[2]) % out[0], at / out[2] % out[1], at % out[2]};
    for (int64_t tap = 0; tap < taps; ++tap) {
      const Triple k{tap / (kernel[1] * kernel[2]), tap / kernel[2] % kernel[1], tap % kernel[2]};
      int64_t from = image;
      bool inside = true;
      for (size_t d = 0; d < 3; ++d) {
        const int64_t p = place[d] * stride[d] - pad[d] + k[d] * dilation[d];
        inside = inside && p >= 0 && p < size[d];
        from = from * size[d] + p;
      }
      if (inside) y[i] = std::max(y[i], x[static_cast<size_t>(from)]);
    }
  }
  store(y.data(), r.out());
}

}  // namespace

std::span<const Kernel> quant_kernels() {
  static constexpr Kernel table[] = {
      {&ops::quantize, any_dtype<quantize>},
      {&ops::quantize_fine, any_dtype<quantize_fine>},
      {&ops::dequantize, any_dtype<dequantize>},
      {&ops::quant_conv, any_dtype<quant_conv>},
      {&ops::quant_depthwise, any_dtype<quant_depthwise>},
      {&ops::quant_gate, any_dtype<quant_gate>},
      {&ops::quant_mean, any_dtype<quant_mean>},
      {&ops::quant_max_pool, any_dtype<quant_max_pool>},
  };
  return table;
}

}  // namespace fovea::ref
