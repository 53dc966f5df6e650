// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/vendor/dnn_conv.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/conv/pieces.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/threads/parallel.h"
#include "kernels/cpu/vendor/dnn.h"

namespace fovea::kernels::cpu {
namespace {

using dnnl::memory;

struct Geometry {
  memory::dims stride, dilation, lo, hi;
  explicit Geometry(const ConvAttrs& a) {
    for (int i = 0; i < a.stride.size(); ++i) {
      stride.push_back(a.stride[i]);
      dilation.push_back(a.dilation[i] - 1);       // oneDNN counts from 0
      lo.push_back(a.pad_lo[i]);
      hi.push_back(a.pad_hi[i]);
    }
  }
};

dnnl::primitive_attr with_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

struct Gradient {
  memory::desc x, w, y;
  Geometry geometry;
  dnnl::convolution_forward::primitive_desc hint(const memory::desc& xd, const memory::desc& wd,
                                                 const memory::desc& yd) const {
    return {dnn::engine(), dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, xd, wd, yd,
            geometry.stride, geometry.dilation, geometry.lo, geometry.hi, with_scratchpad(), true};
  }
};

bool poor(const char* implementation, int64_t groups) {
  return dnn::is_reference(implementation) ||
         (groups > 1 && std::string_view(implementation).find("gemm") != std::string_view::npos);
}

struct ConvDw final : dnn::DnnPlan {
  ConvDw(const Gradient& g, const dnnl::convolution_backward_weights::primitive_desc& d) {
    in(0, DNNL_ARG_DIFF_DST, g.y, d.diff_dst_desc());
    in(1, DNNL_ARG_SRC, g.x, d.src_desc());
    out(0, DNNL_ARG_DIFF_WEIGHTS, g.w, d.diff_weights_desc());
    finish(dnnl::convolution_backward_weights(d), d.scratchpad_desc(), d.impl_info_str());
  }
};

bool dense(const Meta& m) { return lies_as(m, Memory::contiguous) || lies_as(m, Memory::channels_last); }

Memory order_of(const Meta& m) { return lies_as(m, Memory::contiguous) ? Memory::contiguous : Memory::channels_last; }

// In the tensors' own memory order where oneDNN has a real implementation for it, else in the layout that it likes. gy
// may be some channels of larger images: they are copied together.
PlanPtr dw_plan(const ConvAttrs& a, const Meta& gy, const Meta& x, const Meta& gw) {
  const dnn::OneThread alone;                      // primitives run with as many threads as they were made with
  using Descriptor = dnnl::convolution_backward_weights::primitive_desc;
  Meta together = gy;
  together.strides = strides_for(gy.shape, order_of(x));
  const Gradient g{dnn::desc(x), dnn::filters(gw, a.groups), dnn::desc(gy), Geometry(a)};
  const auto make = [&](const memory::desc& xd, const memory::desc& wd, const memory::desc& y) {
    const auto hint = g.hint(xd, wd, y);
    if (!hint) return Descriptor();
    return Descriptor(dnn::engine(), dnnl::algorithm::convolution_direct, xd, wd, y, g.geometry.stride,
                      g.geometry.dilation, g.geometry.lo, g.geometry.hi, hint, with_scratchpad(), true);
  };
  const Descriptor own = dnn::attempt([&] { return make(g.x, dnn::any(g.w), dnn::desc(together)); });
  if (own && !poor(own.impl_info_str(), a.groups)) return std::make_shared<ConvDw>(g, own);
  const Descriptor free = dnn::attempt([&] { return make(dnn::any(g.x), dnn::any(g.w), dnn::any(g.y)); });
  if (free && !poor(free.impl_info_str(), a.groups)) return std::make_shared<ConvDw>(g, free);
  if (own && !dnn::is_reference(own.impl_info_str())) return std::make_shared<ConvDw>(g, own);
  return nullptr;
}

// Each piece's part of the sum, then the parts together, always in the same order.
class WeightSums final : public Plan {
 public:
  static PlanPtr of(const Site& s) {
    auto p = std::make_shared<WeightSums>();
    const Meta &gy = s.operand(0), &x = s.operand(1), &gw = s.result();
    p->numel_ = gw.numel();
    for (const WeightPiece& w : weight_pieces(s.attrs<ConvAttrs>(), gy, x, gw)) {
      Piece one{.shape = w,
                .from_gy = (w.image * gy.strides[0] + w.output * gy.strides[1] + w.gy_row * gy.strides[2]) * kElement,
                .from_x = (w.image * x.strides[0] + w.x_row * x.strides[2]) * kElement,
                .to = w.output * gw.strides[0] * kElement};
      if (!p->plan(s, one)) return nullptr;
      one.scratch_at = p->scratch;
      p->scratch += aligned(one.plan->scratch);
      p->sums_ = std::max(p->sums_, w.sum + 1);
      p->pieces_.push_back(std::move(one));
    }
    p->partial_at_ = p->scratch;
    p->partial_ = static_cast<int64_t>(aligned(static_cast<size_t>(gw.bytes())));
    p->scratch += static_cast<size_t>((p->sums_ - 1) * p->partial_);
    p->name = p->pieces_[0].plan->name;
    return p->pieces_.size() == 1 ? p->pieces_[0].plan : p;
  }

  void run(const Args& a, Stream& stream) const override {
    parallel_for(static_cast<int64_t>(pieces_.size()), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Piece& p = pieces_[static_cast<size_t>(i)];
        const std::byte* in[] = {a.in[0] + p.from_gy, a.in[1] + p.from_x};
        std::byte* out[] = {part(a, p.shape.sum) + p.to};
        p.plan->run({in, out, a.scratch + p.scratch_at}, stream);
      }
    });
    if (sums_ == 1) return;
    const Loops& set = loops();
    parallel_for(numel_, 1 << 14, [&](int64_t first, int64_t last) {
      float* const y = floats(a.out[0]) + first;
      for (int64_t i = 1; i < sums_; ++i)
        set.binary(Binary::add, y, 1, floats(part(a, i)) + first, 1, y, last - first);
    });
  }

 private:
  static constexpr int64_t kElement = sizeof(float);
  struct Piece {
    WeightPiece shape;
    int64_t from_gy, from_x, to;                   // in bytes
    PlanPtr plan = nullptr;
    size_t scratch_at = 0;
  };

  std::byte* part(const Args& a, int64_t sum) const {
    return sum == 0 ? a.out[0] : a.scratch + partial_at_ + (sum - 1) * partial_;
  }
  // The same as that of an earlier piece, where it has the same shape.
  bool plan(const Site& s, Piece& one) const {
    const WeightPiece& w = one.shape;
    for (const Piece& p : pieces_)
      if (p.shape.images == w.images && p.shape.outputs == w.outputs && p.shape.gy_rows == w.gy_rows &&
          p.shape.x_rows == w.x_rows && p.shape.pad_lo == w.pad_lo && p.shape.pad_hi == w.pad_hi) {
        one.plan = p.plan;
        return true;
      }
    ConvAttrs a = s.attrs<ConvAttrs>();
    a.pad_lo[0] = w.pad_lo;
    a.pad_hi[0] = w.pad_hi;
    Meta gy = s.operand(0), x = s.operand(1), gw = s.result();
    gy.shape[0] = x.shape[0] = w.images;
    gy.shape[1] = gw.shape[0] = w.outputs;
    gy.shape[2] = w.gy_rows;
    x.shape[2] = w.x_rows;
    // some rows of one image lie as a whole one of their size
    if (w.gy_rows != s.operand(0).shape[2]) gy.strides = strides_for(gy.shape, Memory::channels_last);
    x.strides = strides_for(x.shape, order_of(s.operand(1)));
    one.plan = dw_plan(a, gy, x, gw);
    return one.plan != nullptr;
  }

  std::vector<Piece> pieces_;
  int64_t sums_ = 0, numel_ = 0, partial_ = 0;
  size_t partial_at_ = 0;
};

}  // namespace

PlanPtr plan_dnn_conv_dw(const Site& s) {
  if (!processor().vendor || !all_f32(s) || !dense(s.operand(0)) || !dense(s.operand(1)) || !dense(s.result()))
    return nullptr;
  return WeightSums::of(s);
}

}  // namespace fovea::kernels::cpu
