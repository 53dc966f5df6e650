// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/norm/gradients.cpp — gradients of batch and layer norm: sums first, then the result, each in one pass
// over memory. Parts are fixed, so that threads do not matter.
#include <algorithm>
#include <array>
#include <cmath>

#include "engine/ops/gradients.h"
#include "engine/ops/ops.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kParts = 32, kLanes = 8;

int64_t part(int64_t n, int64_t p) { return n * p / kParts; }

// Sums over a run, in several at a time.
struct TwoSums {
  std::array<float, kLanes> g{}, gx{};
  void add(const float* grad, const float* x, float mean, int64_t n) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
      for (int64_t k = 0; k < kLanes; ++k) {
        const float v = grad[i + k];
        g[static_cast<size_t>(k)] += v;
        gx[static_cast<size_t>(k)] += v * (x[i + k] - mean);
      }
    for (; i < n; ++i) {
      g[0] += grad[i];
      gx[0] += grad[i] * (x[i] - mean);
    }
  }
  static double total(const std::array<float, kLanes>& v) {
    double sum = 0;
    for (const float one : v) sum += static_cast<double>(one);
    return sum;
  }
};

// gx = (g - a - (x - mean) b) k
struct Factors {
  float a, b, k;
};

class BatchNormDx final : public Plan {
 public:
  explicit BatchNormDx(const Site& s)
      : batch_(s.operand(1).shape[0]), channels_(s.operand(1).shape[1]),
        places_(s.operand(1).numel() / (batch_ * channels_)), last_(!lies_as(s.operand(1), Memory::contiguous)) {
    if (places_ == 1) last_ = true;
    const auto vector = static_cast<size_t>(channels_);
    scratch = aligned(vector * sizeof(Factors)) + (last_ ? aligned(2 * kParts * vector * sizeof(float)) : 0);
    name = last_ ? "cpu:channels_last" : "cpu:planes";
  }

  void run(const Args& a, Stream&) const override {
    const float *g = floats(a.in[0]), *x = floats(a.in[1]), *mean = floats(a.in[3]);
    auto* const factors = reinterpret_cast<Factors*>(a.scratch);
    if (last_) {
      float* const parts = floats(a.scratch + aligned(static_cast<size_t>(channels_) * sizeof(Factors)));
      sums_of_rows(a, g, x, mean, parts, factors);
      rows(g, x, mean, factors, floats(a.out[0]));
    } else {
      sums_of_planes(a, g, x, mean, factors);
      planes(g, x, mean, factors, floats(a.out[0]));
    }
  }

 private:
  void finish(const Args& a, int64_t c, double sum, double product, Factors* f) const {
    const auto invstd = static_cast<double>(floats(a.in[4])[c]), n = static_cast<double>(batch_ * places_);
    const double w = a.in[2] ? static_cast<double>(floats(a.in[2])[c]) : 1;
    floats(a.out[1])[c] = static_cast<float>(product * invstd);
    floats(a.out[2])[c] = static_cast<float>(sum);
    f[c] = {static_cast<float>(sum / n), static_cast<float>(product * invstd * invstd / n),
            static_cast<float>(w * invstd)};
  }

  void sums_of_rows(const Args& a, const float* g, const float* x, const float* mean, float* parts, Factors* f) const {
    const int64_t rows = batch_ * places_, n = channels_;
    parallel_for(kParts, std::max<int64_t>(1, 16384 * kParts / (rows * n)), [&](int64_t first, int64_t end) {
      for (int64_t p = first; p < end; ++p) {
        float *sum = parts + 2 * p * n, *product = sum + n;
        std::fill_n(sum, 2 * n, 0.0f);
        for (int64_t r = part(rows, p); r < part(rows, p + 1); ++r) {
          const float *gr = g + r * n, *xr = x + r * n;
          for (int64_t c = 0; c < n; ++c) {
            sum[c] += gr[c];
            product[c] += gr[c] * (xr[c] - mean[c]);
          }
        }
      }
    });
    for (int64_t c = 0; c < n; ++c) {
      double sum = 0, product = 0;
      for (int64_t p = 0; p < kParts; ++p) {
        sum += static_cast<double>(parts[2 * p * n + c]);
        product += static_cast<double>(parts[(2 * p + 1) * n + c]);
      }
      finish(a, c, sum, product, f);
    }
  }

  void rows(const float* g, const float* x, const float* mean, const Factors* f, float* y) const {
    const int64_t n = channels_;
    parallel_for(batch_ * places_, std::max<int64_t>(1, 16384 / n), [&](int64_t first, int64_t end) {
      // side by side, so that the loop over channels reads neighbours
      const ThreadArray<float> memory(static_cast<size_t>(3 * n));
      float *a = memory.data(), *b = a + n, *k = b + n;
      for (int64_t c = 0; c < n; ++c) a[c] = f[c].a, b[c] = f[c].b, k[c] = f[c].k;
      for (int64_t r = first; r < end; ++r) {
        const float *gr = g + r * n, *xr = x + r * n;
        float* const yr = y + r * n;
        for (int64_t c = 0; c < n; ++c) yr[c] = (gr[c] - a[c] - (xr[c] - mean[c]) * b[c]) * k[c];
      }
    });
  }

  void sums_of_planes(const Args& a, const float* g, const float* x, const float* mean, Factors* f) const {
    parallel_for(channels_, std::max<int64_t>(1, 16384 / (batch_ * places_)), [&](int64_t first, int64_t end) {
      for (int64_t c = first; c < end; ++c) {
        double sum = 0, product = 0;
        for (int64_t i = 0; i < batch_; ++i) {
          TwoSums both;
          const int64_t at = (i * channels_ + c) * places_;
          both.add(g + at, x + at, mean[c], places_);
          sum += TwoSums::total(both.g);
          product += TwoSums::total(both.gx);
        }
        finish(a, c, sum, product, f);
      }
    });
  }

  void planes(const float* g, const float* x, const float* mean, const Factors* f, float* y) const {
    parallel_for(batch_ * channels_, std::max<int64_t>(1, 16384 / places_), [&](int64_t first, int64_t end) {
      for (int64_t p = first; p < end; ++p) {
        const int64_t c = p % channels_, at = p * places_;
        const auto [a, b, k] = f[c];
        const float m = mean[c];
        for (int64_t i = at; i < at + places_; ++i) y[i] = (g[i] - a - (x[i] - m) * b) * k;
      }
    });
  }

  int64_t batch_, channels_, places_;
  bool last_;
};

// Rows of `size_` values that were normalised together.
class LayerNormDx final : public Plan {
 public:
  explicit LayerNormDx(const Site& s)
      : size_(s.result(1).numel()), rows_(s.operand(1).numel() / size_),
        eps_(static_cast<double>(s.attrs<NormAttrs>().eps)) {
    scratch = static_cast<size_t>(2 * kParts * size_) * sizeof(float);
    name = "cpu:rows";
  }

  void run(const Args& a, Stream&) const override {
    const float *g = floats(a.in[0]), *x = floats(a.in[1]), *w = floats(a.in[2]);
    float *y = floats(a.out[0]), *parts = floats(a.scratch);
    parallel_for(kParts, std::max<int64_t>(1, 16384 * kParts / (rows_ * size_)), [&](int64_t first, int64_t end) {
      for (int64_t p = first; p < end; ++p) {
        float *gw = parts + 2 * p * size_, *gb = gw + size_;
        std::fill_n(gw, 2 * size_, 0.0f);
        for (int64_t r = part(rows_, p); r < part(rows_, p + 1); ++r)
          row(g + r * size_, x + r * size_, w, y + r * size_, gw, gb);
      }
    });
    for (int which = 0; which < 2; ++which) {
      float* const out = floats(a.out[1 + which]);
      for (int64_t i = 0; i < size_; ++i) {
        double sum = 0;
        for (int64_t p = 0; p < kParts; ++p) sum += static_cast<double>(parts[(2 * p + which) * size_ + i]);
        out[i] = static_cast<float>(sum);
      }
    }
  }

 private:
  void row(const float* g, const float* x, const float* w, float* y, float* gw, float* gb) const {
    const auto n = static_cast<double>(size_);
    const auto mean = static_cast<float>(total(x, 0, false) / n);
    const double var = total(x, mean, true) / n;
    const auto invstd = static_cast<float>(1 / std::sqrt(var + eps_));
    std::array<float, kLanes> sums{}, products{};
    const auto take = [&](int64_t i, size_t lane) {
      const float normal = (x[i] - mean) * invstd, weighed = w ? g[i] * w[i] : g[i];
      gw[i] += g[i] * normal;
      gb[i] += g[i];
      sums[lane] += weighed;
      products[lane] += weighed * normal;
    };
    int64_t i = 0;
    for (; i + kLanes <= size_; i += kLanes)
      for (int64_t k = 0; k < kLanes; ++k) take(i + k, static_cast<size_t>(k));
    for (; i < size_; ++i) take(i, 0);
    const auto a = static_cast<float>(TwoSums::total(sums) / n), b = static_cast<float>(TwoSums::total(products) / n);
    for (i = 0; i < size_; ++i)
      y[i] = ((w ? g[i] * w[i] : g[i]) - a - (x[i] - mean) * invstd * b) * invstd;
  }

  double total(const float* x, float about, bool squares) const {
    std::array<float, kLanes> sums{};
    const auto value = [&](int64_t i) {
      const float v = x[i] - about;
      return squares ? v * v : v;
    };
    int64_t i = 0;
    for (; i + kLanes <= size_; i += kLanes)
      for (int64_t k = 0; k < kLanes; ++k) sums[static_cast<size_t>(k)] += value(i + k);
    for (; i < size_; ++i) sums[0] += value(i);
    return TwoSums::total(sums);
  }

  int64_t size_, rows_;
  double eps_;
};

bool dense(const Site& s, int i) { return !s.has(i) || lies_as(s.operand(i), Memory::contiguous); }

PlanPtr plan_batch_norm_dx(const Site& s) {
  if (!all_f32(s) || s.operand(0).rank() < 2 || s.operand(1).numel() == 0) return nullptr;
  const bool planes = lies_as(s.operand(0), Memory::contiguous) && lies_as(s.operand(1), Memory::contiguous);
  const bool last = lies_as(s.operand(0), Memory::channels_last) && lies_as(s.operand(1), Memory::channels_last);
  if ((!planes && !last) || !dense(s, 2) || !dense(s, 3) || !dense(s, 4)) return nullptr;
  return std::make_shared<BatchNormDx>(s);
}
PlanPtr plan_layer_norm_dx(const Site& s) {
  if (!all_f32(s) || !dense(s, 0) || !dense(s, 1) || !dense(s, 2) || s.operand(1).numel() == 0) return nullptr;
  return std::make_shared<LayerNormDx>(s);
}

constexpr Kernel table[] = {{&ops::batch_norm_dx, plan_batch_norm_dx}, {&ops::layer_norm_dx, plan_layer_norm_dx}};

}  // namespace

std::span<const Kernel> norm_gradient_kernels() { return table; }

}  // namespace fovea::kernels::cpu
