// SPDX-License-Identifier: Apache-2.0
// kernels/ref/norm.cpp — batch, layer, RMS and group norm: two passes in double over rows that are normalised together.
#include <cmath>

#include "engine/ops/gradients.h"
#include "engine/ops/lowered/fused.h"
#include "kernels/ref/functions.h"
#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

struct Moments {
  double mean, invstd;
};

Moments moments(const double* x, int64_t size, double eps) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < size; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(size);
  for (int64_t i = 0; i < size; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1 / std::sqrt(squares / static_cast<double>(size) + eps)};
}

// Operand i as doubles; `otherwise` repeated where it was not given.
std::vector<double> given(const Run& r, int i, int64_t size, double otherwise) {
  return r.has(i) ? load<double>(r.in(i)) : std::vector<double>(static_cast<size_t>(size), otherwise);
}

double eps_of(const Run& r) { return static_cast<double>(r.attrs<NormAttrs>().eps); }

Dims channels_first(int rank) {                    // dimension 1, then 0, then the rest
  Dims order{1, 0};
  for (int i = 2; i < rank; ++i) order.push_back(i);
  return order;
}

void batch_norm(const Run& r) {
  const Dims order = channels_first(r.in(0).rank());
  const int64_t channels = r.in(0).dim(1), size = channels ? r.in(0).meta.numel() / channels : 0;
  const std::vector<double> w = given(r, 1, channels, 1), b = given(r, 2, channels, 0);
  std::vector<double> x = load<double>(r.in(0).permuted(order)), mean, invstd;
  for (int64_t c = 0; c < channels; ++c) {
    double* row = x.data() + c * size;
    const Moments m = moments(row, size, eps_of(r));
    const double gain = m.invstd * w[static_cast<size_t>(c)];
    for (int64_t i = 0; i < size; ++i) row[i] = (row[i] - m.mean) * gain + b[static_cast<size_t>(c)];
    mean.push_back(m.mean);
    invstd.push_back(m.invstd);
  }
  store(x.data(), r.out(0).permuted(order));
  store(mean.data(), r.out(1));
  store(invstd.data(), r.out(2));
}

// gx of a row whose x is normal already; adds up what w and b get of it, an element or all of them.
void normal_dx(double* g, const double* normal, const double* w, double invstd, int64_t size, double* gw, double* gb,
               int64_t step) {
  double sum = 0, product = 0;
  for (int64_t i = 0; i < size; ++i) {
    gw[i * step] += g[i] * normal[i];
    gb[i * step] += g[i];
    g[i] *= w[i * step];
    sum += g[i];
    product += g[i] * normal[i];
  }
  const auto n = static_cast<double>(size);
  for (int64_t i = 0; i < size; ++i) g[i] = (g[i] - sum / n - normal[i] * product / n) * invstd;
}

void batch_norm_dx(const Run& r) {
  const Dims order = channels_first(r.in(1).rank());
  const int64_t channels = r.in(1).dim(1), size = r.in(1).meta.numel() / channels;
  const std::vector<double> w = given(r, 2, channels, 1), mean = load<double>(r.in(3)), inv = load<double>(r.in(4));
  std::vector<double> g = load<double>(r.in(0).permuted(order)), x = load<double>(r.in(1).permuted(order));
  std::vector<double> gw(w.size()), gb(w.size());
  for (size_t c = 0; c < w.size(); ++c) {
    double* const row = x.data() + static_cast<int64_t>(c) * size;
    for (int64_t i = 0; i < size; ++i) row[i] = (row[i] - mean[c]) * inv[c];
    normal_dx(g.data() + static_cast<int64_t>(c) * size, row, &w[c], inv[c], size, &gw[c], &gb[c], 0);
  }
  store(g.data(), r.out(0).permuted(order));
  store(gw.data(), r.out(1));
  store(gb.data(), r.out(2));
}

void layer_norm_dx(const Run& r) {
  int64_t size = 1;
  for (int i = 0; i < r.out(1).rank(); ++i) size *= r.out(1).dim(i);
  const std::vector<double> w = given(r, 2, size, 1);
  std::vector<double> g = load<double>(r.in(0)), x = load<double>(r.in(1)), gw(w.size()), gb(w.size());
  for (size_t at = 0; at < x.size(); at += w.size()) {
    double* const row = x.data() + at;
    const Moments m = moments(row, size, eps_of(r));
    for (int64_t i = 0; i < size; ++i) row[i] = (row[i] - m.mean) * m.invstd;
    normal_dx(g.data() + at, row, w.data(), m.invstd, size, gw.data(), gb.data(), 1);
  }
  store(g.data(), r.out(0));
  store(gw.data(), r.out(1));
  store(gb.data(), r.out(2));
}

void batch_norm_eval(const Run& r) {
  const Dims order = channels_first(r.in(0).rank());
  const int64_t channels = r.in(0).dim(1), size = channels ? r.in(0).meta.numel() / channels : 0;
  const std::vector<double> w = given(r, 1, channels, 1), b = given(r, 2, channels, 0);
  const std::vector<double> mean = load<double>(r.in(3)), var = load<double>(r.in(4));
  std::vector<double> x = load<double>(r.in(0).permuted(order));
  for (size_t c = 0; c < mean.size(); ++c) {
    double* row = x.data() + static_cast<int64_t>(c) * size;
    const double gain = w[c] / std::sqrt(var[c] + eps_of(r));
    for (int64_t i = 0; i < size; ++i) row[i] = (row[i] - mean[c]) * gain + b[c];
  }
  store(x.data(), r.out().permuted(order));
}

void scale_shift(const Run& r) {
  const std::vector<double> gain = load<double>(r.in(0)), shift = load<double>(r.in(1));
  const int64_t batch = r.out().dim(0), channels = r.out().dim(1);
  const int64_t places = batch && channels ? r.out().meta.numel() / (batch * channels) : 0;
  std::vector<double> y(static_cast<size_t>(batch * channels * places));
  int64_t at = 0;
  for (int i = 2; i < r.inputs(); at += r.in(i++).dim(1)) {
    const std::vector<double> x = load<double>(r.in(i));
    const int64_t own = r.in(i).dim(1) * places;
    for (size_t k = 0; k < x.size(); ++k) {
      const int64_t image = static_cast<int64_t>(k) / own, within = static_cast<int64_t>(k) % own + at * places;
      const auto c = static_cast<size_t>(within / places);
      y[static_cast<size_t>(image * channels * places + within)] = x[k] * gain[c] + shift[c];
    }
  }
  const Epilogue& e = r.attrs<ScaleShiftAttrs>().epilogue;
  apply(e.act, static_cast<double>(e.a), static_cast<double>(e.b), y.data(), static_cast<int64_t>(y.size()));
  store(y.data(), r.out());
}

int64_t trailing_size(const Run& r) {
  const Source x = r.in(0);
  int64_t size = 1;
  for (int i = x.rank() - r.attrs<NormAttrs>().dims; i < x.rank(); ++i) size *= x.dim(i);
  return size;
}

void layer_norm(const Run& r) {
  const int64_t size = trailing_size(r);
  const std::vector<double> w = given(r, 1, size, 1), b = given(r, 2, size, 0);
  std::vector<double> x = load<double>(r.in(0));
  for (double* row = x.data(); row < x.data() + x.size(); row += size) {
    const Moments m = moments(row, size, eps_of(r));
    for (int64_t i = 0; i < size; ++i) {
      const auto k = static_cast<size_t>(i);
      row[i] = (row[i] - m.mean) * m.invstd * w[k] + b[k];
    }
  }
  store(x.data(), r.out());
}

void rms_norm(const Run& r) {
  const int64_t size = trailing_size(r);
  const std::vector<double> w = given(r, 1, size, 1);
  std::vector<double> x = load<double>(r.in(0));
  for (double* row = x.data(); row < x.data() + x.size(); row += size) {
    double squares = 0;
    for (int64_t i = 0; i < size; ++i) squares += row[i] * row[i];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + eps_of(r));
    for (int64_t i = 0; i < size; ++i) row[i] *= scale * w[static_cast<size_t>(i)];
  }
  store(x.data(), r.out());
}

void group_norm(const Run& r) {
  const int64_t batch = r.in(0).dim(0), channels = r.in(0).dim(1);
  const int64_t groups = r.attrs<NormAttrs>().groups, each = channels / groups;
  std::vector<double> x = load<double>(r.in(0));
  const std::vector<double> w = given(r, 1, channels, 1), b = given(r, 2, channels, 0);
  const int64_t pixels = batch != 0 && channels != 0 ? static_cast<int64_t>(x.size()) / (batch * channels) : 0;
  for (int64_t g = 0; g < batch * groups; ++g) {
    double* row = x.data() + g * each * pixels;
    const Moments m = moments(row, each * pixels, eps_of(r));
    for (int64_t i = 0; i < each * pixels; ++i) {
      const auto c = static_cast<size_t>(g % groups * each + i / pixels);
      row[i] = (row[i] - m.mean) * m.invstd * w[c] + b[c];
    }
  }
  store(x.data(), r.out());
}

}  // namespace

std::span<const Kernel> norm_kernels() {
  static constexpr Kernel table[] = {
      {&ops::batch_norm, no_half<batch_norm>}, {&ops::batch_norm_eval, no_half<batch_norm_eval>},
      {&ops::layer_norm, no_half<layer_norm>}, {&ops::rms_norm, no_half<rms_norm>},
      {&ops::group_norm, no_half<group_norm>}, {&ops::scale_shift, no_half<scale_shift>},
      {&ops::batch_norm_dx, no_half<batch_norm_dx>}, {&ops::layer_norm_dx, no_half<layer_norm_dx>},
  };
  return table;
}

}  // namespace fovea::ref
