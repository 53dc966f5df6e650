// SPDX-License-Identifier: Apache-2.0
// kernels/ref/pool.cpp — all pooling: for each dimension a table of the stretch of x that each place of y sees.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/ref/run.h"
#include "kernels/ref/window.h"

namespace fovea::ref {
namespace {

struct Stretch {
  int64_t first, count, step;                      // what lies inside x
  int64_t padded;                                  // how many taps lie inside x or its padding
};

struct Pooling {
  std::array<std::vector<Stretch>, 3> stretches;
  Triple size;                                     // of x
  int64_t images;                                  // N times C
  int64_t pixels() const { return size[0] * size[1] * size[2]; }

  /// visit(window, count, padded) for every place: window(f) calls f(pixel) for all that the place sees, count of them.
  template <class Visit>
  void each_place(Visit visit) const {
    for (const Stretch& d : stretches[0])
      for (const Stretch& h : stretches[1])
        for (const Stretch& w : stretches[2]) {
          const auto window = [&](auto f) {
            for (int64_t i = 0; i < d.count; ++i)
              for (int64_t j = 0; j < h.count; ++j)
                for (int64_t k = 0; k < w.count; ++k)
                  f(((d.first + i * d.step) * size[1] + h.first + j * h.step) * size[2] + w.first + k * w.step);
          };
          visit(window, d.count * h.count * w.count, d.padded * h.padded * w.padded);
        }
  }
};

Dims spatial(const Shape& s) { return Dims(s.begin() + 2, s.end()); }

std::vector<Stretch> windows(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t lo,
                             int64_t hi) {
  std::vector<Stretch> all;
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o * stride - lo;
    Stretch s{0, 0, dilation, 0};
    for (int64_t tap = kernel - 1; tap >= 0; --tap) {
      const int64_t at = start + tap * dilation;
      s.padded += at < size + hi;
      if (at < 0 || at >= size) continue;
      s.first = at;
      ++s.count;
    }
    all.push_back(s);
  }
  return all;
}

Pooling sliding(const PoolAttrs& a, const Shape& x, const Shape& y) {
  const Triple size = triple(spatial(x), 1), out = triple(spatial(y), 1);
  const Triple kernel = triple(a.kernel, 1), stride = triple(a.stride, 1), dilation = triple(a.dilation, 1);
  const Triple lo = triple(a.pad_lo, 0), hi = triple(a.pad_hi, 0);
  Pooling p{{}, size, x[0] * x[1]};
  for (size_t i = 0; i < 3; ++i)
    p.stretches[i] = windows(size[i], out[i], kernel[i], stride[i], dilation[i], lo[i], hi[i]);
  return p;
}

Pooling adaptive(const Shape& x, const Shape& y) {
  const Triple size = triple(spatial(x), 1), out = triple(spatial(y), 1);
  Pooling p{{}, size, x[0] * x[1]};
  for (size_t i = 0; i < 3; ++i)
    for (int64_t o = 0; o < out[i]; ++o) {
      const int64_t first = o * size[i] / out[i], end = ((o + 1) * size[i] + out[i] - 1) / out[i];
      p.stretches[i].push_back({first, end - first, 1, end - first});
    }
  return p;
}

void maximum(const Run& r, const Pooling& p, bool values_only) {
  const std::vector<double> x = load<double>(r.in(0));
  std::vector<double> y;
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < p.images; ++i) {
    const double* image = x.data() + i * p.pixels();
    p.each_place([&](const auto& window, int64_t, int64_t) {
      double best = -std::numeric_limits<double>::infinity();
      int64_t where = -1;
      window([&](int64_t pixel) {
        if (where >= 0 && !(image[pixel] > best) && !std::isnan(image[pixel])) return;
        best = image[pixel];
        where = pixel;
      });
      y.push_back(best);
      indices.push_back(std::max<int64_t>(where, 0));        // a window of nothing but padding
    });
  }
  store(y.data(), r.out(0));
  if (!values_only) store(indices.data(), r.out(1));
}
void max_pool(const Run& r) {
  const auto& a = r.attrs<PoolAttrs>();
  maximum(r, sliding(a, r.in(0).shape(), r.out().shape()), a.values_only);
}
void adaptive_max_pool(const Run& r) { maximum(r, adaptive(r.in(0).shape(), r.out().shape()), false); }

struct Divisor {
  bool count_padding = false;
  int64_t fixed = 0;
  double operator()(int64_t count, int64_t padded) const {
    return static_cast<double>(fixed ? fixed : count_padding ? padded : count);
  }
};

void average(const Run& r, const Pooling& p, Divisor divisor) {
  const std::vector<double> x = load<double>(r.in(0));
  std::vector<double> y;
  for (int64_t i = 0; i < p.images; ++i)
    p.each_place([&](const auto& window, int64_t count, int64_t padded) {
      double sum = 0;
      window([&](int64_t pixel) { sum += x[static_cast<size_t>(i * p.pixels() + pixel)]; });
      y.push_back(count ? sum / divisor(count, padded) : 0);
    });
  store(y.data(), r.out());
}

void average_dx(const Run& r, const Pooling& p, Divisor divisor) {
  const std::vector<double> gy = load<double>(r.in(0));
  std::vector<double> gx(static_cast<size_t>(r.out().meta.numel()));
  const double* g = gy.data();
  for (int64_t i = 0; i < p.images; ++i)
    p.each_place([&](const auto& window, int64_t count, int64_t padded) {
      const double share = count ? *g / divisor(count, padded) : 0;
      window([&](int64_t pixel) { gx[static_cast<size_t>(i * p.pixels() + pixel)] += share; });
      ++g;
    });
  store(gx.data(), r.out());
}

Divisor divisor(const PoolAttrs& a) { return {a.count_include_pad, a.divisor}; }
void avg_pool(const Run& r) {
  const auto& a = r.attrs<PoolAttrs>();
  average(r, sliding(a, r.in(0).shape(), r.out().shape()), divisor(a));
}
void avg_pool_dx(const Run& r) {
  const auto& a = r.attrs<PoolAttrs>();
  average_dx(r, sliding(a, r.out().shape(), r.in(0).shape()), divisor(a));
}
void adaptive_avg_pool(const Run& r) { average(r, adaptive(r.in(0).shape(), r.out().shape()), {}); }
void adaptive_avg_pool_dx(const Run& r) { average_dx(r, adaptive(r.out().shape(), r.in(0).shape()), {}); }

}  // namespace

std::span<const Kernel> pool_kernels() {
  static constexpr Kernel table[] = {
      {&ops::max_pool, no_half<max_pool>},
      {&ops::avg_pool, no_half<avg_pool>},
      {&ops::avg_pool_dx, no_half<avg_pool_dx>},
      {&ops::adaptive_max_pool, no_half<adaptive_max_pool>},
      {&ops::adaptive_avg_pool, no_half<adaptive_avg_pool>},
      {&ops::adaptive_avg_pool_dx, no_half<adaptive_avg_pool_dx>},
  };
  return table;
}

}  // namespace fovea::ref
