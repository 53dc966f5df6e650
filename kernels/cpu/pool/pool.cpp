// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pool/pool.cpp — max, average and adaptive pooling of one- and two-dimensional images in both memory
// orders, and the gradients of means.
#include <algorithm>
#include <limits>
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/resize/separable.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// What one place of the result sees along one dimension.
struct Stretch {
  int64_t first, count, step;                      // inside the image
  int64_t padded;                                  // inside the image or its padding
};
using Stretches = std::vector<Stretch>;

Stretches sliding(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t lo, int64_t hi) {
  Stretches all;
  for (int64_t o = 0; o < out; ++o) {
    Stretch s{0, 0, dilation, 0};
    for (int64_t tap = kernel - 1; tap >= 0; --tap) {
      const int64_t at = o * stride - lo + tap * dilation;
      s.padded += at < size + hi;
      if (at < 0 || at >= size) continue;
      s.first = at;
      ++s.count;
    }
    all.push_back(s);
  }
  return all;
}
Stretches adaptive(int64_t size, int64_t out) {
  Stretches all;
  for (int64_t o = 0; o < out; ++o) {
    const int64_t first = o * size / out, end = ((o + 1) * size + out - 1) / out;
    all.push_back({first, end - first, 1, end - first});
  }
  return all;
}

enum class How { most, mean };

struct Dividing {
  bool count_padding = false;
  int64_t divisor = 0;                             // 0: how many there are
};
float share(const Dividing& d, const Stretch& row, const Stretch& column) {
  const int64_t n = d.divisor         ? d.divisor
                    : d.count_padding ? row.padded * column.padded
                                      : row.count * column.count;
  return row.count > 0 && column.count > 0 ? static_cast<float>(1.0 / static_cast<double>(n)) : 0.f;
}

class PoolPlan final : public Plan {
 public:
  PoolPlan(const Site& s, How how, Stretches rows, Stretches columns)
      : set_(&loops()), how_(how), indices_(s.out.size() > 1), rows_(std::move(rows)), columns_(std::move(columns)) {
    const Meta& x = s.operand(0);
    batch_ = x.shape[0];
    channels_ = x.shape[1];
    height_ = x.rank() == 4 ? x.shape[2] : 1;
    width_ = x.shape[x.rank() - 1];
    last_ = lies_as(x, Memory::channels_last) && !lies_as(x, Memory::contiguous);
    name = str_cat("cpu:", set_->name);
  }
  Dividing dividing;

  void run(const Args& a, Stream&) const override {
    const float* x = floats(a.in[0]);
    float* y = floats(a.out[0]);
    auto* indices = indices_ ? reinterpret_cast<int64_t*>(a.out[1]) : nullptr;
    const auto out_rows = static_cast<int64_t>(rows_.size()), out_columns = static_cast<int64_t>(columns_.size());
    const int64_t lines = (last_ ? batch_ : batch_ * channels_) * out_rows, step = last_ ? channels_ : 1;
    parallel_for(lines, std::max<int64_t>(1, 8192 / (out_columns * step + 1)), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const float* image = x + i / out_rows * height_ * width_ * step;
        const int64_t at = i * out_columns * step;
        for (int64_t c = 0; c < out_columns; ++c) {
          const Window w{image, rows_[static_cast<size_t>(i % out_rows)], columns_[static_cast<size_t>(c)]};
          float* to = y + at + c * step;
          if (how_ == How::mean) mean(w, to);
          else if (last_) most_channels(w, to, indices + at + c * step);
          else most(w, to, indices_ ? indices + at + c : nullptr);
        }
      }
    });
  }

 private:
  struct Window {
    const float* image;
    const Stretch &row, &column;
  };
  template <class F>
  void each(const Window& w, F f) const {
    for (int64_t r = 0; r < w.row.count; ++r)
      for (int64_t c = 0; c < w.column.count; ++c)
        f((w.row.first + r * w.row.step) * width_ + w.column.first + c * w.column.step);
  }
  void mean(const Window& w, float* y) const {
    double sum = 0;
    if (w.column.step == 1 && w.column.count >= 16)
      for (int64_t r = 0; r < w.row.count; ++r)
        sum += set_->sum(w.image + (w.row.first + r * w.row.step) * width_ + w.column.first, w.column.count);
    else
      each(w, [&](int64_t at) { sum += static_cast<double>(w.image[at]); });
    *y = static_cast<float>(sum) * share(dividing, w.row, w.column);
  }
  void most(const Window& w, float* y, int64_t* index) const {
    float best = -std::numeric_limits<float>::infinity();
    int64_t where = -1;
    each(w, [&](int64_t at) {
      const float v = w.image[at];
      if (where >= 0 && !(v > best) && v == v) return;
      best = v;
      where = at;
    });
    *y = best;
    if (index) *index = std::max<int64_t>(where, 0);
  }
  void most_channels(const Window& w, float* y, int64_t* index) const {
    std::fill_n(y, channels_, -std::numeric_limits<float>::infinity());
    std::fill_n(index, channels_, -1);
    each(w, [&](int64_t at) { set_->largest(w.image + at * channels_, at, y, index, channels_); });
    for (int64_t c = 0; c < channels_; ++c) index[c] = std::max<int64_t>(index[c], 0);
  }

  const Loops* set_;
  How how_;
  bool indices_;
  Stretches rows_, columns_;
  int64_t batch_, channels_, height_, width_;
  bool last_;
};

// The largest alone, or means, of channels-last images.
template <class T>
class LastPool final : public Plan {
 public:
  LastPool(const Site& s, How how, const Dividing& dividing, Stretches rows, Stretches columns)
      : set_(&loops()), how_(how), dividing_(dividing), rows_(std::move(rows)), columns_(std::move(columns)) {
    const Meta& x = s.operand(0);
    batch_ = x.shape[0];
    channels_ = x.shape[1];
    width_ = x.shape[x.rank() - 1];
    image_ = x.numel() / batch_;
    name = str_cat("cpu:", set_->name, std::is_same_v<T, float> ? "" : " bf16");
  }
  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[0]);
    auto* y = reinterpret_cast<T*>(a.out[0]);
    const auto out_rows = static_cast<int64_t>(rows_.size()), out_columns = static_cast<int64_t>(columns_.size());
    parallel_for(batch_ * out_rows, 8192 / (out_columns * channels_ + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Stretch& row = rows_[static_cast<size_t>(i % out_rows)];
        const T* from = x + i / out_rows * image_ + row.first * width_ * channels_;
        T* to = y + i * out_columns * channels_;
        for (const Stretch& column : columns_) {
          const PoolWindow<T> w{.x = from + column.first * channels_,
                                .rows = row.count,
                                .row_step = row.step * width_ * channels_,
                                .columns = column.count,
                                .column_step = column.step * channels_};
          if (how_ == How::most) largest(w, to);
          else mean(w, share(dividing_, row, column), to);
          to += channels_;
        }
      }
    });
  }

 private:
  void largest(const PoolWindow<T>& w, T* y) const {
    if constexpr (std::is_same_v<T, float>) set_->largest_in(w, y, channels_);
    else set_->largest_in_bf16(w, y, channels_);
  }
  void mean(const PoolWindow<T>& w, float share, T* y) const {
    if constexpr (std::is_same_v<T, float>) set_->mean_in(w, share, y, channels_);
    else set_->mean_in_bf16(w, share, y, channels_);
  }

  const Loops* set_;
  How how_;
  Dividing dividing_;
  Stretches rows_, columns_;
  int64_t batch_, channels_, width_, image_;
};

bool takes(const Site& s) {
  const Meta &x = s.operand(0), &y = s.result();
  if (x.dtype != DType::f32 || x.rank() < 3 || x.rank() > 4) return false;
  for (Memory m : {Memory::contiguous, Memory::channels_last})
    if (lies_as(x, m)) {
      for (const Meta& r : s.out)
        if (!lies_as(r, m)) return false;
      return y.numel() > 0;
    }
  return false;
}

struct Windows {
  Stretches rows, columns;
};
Windows sliding(const PoolAttrs& a, const Meta& x, const Meta& y) {
  const auto along = [&](int i) {
    return sliding(x.shape[2 + i], y.shape[2 + i], a.kernel[i], a.stride[i], a.dilation.empty() ? 1 : a.dilation[i],
                   a.pad_lo[i], a.pad_hi[i]);
  };
  return x.rank() == 4 ? Windows{along(0), along(1)} : Windows{adaptive(1, 1), along(0)};
}
Windows sliding(const Site& s) { return sliding(s.attrs<PoolAttrs>(), s.operand(0), s.result()); }
Windows adaptive(const Meta& x, const Meta& y) {
  const auto along = [&](int i) { return adaptive(x.shape[2 + i], y.shape[2 + i]); };
  return x.rank() == 4 ? Windows{along(0), along(1)} : Windows{adaptive(1, 1), along(0)};
}
Windows adaptive(const Site& s) { return adaptive(s.operand(0), s.result()); }

bool is_last(const Site& s) {
  const Meta &x = s.operand(0), &y = s.result();
  return x.rank() >= 3 && x.rank() <= 4 && x.shape[1] > 1 && y.numel() > 0 && lies_as(x, Memory::channels_last) &&
         lies_as(y, Memory::channels_last);
}
PlanPtr plan_last(const Site& s, How how, const Dividing& dividing, Windows w) {
  if (all_f32(s)) return std::make_shared<LastPool<float>>(s, how, dividing, std::move(w.rows), std::move(w.columns));
  if (all_bf16(s))
    return std::make_shared<LastPool<bfloat16>>(s, how, dividing, std::move(w.rows), std::move(w.columns));
  return nullptr;
}
PlanPtr plan_any(const Site& s, How how, const Dividing& dividing, Windows w) {
  auto plan = std::make_shared<PoolPlan>(s, how, std::move(w.rows), std::move(w.columns));
  plan->dividing = dividing;
  return plan;
}

PlanPtr plan_max(const Site& s) {
  if (s.attrs<PoolAttrs>().values_only && is_last(s))
    if (PlanPtr p = plan_last(s, How::most, {}, sliding(s))) return p;
  return takes(s) ? plan_any(s, How::most, {}, sliding(s)) : nullptr;
}
PlanPtr plan_mean(const Site& s) {
  const auto& a = s.attrs<PoolAttrs>();
  const Dividing dividing{a.count_include_pad, a.divisor};
  if (is_last(s)) return plan_last(s, How::mean, dividing, sliding(s));
  return takes(s) ? plan_any(s, How::mean, dividing, sliding(s)) : nullptr;
}
PlanPtr plan_adaptive_mean(const Site& s) {
  if (is_last(s)) return plan_last(s, How::mean, {}, adaptive(s));
  return takes(s) ? plan_any(s, How::mean, {}, adaptive(s)) : nullptr;
}
PlanPtr plan_adaptive_max(const Site& s) { return takes(s) ? plan_any(s, How::most, {}, adaptive(s)) : nullptr; }

// What each of `size` elements gives back from the means that it is part of: a factor of each dimension.
Taps shares(const Stretches& places, int64_t size, const Dividing& d, int64_t divisor) {
  Taps taps;
  for (const Stretch& s : places) {
    taps.begin();
    const int64_t n = d.divisor ? divisor : d.count_padding ? s.padded : s.count;
    for (int64_t i = 0; i < s.count; ++i) taps.add(s.first + i * s.step, 1.0 / static_cast<double>(n));
  }
  return turned(taps, size);
}
PlanPtr plan_mean_dx(const Site& s, const Windows& w, const Dividing& d) {
  const Shape& gx = s.result().shape;
  return separable_plan(s, shares(w.rows, gx.size() == 4 ? gx[2] : 1, d, 1),
                        shares(w.columns, gx.back(), d, d.divisor));
}
bool is_image(const Site& s) { return s.operand(0).rank() >= 3 && s.operand(0).rank() <= 4; }
PlanPtr plan_avg_dx(const Site& s) {
  const auto& a = s.attrs<PoolAttrs>();
  const Dividing dividing{a.count_include_pad, a.divisor};
  return is_image(s) ? plan_mean_dx(s, sliding(a, s.result(), s.operand(0)), dividing) : nullptr;
}
PlanPtr plan_adaptive_avg_dx(const Site& s) {
  return is_image(s) ? plan_mean_dx(s, adaptive(s.result(), s.operand(0)), {}) : nullptr;
}

constexpr Kernel table[] = {{&ops::max_pool, plan_max},
                            {&ops::avg_pool, plan_mean},
                            {&ops::avg_pool_dx, plan_avg_dx},
                            {&ops::adaptive_avg_pool, plan_adaptive_mean},
                            {&ops::adaptive_avg_pool_dx, plan_adaptive_avg_dx},
                            {&ops::adaptive_max_pool, plan_adaptive_max}};

}  // namespace

std::span<const Kernel> pool_kernels() { return table; }

}  // namespace fovea::kernels::cpu
