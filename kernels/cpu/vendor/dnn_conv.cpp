// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/vendor/dnn_conv.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/ops/ops.h"
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

struct ConvDx final : dnn::DnnPlan {
  ConvDx(const Gradient& g, const dnnl::convolution_backward_data::primitive_desc& d) {
    in(0, DNNL_ARG_DIFF_DST, g.y, d.diff_dst_desc());
    in(1, DNNL_ARG_WEIGHTS, g.w, d.weights_desc());
    out(0, DNNL_ARG_DIFF_SRC, g.x, d.diff_src_desc());
    finish(dnnl::convolution_backward_data(d), d.scratchpad_desc(), d.impl_info_str());
  }
};
struct ConvDw final : dnn::DnnPlan {
  ConvDw(const Gradient& g, const dnnl::convolution_backward_weights::primitive_desc& d) {
    in(0, DNNL_ARG_DIFF_DST, g.y, d.diff_dst_desc());
    in(1, DNNL_ARG_SRC, g.x, d.src_desc());
    out(0, DNNL_ARG_DIFF_WEIGHTS, g.w, d.diff_weights_desc());
    finish(dnnl::convolution_backward_weights(d), d.scratchpad_desc(), d.impl_info_str());
  }
};

// Gradients run in the tensors' own layout where oneDNN has a real implementation for it, else in the layout that it
// likes.
template <class Make>
auto best_of(const Gradient& g, int64_t groups, Make make) -> decltype(make(g.x, g.w, g.y)) {
  auto own = dnn::attempt([&] { return make(g.x, dnn::any(g.w), g.y); });
  if (own && !poor(own.impl_info_str(), groups)) return own;
  auto free = dnn::attempt([&] { return make(dnn::any(g.x), dnn::any(g.w), dnn::any(g.y)); });
  if (free && !poor(free.impl_info_str(), groups)) return free;
  if (own && !dnn::is_reference(own.impl_info_str())) return own;
  return {};
}

bool dense(const Meta& m) { return lies_as(m, Memory::contiguous) || lies_as(m, Memory::channels_last); }

Meta images(Meta m, int64_t count) {
  const bool last = !lies_as(m, Memory::contiguous);
  m.shape[0] = count;
  m.strides = strides_for(m.shape, last ? Memory::channels_last : Memory::contiguous);
  return m;
}

PlanPtr dx_plan(const ConvAttrs& a, const Meta& gy, const Meta& w, const Meta& gx) {
  const dnn::OneThread alone;                      // primitives run with as many threads as they were made with
  const Gradient g{dnn::desc(gx), dnn::filters(w, a.groups), dnn::desc(gy), Geometry(a)};
  const auto d = best_of(g, a.groups, [&](const memory::desc& x, const memory::desc& wd, const memory::desc& y) {
    const auto hint = g.hint(x, wd, y);
    if (!hint) return dnnl::convolution_backward_data::primitive_desc();
    return dnnl::convolution_backward_data::primitive_desc(dnn::engine(), dnnl::algorithm::convolution_direct, x, wd, y,
                                                           g.geometry.stride, g.geometry.dilation, g.geometry.lo,
                                                           g.geometry.hi, hint, with_scratchpad(), true);
  });
  return d ? std::make_shared<ConvDx>(g, d) : nullptr;
}

PlanPtr dw_plan(const ConvAttrs& a, const Meta& gy, const Meta& x, const Meta& gw) {
  const dnn::OneThread alone;
  const Gradient g{dnn::desc(x), dnn::filters(gw, a.groups), dnn::desc(gy), Geometry(a)};
  const auto d = best_of(g, a.groups, [&](const memory::desc& xd, const memory::desc& wd, const memory::desc& y) {
    const auto hint = g.hint(xd, wd, y);
    if (!hint) return dnnl::convolution_backward_weights::primitive_desc();
    return dnnl::convolution_backward_weights::primitive_desc(dnn::engine(), dnnl::algorithm::convolution_direct, xd,
                                                              wd, y, g.geometry.stride, g.geometry.dilation,
                                                              g.geometry.lo, g.geometry.hi, hint, with_scratchpad(),
                                                              true);
  });
  return d ? std::make_shared<ConvDw>(g, d) : nullptr;
}

constexpr int64_t kShares = 8;                     // of a batch, however many threads there are: sums stay the same

// Threads share a batch: each computes the gradient of some images. Gradients of images lie one behind the other; those
// of weights are summed, always in the same order.
class BatchShares final : public Plan {
 public:
  using Make = PlanPtr (*)(const ConvAttrs&, const Meta& gy, const Meta& other, const Meta& result);
  static PlanPtr of(const Site& s, Make make, bool sums) {
    auto p = std::make_shared<BatchShares>();
    const Meta &gy = s.operand(0), &other = s.operand(1), &out = s.result();
    const int64_t batch = gy.shape[0], shares = std::clamp<int64_t>(batch, 1, kShares);
    for (int64_t i = 0; i < shares; ++i) {
      const int64_t first = batch * i / shares, count = batch * (i + 1) / shares - first;
      Share share{.from_gy = first * gy.strides[0] * 4, .from_other = sums ? first * other.strides[0] * 4 : 0,
                  .to = sums ? 0 : first * out.strides[0] * 4};
      const auto of_one = [&](const Meta& m) { return images(m, count); };
      share.plan = !p->shares_.empty() && p->shares_.back().count == count
                       ? p->shares_.back().plan
                       : make(s.attrs<ConvAttrs>(), of_one(gy), sums ? of_one(other) : other, sums ? out : of_one(out));
      if (!share.plan) return nullptr;
      share.count = count;
      share.scratch_at = p->scratch;
      p->scratch += aligned(share.plan->scratch);
      if (sums && i > 0) {
        share.partial_at = p->scratch;
        p->scratch += aligned(static_cast<size_t>(out.bytes()));
      }
      p->shares_.push_back(std::move(share));
    }
    if (shares == 1) return p->shares_[0].plan;
    p->sums_ = sums;
    p->numel_ = out.numel();
    p->name = p->shares_[0].plan->name;
    return p;
  }

  void run(const Args& a, Stream& stream) const override {
    parallel_for(static_cast<int64_t>(shares_.size()), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Share& s = shares_[static_cast<size_t>(i)];
        const std::byte* in[] = {a.in[0] + s.from_gy, a.in[1] + s.from_other};
        std::byte* out[] = {sums_ && i > 0 ? a.scratch + s.partial_at : a.out[0] + s.to};
        s.plan->run({in, out, a.scratch + s.scratch_at}, stream);
      }
    });
    if (!sums_) return;
    const Loops& set = loops();
    parallel_for(numel_, 1 << 14, [&](int64_t first, int64_t last) {
      float* const y = floats(a.out[0]) + first;
      for (size_t i = 1; i < shares_.size(); ++i)
        set.binary(Binary::add, y, 1, floats(a.scratch + shares_[i].partial_at) + first, 1, y, last - first);
    });
  }

 private:
  struct Share {
    int64_t from_gy, from_other, to, count = 0;    // in bytes; images
    PlanPtr plan = nullptr;
    size_t scratch_at = 0, partial_at = 0;
  };
  std::vector<Share> shares_;
  bool sums_ = false;
  int64_t numel_ = 0;
};

}  // namespace

PlanPtr plan_dnn_conv_dx(const Site& s) {
  if (!processor().vendor || !all_f32(s) || !dense(s.operand(0)) || !dense(s.operand(1)) || !dense(s.result()) ||
      s.is_constant(1))
    return nullptr;
  return BatchShares::of(s, dx_plan, false);
}

PlanPtr plan_dnn_conv_dw(const Site& s) {
  if (!processor().vendor || !all_f32(s) || !dense(s.operand(0)) || !dense(s.operand(1)) || !dense(s.result()))
    return nullptr;
  return BatchShares::of(s, dw_plan, true);
}

}  // namespace fovea::kernels::cpu
