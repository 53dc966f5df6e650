// SPDX-License-Identifier: Apache-2.0
// A stride of s leaves s phases along a dimension: places of the result that are s apart read the same taps of the
// kernel. The results of one phase are a plain convolution of the operand with those taps, turned over, which our own
// kernels compute; then they are spread over the result.
#include "kernels/cpu/conv/transposed.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/mover.h"
#include "kernels/cpu/conv/channels_last.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kMostPhases = 64;

// Along one dimension, of the places first, first + stride, ...: how many there are; which taps they read (tap, tap +
// next, ...), how far apart in the operand; and how far before it the convolution begins: behind its first element
// where that is negative.
struct Phase {
  int64_t first, places, tap, taps, next, dilation, pad;
};
// Place p reads element o by tap t where p + lo = o stride + t dilation.
Phase phase_of(const ConvAttrs& a, int i, int64_t kernel, int64_t phase) {
  const int64_t stride = a.stride[i], lo = a.pad_lo[i], size = a.size[i], common = std::gcd(stride, a.dilation[i]);
  const int64_t from = (lo - phase + stride - 1) / stride, first = from * stride + phase - lo;
  Phase p{.first = first,
          .places = size > first ? (size - first - 1) / stride + 1 : 0,
          .tap = 0,
          .taps = 0,
          .next = stride / common,
          .dilation = a.dilation[i] / common,
          .pad = 0};
  if (phase % common != 0) return p;
  while ((p.tap * a.dilation[i] - phase) % stride != 0) ++p.tap;
  p.taps = kernel > p.tap ? (kernel - p.tap - 1) / p.next + 1 : 0;
  p.pad = (p.taps - 1) * p.dilation - from + (p.tap * a.dilation[i] - phase) / stride;
  return p;
}

// A convolution that gives some of the places, [from, ...) in steps of the strides.
struct Part {
  PlanPtr plan;
  int64_t w_at, to;                                // in elements: where its first tap is, and its first place
  size_t packed_at = 0;                            // among packed weights
  std::optional<Mover> mover{};                    // where its results lie apart
};

class TransposedConv final : public Plan {
 public:
  explicit TransposedConv(const Site& s) : attrs_(s.attrs<ConvAttrs>()), packed_(s.is_constant(1)) {
    const Meta& w = s.operand(1);
    n_ = w.rank() - 2;
    weights_ = turned(w);
    if (turner_ && !packed_) w_at_ = lend(weights_.bytes());
    for (int i = 0; i < n_; ++i) phases_ *= attrs_.stride[i];
    gx_bytes_ = s.result().bytes();
    if (phases_ > 1) part_at_ = lend(gx_bytes_);
    inner_at_ = scratch;
  }

  // False: one of the parts has no plan.
  bool plan_parts(const Site& s) {
    if (turner_ && !turner_->possible()) return false;
    size_t most = 0;
    for (int64_t p = 0; p < phases_; ++p) {
      std::array<Phase, 3> phases;
      int64_t rest = p, places = 1, taps = 1;
      for (int i = n_ - 1; i >= 0; --i) {
        Phase& one = phases[static_cast<size_t>(i)];
        one = phase_of(attrs_, i, weights_.shape[2 + i], rest % attrs_.stride[i]);
        rest /= attrs_.stride[i];
        places *= one.places;
        taps *= one.taps;
      }
      if (places == 0) continue;
      if (taps == 0) {
        gaps_ = true;
        continue;
      }
      if (!add(s, phases)) return false;
      most = std::max(most, parts_.back().plan->scratch);
    }
    if (parts_.empty()) return false;
    scratch = inner_at_ + most;
    name = str_cat(parts_[0].plan->name, " turned");
    return true;
  }

  void run(const Args& a, Stream& stream) const override {
    const std::byte* w = a.in[1];
    if (turner_ && !packed_) {
      (*turner_)(w, a.scratch + w_at_);
      w = a.scratch + w_at_;
    }
    if (gaps_) std::fill_n(a.out[0], gx_bytes_, std::byte{});
    for (const Part& p : parts_) {
      const std::byte* in[] = {a.in[0], packed_ ? w + p.packed_at : w + p.w_at * kElement, nullptr};
      std::byte* out[] = {p.mover ? a.scratch + part_at_ : a.out[0]};
      p.plan->run({in, out, a.scratch + inner_at_}, stream);
      if (p.mover) (*p.mover)(out[0], a.out[0] + p.to * kElement);
    }
  }

  size_t packed_bytes(int operand) const override { return operand == 1 ? packed_bytes_ : 0; }
  void pack(int operand, const std::byte* in, std::byte* out) const override {
    if (operand != 1) return;
    std::vector<std::byte> lent(turner_ ? static_cast<size_t>(weights_.bytes()) : 0);
    if (turner_) {
      (*turner_)(in, lent.data());
      in = lent.data();
    }
    for (const Part& p : parts_) p.plan->pack(1, in + p.w_at * kElement, out + p.packed_at);
  }

 private:
  static constexpr int64_t kElement = sizeof(float);

  size_t lend(int64_t bytes) {
    const size_t at = scratch;
    scratch += aligned(static_cast<size_t>(bytes));
    return at;
  }

  // [O, C / G, ...] as the weights [C, O / G, ...] of a convolution. Strides say that, unless several groups have
  // several channels each: then elements move.
  Meta turned(const Meta& w) {
    const int64_t groups = attrs_.groups, outputs = w.shape[0] / groups;
    Meta m = w;
    m.shape[0] = groups * w.shape[1];
    m.shape[1] = outputs;
    m.strides[0] = groups == 1 ? w.strides[1] : outputs * w.strides[0];
    m.strides[1] = w.strides[0];
    if (groups == 1 || w.shape[1] == 1) return m;
    Meta from{w.dtype, w.device, {groups, w.shape[1], outputs}, {outputs * w.strides[0], w.strides[1], w.strides[0]}};
    for (int i = 2; i < w.rank(); ++i) {
      from.shape.push_back(w.shape[i]);
      from.strides.push_back(w.strides[i]);
    }
    turner_.emplace(from, make_meta(w.dtype, from.shape, Memory::contiguous, w.device));
    return make_meta(w.dtype, m.shape, Memory::contiguous, w.device);
  }

  bool add(const Site& s, const std::array<Phase, 3>& phases) {
    const Meta& gx = s.result();
    Meta w = weights_, part = gx, to = gx;
    Part p{.plan = nullptr, .w_at = 0, .to = 0};
    ConvAttrs a = attrs_;
    a.size = {};
    for (int i = 0; i < n_; ++i) {
      const Phase& one = phases[static_cast<size_t>(i)];
      const int64_t stride = attrs_.stride[i], step = weights_.strides[2 + i];
      w.shape[2 + i] = one.taps;
      w.strides[2 + i] = -one.next * step;
      p.w_at += (one.tap + one.next * (one.taps - 1)) * step;
      p.to += one.first * gx.strides[2 + i];
      part.shape[2 + i] = to.shape[2 + i] = one.places;
      to.strides[2 + i] *= stride;
      a.stride[i] = 1;
      a.dilation[i] = one.dilation;
      a.pad_lo[i] = one.pad;
      a.pad_hi[i] = std::max<int64_t>(
          0, one.places + (one.taps - 1) * a.dilation[i] - s.operand(0).shape[2 + i] - one.pad);
    }
    if (phases_ > 1) {
      part.strides = strides_for(part.shape, gx.memory());
      p.mover.emplace(part, to);
      if (!p.mover->possible()) return false;
    }
    const Meta in[] = {s.operand(0), w, {}}, out[] = {part};
    p.plan = plan_conv({ops::conv, in, out, AttrsRef::of(a), s.constant & 0b10u});
    if (!p.plan) return false;
    p.packed_at = packed_bytes_;
    packed_bytes_ += aligned(p.plan->packed_bytes(1));
    parts_.push_back(std::move(p));
    return true;
  }

  ConvAttrs attrs_;
  Meta weights_;                                   // whose taps the parts read
  bool packed_, gaps_ = false;
  std::optional<Mover> turner_;                    // where they have to be copied first
  int n_ = 0;
  int64_t phases_ = 1, gx_bytes_ = 0;
  size_t w_at_ = 0, part_at_ = 0, inner_at_ = 0, packed_bytes_ = 0;
  std::vector<Part> parts_;
};

bool takes(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  if (!all_f32(s) || s.operand(0).numel() == 0 || s.result().numel() == 0) return false;
  int64_t phases = 1;
  for (const int64_t stride : a.stride)
    if (stride > kMostPhases || (phases *= stride) > kMostPhases) return false;
  return lies_as(s.result(), Memory::contiguous) || lies_as(s.result(), Memory::channels_last);
}

}  // namespace

PlanPtr plan_transposed(const Site& s) {
  if (!takes(s)) return nullptr;
  auto plan = std::make_shared<TransposedConv>(s);
  return plan->plan_parts(s) ? plan : nullptr;
}

}  // namespace fovea::kernels::cpu
