// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/resize/separable.h"

#include <algorithm>

#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

size_t most_taps(const Taps& t) {
  size_t most = 1;
  for (int64_t i = 0; i < t.places(); ++i) most = std::max(most, t.of(i).size());
  return most;
}

// A line of the result is summed over rows first, all columns at once, then column by column: all channels at once
// where they are adjacent.
template <class T>
class SeparablePlan final : public Plan {
 public:
  SeparablePlan(const Site& s, Taps rows, Taps columns)
      : set_(&loops()), rows_(std::move(rows)), columns_(std::move(columns)) {
    const Meta& x = s.operand(0);
    const bool last = lies_as(x, Memory::channels_last) && !lies_as(x, Memory::contiguous);
    images_ = last ? x.shape[0] : x.shape[0] * x.shape[1];
    channels_ = last ? x.shape[1] : 1;
    width_ = x.shape[x.rank() - 1];
    height_ = x.rank() == 4 ? x.shape[2] : 1;
    most_ = std::max(most_taps(rows_), most_taps(columns_));
    name = str_cat("cpu:taps ", set_->name, kNarrow ? " bf16" : "");
  }

  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[0]);
    auto* y = reinterpret_cast<T*>(a.out[0]);
    const int64_t lines = rows_.places(), line = columns_.places() * channels_;
    parallel_for(images_ * lines, std::max<int64_t>(1, 8192 / (line + 1)), [&](int64_t first, int64_t last) {
      const ThreadArray<float> sums(static_cast<size_t>(width_ * channels_)),
          narrow(kNarrow && channels_ == 1 ? static_cast<size_t>(line) : 1), weights(most_);
      const ThreadArray<const T*> pointers(most_);
      const ThreadArray<const float*> places(most_);
      const Lent lent{sums.data(), narrow.data(), weights.data(), pointers.data(), places.data()};
      for (int64_t i = first; i < last; ++i) {
        add_rows(x + i / lines * height_ * width_ * channels_, rows_.of(i % lines), lent);
        if (channels_ == 1) add_columns(lent, y + i * line);
        else add_pixels(lent, y + i * line);
      }
    });
  }

 private:
  static constexpr bool kNarrow = !std::is_same_v<T, float>;
  struct Lent {
    float *sums, *narrow, *weights;
    const T** pointers;
    const float** places;
  };

  void add_rows(const T* image, std::span<const Tap> taps, const Lent& l) const {
    for (size_t k = 0; k < taps.size(); ++k) {
      l.pointers[k] = image + taps[k].at * width_ * channels_;
      l.weights[k] = taps[k].weight;
    }
    const auto count = static_cast<int64_t>(taps.size());
    if constexpr (kNarrow) set_->weighted_sum_of_bf16(l.pointers, l.weights, count, l.sums, width_ * channels_);
    else set_->weighted_sum(l.pointers, l.weights, count, l.sums, width_ * channels_);
  }

  void add_columns(const Lent& l, T* y) const {
    float* line = l.narrow;
    if constexpr (!kNarrow) line = y;
    for (int64_t c = 0; c < columns_.places(); ++c) {
      float sum = 0;
      for (const Tap& tap : columns_.of(c)) sum += tap.weight * l.sums[tap.at];
      line[c] = sum;
    }
    if constexpr (kNarrow) set_->to_bf16(line, y, columns_.places());
  }

  void add_pixels(const Lent& l, T* y) const {
    for (int64_t c = 0; c < columns_.places(); ++c, y += channels_) {
      int64_t count = 0;
      for (const Tap& tap : columns_.of(c)) {
        l.places[count] = l.sums + tap.at * channels_;
        l.weights[count++] = tap.weight;
      }
      if constexpr (kNarrow) set_->weighted_sum_to_bf16(l.places, l.weights, count, y, channels_);
      else set_->weighted_sum(l.places, l.weights, count, y, channels_);
    }
  }

  const Loops* set_;
  Taps rows_, columns_;
  int64_t images_, height_, width_, channels_;
  size_t most_;
};

}  // namespace

PlanPtr separable_plan(const Site& s, Taps rows, Taps columns) {
  const Meta &x = s.operand(0), &y = s.result();
  if (x.rank() < 3 || x.rank() > 4 || y.numel() == 0) return nullptr;
  const auto both = [&](Memory m) { return lies_as(x, m) && lies_as(y, m); };
  if (!both(Memory::contiguous) && (!both(Memory::channels_last) || lies_as(x, Memory::contiguous))) return nullptr;
  if (all_f32(s)) return std::make_shared<SeparablePlan<float>>(s, std::move(rows), std::move(columns));
  if (all_bf16(s)) return std::make_shared<SeparablePlan<bfloat16>>(s, std::move(rows), std::move(columns));
  return nullptr;
}

}  // namespace fovea::kernels::cpu
