// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/norm/norm.cpp — batch, layer, RMS and group norm in both memory orders. Means first, then squares about
// them: no cancellation.
#include <algorithm>
#include <cmath>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// Images as [batch][places][channels] or [batch][channels][places].
struct Image {
  int64_t batch, channels, places;
  bool last;
  explicit Image(const Meta& x)
      : batch(x.shape[0]),
        channels(x.shape[1]),
        places(1),
        last(lies_as(x, Memory::channels_last)) {
    for (int i = 2; i < x.rank(); ++i) places *= x.shape[i];
    if (lies_as(x, Memory::contiguous)) last = places == 1;
  }
};

bool one_order(const Meta& x, const Meta& y) {
  for (Memory m : {Memory::contiguous, Memory::channels_last})
    if (lies_as(x, m) && lies_as(y, m)) return true;
  return false;
}

struct NormPlan : Plan {
  explicit NormPlan(const Site& s) : set(&loops()), eps(s.attrs<NormAttrs>().eps) { name = str_cat("cpu:", set->name); }
  const Loops* set;
  float eps;
};

// y = x gain[c] + shift[c]
void scale_channels(const Loops& set, const Image& i, const float* x, const float* gain, const float* shift, float* y,
                    bool per_image) {
  if (i.last) {
    const int64_t rows = i.batch * i.places;
    parallel_for(rows, std::max<int64_t>(1, 16384 / (i.channels + 1)), [&](int64_t first, int64_t last) {
      for (int64_t r = first, n; r < last; r += n) {
        const int64_t image = per_image ? r / i.places : 0;
        n = (per_image ? std::min(last, (image + 1) * i.places) : last) - r;
        set.channel_rows({.x = x + r * i.channels,
                          .gain = gain + image * i.channels,
                          .shift = shift + image * i.channels,
                          .y = y + r * i.channels,
                          .x_step = i.channels,
                          .y_step = i.channels,
                          .rows = n,
                          .channels = i.channels});
      }
    });
    return;
  }
  parallel_for(i.batch * i.channels, std::max<int64_t>(1, 16384 / (i.places + 1)), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const int64_t c = per_image ? p : p % i.channels;
      set.unary(Unary::affine, gain[c], shift[c], x + p * i.places, y + p * i.places, i.places);
    }
  });
}

// Per channel over `rows` rows of channels-last elements: sums, or squares about a mean. Parts are fixed, so threads do
// not matter.
class ChannelSums {
 public:
  static constexpr int64_t kParts = 16;
  static size_t scratch_bytes(int64_t channels) {
    return aligned(static_cast<size_t>(kParts * channels) * 4) + aligned(static_cast<size_t>(channels) * 8);
  }
  ChannelSums(const Loops& set, int64_t rows, int64_t channels, std::byte* scratch)
      : set_(set),
        rows_(rows),
        channels_(channels),
        parts_(floats(scratch)),
        sums_(reinterpret_cast<double*>(scratch + aligned(static_cast<size_t>(kParts * channels) * 4))) {}

  /// One for each channel, until the next call.
  const double* operator()(const float* x, const float* about) const {
    parallel_for(kParts, std::max<int64_t>(1, 16384 * kParts / (rows_ * channels_ + 1)),
                 [&](int64_t first, int64_t last) {
                   for (int64_t p = first; p < last; ++p) {
                     float* acc = parts_ + p * channels_;
                     std::fill_n(acc, channels_, 0.f);
                     for (int64_t r = rows_ * p / kParts; r < rows_ * (p + 1) / kParts; ++r)
                       if (about) set_.fold_squares(x + r * channels_, about, acc, channels_);
                       else set_.fold(Reduce::sum, x + r * channels_, acc, channels_);
                   }
                 });
    std::fill_n(sums_, channels_, 0.0);
    for (int64_t p = 0; p < kParts; ++p)
      for (int64_t c = 0; c < channels_; ++c) sums_[c] += static_cast<double>(parts_[p * channels_ + c]);
    return sums_;
  }

 private:
  const Loops& set_;
  int64_t rows_, channels_;
  float* parts_;
  double* sums_;
};

// gain and shift from mean and 1 / standard deviation: y = (x - mean) invstd w + b
void affine_of(double mean, double invstd, const float* w, const float* b, int64_t c, float* gain, float* shift) {
  const double g = invstd * (w ? static_cast<double>(w[c]) : 1.0);
  *gain = static_cast<float>(g);
  *shift = static_cast<float>((b ? static_cast<double>(b[c]) : 0.0) - mean * g);
}

class BatchNorm final : public NormPlan {
 public:
  explicit BatchNorm(const Site& s) : NormPlan(s), image_(s.operand(0)) {
    scratch = ChannelSums::scratch_bytes(image_.channels) + 2 * vector_bytes();
  }

  void run(const Args& a, Stream&) const override {
    const float *x = floats(a.in[0]), *w = floats(a.in[1]), *b = floats(a.in[2]);
    float *mean = floats(a.out[1]), *invstd = floats(a.out[2]);
    image_.last ? moments_last(x, mean, invstd, a.scratch) : moments(x, mean, invstd);
    float* gain = floats(a.scratch + ChannelSums::scratch_bytes(image_.channels));
    float* shift = floats(a.scratch + ChannelSums::scratch_bytes(image_.channels) + vector_bytes());
    for (int64_t c = 0; c < image_.channels; ++c)
      affine_of(static_cast<double>(mean[c]), static_cast<double>(invstd[c]), w, b, c, gain + c, shift + c);
    scale_channels(*set, image_, x, gain, shift, floats(a.out[0]), false);
  }

 private:
  size_t vector_bytes() const { return aligned(static_cast<size_t>(image_.channels) * 4); }
  double count() const { return static_cast<double>(image_.batch * image_.places); }
  float invstd_of(double squares) const {
    return static_cast<float>(1 / std::sqrt(squares / count() + static_cast<double>(eps)));
  }

  void moments_last(const float* x, float* mean, float* invstd, std::byte* parts) const {
    const ChannelSums sums(*set, image_.batch * image_.places, image_.channels, parts);
    const double* const total = sums(x, nullptr);
    for (int64_t c = 0; c < image_.channels; ++c) mean[c] = static_cast<float>(total[c] / count());
    const double* const squares = sums(x, mean);
    for (int64_t c = 0; c < image_.channels; ++c) invstd[c] = invstd_of(squares[c]);
  }
  void moments(const float* x, float* mean, float* invstd) const {
    parallel_for(image_.channels, std::max<int64_t>(1, 8192 / (image_.batch * image_.places + 1)),
                 [&](int64_t first, int64_t last) {
                   for (int64_t c = first; c < last; ++c) {
                     double sum = 0, squares = 0;
                     for (int64_t n = 0; n < image_.batch; ++n) sum += set->sum(plane(x, n, c), image_.places);
                     mean[c] = static_cast<float>(sum / count());
                     for (int64_t n = 0; n < image_.batch; ++n)
                       squares += set->squares(plane(x, n, c), mean[c], image_.places);
                     invstd[c] = invstd_of(squares);
                   }
                 });
  }
  const float* plane(const float* x, int64_t n, int64_t c) const {
    return x + (n * image_.channels + c) * image_.places;
  }

  Image image_;
};

class BatchNormEval final : public NormPlan {
 public:
  explicit BatchNormEval(const Site& s) : NormPlan(s), image_(s.operand(0)) {
    scratch = 2 * aligned(static_cast<size_t>(image_.channels) * 4);
  }
  void run(const Args& a, Stream&) const override {
    const float *w = floats(a.in[1]), *b = floats(a.in[2]), *mean = floats(a.in[3]), *var = floats(a.in[4]);
    float *gain = floats(a.scratch), *shift = floats(a.scratch + scratch / 2);
    for (int64_t c = 0; c < image_.channels; ++c)
      affine_of(static_cast<double>(mean[c]), 1 / std::sqrt(static_cast<double>(var[c]) + static_cast<double>(eps)), w,
                b, c, gain + c, shift + c);
    scale_channels(*set, image_, floats(a.in[0]), gain, shift, floats(a.out[0]), false);
  }

 private:
  Image image_;
};

bool dense_vectors(const Site& s, int first) {
  for (int i = first; i < static_cast<int>(s.in.size()); ++i)
    if (s.has(i) && !lies_as(s.operand(i), Memory::contiguous)) return false;
  return true;
}
template <class P>
PlanPtr plan_batch_norm(const Site& s) {
  if (!all_f32(s) || s.operand(0).rank() < 2 || !one_order(s.operand(0), s.result()) || !dense_vectors(s, 1))
    return nullptr;
  return std::make_shared<P>(s);
}

class GroupNorm final : public NormPlan {
 public:
  explicit GroupNorm(const Site& s) : NormPlan(s), image_(s.operand(0)), groups_(s.attrs<NormAttrs>().groups) {
    const size_t vectors = aligned(static_cast<size_t>(image_.batch * image_.channels) * 4);
    scratch =
        2 * vectors + ChannelSums::scratch_bytes(image_.channels) + aligned(static_cast<size_t>(image_.channels) * 4);
  }

  void run(const Args& a, Stream&) const override {
    const float *x = floats(a.in[0]), *w = floats(a.in[1]), *b = floats(a.in[2]);
    const size_t vectors = aligned(static_cast<size_t>(image_.batch * image_.channels) * 4);
    float *gain = floats(a.scratch), *shift = floats(a.scratch + vectors);
    if (image_.last) {
      for (int64_t n = 0; n < image_.batch; ++n) one_last(x, n, w, b, gain, shift, a.scratch + 2 * vectors);
    } else {
      parallel_for(image_.batch * groups_, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) one(x, i, w, b, gain, shift);
      });
    }
    scale_channels(*set, image_, x, gain, shift, floats(a.out[0]), true);
  }

 private:
  int64_t wide() const { return image_.channels / groups_; }
  double count() const { return static_cast<double>(wide() * image_.places); }

  void write(int64_t i, double mean, double squares, const float* w, const float* b, float* gain, float* shift) const {
    const double invstd = 1 / std::sqrt(squares / count() + static_cast<double>(eps));
    for (int64_t c = i % groups_ * wide(); c < (i % groups_ + 1) * wide(); ++c) {
      const int64_t at = i / groups_ * image_.channels + c;
      affine_of(mean, invstd, w, b, c, gain + at, shift + at);
    }
  }
  void one(const float* x, int64_t i, const float* w, const float* b, float* gain, float* shift) const {
    const int64_t size = wide() * image_.places;
    const double mean = set->sum(x + i * size, size) / count();
    write(i, mean, set->squares(x + i * size, static_cast<float>(mean), size), w, b, gain, shift);
  }
  void one_last(const float* x, int64_t n, const float* w, const float* b, float* gain, float* shift,
                std::byte* parts) const {
    const ChannelSums sums(*set, image_.places, image_.channels, parts);
    float* about = floats(parts + ChannelSums::scratch_bytes(image_.channels));
    const float* image = x + n * image_.places * image_.channels;
    const double* const total = sums(image, nullptr);
    const auto of_group = [this](const double* v, int64_t g) {
      double sum = 0;
      for (int64_t c = g * wide(); c < (g + 1) * wide(); ++c) sum += v[c];
      return sum;
    };
    for (int64_t g = 0; g < groups_; ++g)
      std::fill_n(about + g * wide(), wide(), static_cast<float>(of_group(total, g) / count()));
    const double* const squares = sums(image, about);
    for (int64_t g = 0; g < groups_; ++g)
      write(n * groups_ + g, static_cast<double>(about[g * wide()]), of_group(squares, g), w, b, gain, shift);
  }

  Image image_;
  int64_t groups_;
};
PlanPtr plan_group_norm(const Site& s) {
  if (!all_f32(s) || s.operand(0).rank() < 2 || !one_order(s.operand(0), s.result()) || !dense_vectors(s, 1))
    return nullptr;
  return std::make_shared<GroupNorm>(s);
}

// Rows that are dense each, evenly spaced within groups that are evenly spaced, too: as the heads of queries are that
// lie beside keys and values.
struct SpacedRows {
  int64_t size = 1, rows = 0, group = 1, step = 0, group_step = 0;
  bool fit = true;
  SpacedRows(const Meta& x, int dims) {
    const int lead = x.rank() - dims;
    for (int i = x.rank() - 1; i >= lead; --i) {
      fit = fit && (x.shape[i] == 1 || x.strides[i] == size);
      size *= x.shape[i];
    }
    rows = size ? x.numel() / size : 0;
    step = group_step = size;
    bool grouped = false;
    int64_t reach = 0;  // what the stride of the next dimension is where it goes on evenly
    for (int i = lead - 1; i >= 0; --i) {
      if (x.shape[i] == 1) continue;
      fit = fit && x.strides[i] > 0;
      if (reach == 0) step = x.strides[i];
      else if (x.strides[i] != reach && !grouped) grouped = true, group_step = x.strides[i];
      else if (x.strides[i] != reach) fit = false;
      if (!grouped) group *= x.shape[i];
      reach = x.strides[i] * x.shape[i];
    }
    if (!grouped) group = std::max<int64_t>(rows, 1);
  }
  int64_t start(int64_t row) const { return row / group * group_step + row % group * step; }
};

template <bool Rms>
class RowNorm final : public NormPlan {
 public:
  explicit RowNorm(const Site& s)
      : NormPlan(s),
        at_(s.operand(0), s.attrs<NormAttrs>().dims),
        size_(at_.size),
        rows_(at_.rows) {}
  void run(const Args& a, Stream&) const override {
    const float *x = floats(a.in[0]), *w = floats(a.in[1]), *b = Rms ? nullptr : floats(a.in[2]);
    float* y = floats(a.out[0]);
    const double count = static_cast<double>(size_);
    parallel_for(rows_, std::max<int64_t>(1, 8192 / (size_ + 1)), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const float* row = x + at_.start(r);
        const float mean = Rms ? 0 : static_cast<float>(set->sum(row, size_) / count);
        const double invstd = 1 / std::sqrt(set->squares(row, mean, size_) / count + static_cast<double>(eps));
        set->normalize(row, mean, static_cast<float>(invstd), w, b, y + r * size_, size_);
      }
    });
  }

 private:
  SpacedRows at_;
  int64_t size_, rows_;
};
template <bool Rms>
PlanPtr plan_row_norm(const Site& s) {
  if (!all_f32(s) || !SpacedRows(s.operand(0), s.attrs<NormAttrs>().dims).fit ||
      !lies_as(s.result(), Memory::contiguous) || !dense_vectors(s, 1))
    return nullptr;
  return std::make_shared<RowNorm<Rms>>(s);
}

constexpr Kernel table[] = {
    {&ops::batch_norm, plan_batch_norm<BatchNorm>}, {&ops::batch_norm_eval, plan_batch_norm<BatchNormEval>},
    {&ops::group_norm, plan_group_norm},            {&ops::layer_norm, plan_row_norm<false>},
    {&ops::rms_norm, plan_row_norm<true>}};

}  // namespace

std::span<const Kernel> norm_kernels() { return table; }

}  // namespace fovea::kernels::cpu
