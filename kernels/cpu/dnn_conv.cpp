// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/dnn_conv.h"

#include <optional>
#include <string_view>
#include <unordered_map>

#include "engine/ops/ops.h"
#include "kernels/cpu/conv.h"
#include "kernels/cpu/dnn.h"

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

Meta channels_last(Meta m) {
  m.strides = channels_last_strides(m.shape);
  return m;
}

// The eltwise post-op of an activation; absent where oneDNN has none, or none that says exactly the same.
std::optional<dnnl::post_ops> post_ops(const Epilogue& e, const memory::desc& residual) {
  dnnl::post_ops p;
  if (e.residual) p.append_binary(dnnl::algorithm::binary_add, residual);
  using dnnl::algorithm;
  switch (e.act) {
    case Unary::identity: return p;
    case Unary::relu: p.append_eltwise(algorithm::eltwise_relu, 0, 0); return p;
    case Unary::leaky_relu: p.append_eltwise(algorithm::eltwise_relu, e.a, 0); return p;
    case Unary::relu6: p.append_eltwise(algorithm::eltwise_clip, 0, 6); return p;
    case Unary::clamp: p.append_eltwise(algorithm::eltwise_clip, e.a, e.b); return p;
    default: return {};                            // our own loops are faster
  }
}

dnnl::primitive_attr with_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

class DnnConv final : public LastConv {
 public:
  using Descriptor = dnnl::convolution_forward::primitive_desc;
  DnnConv(const Site& s, const Descriptor& d)
      : LastConv(s),
        d_(d),
        primitive_(d),
        residual_(s.attrs<ConvAttrs>().epilogue.residual) {
    filters_ = dnn::filters(s.operand(1), s.attrs<ConvAttrs>().groups);
    packing_ = dnnl::reorder(dnnl::reorder::primitive_desc(dnn::engine(), filters_, dnn::engine(), d.weights_desc()));
    reserve_weights();
    scratchpad_at_ = lend(static_cast<int64_t>(d.scratchpad_desc().get_size()));
    name = cat("dnn:", d.impl_info_str());
  }

 protected:
  size_t weight_bytes() const override { return d_.weights_desc().get_size(); }
  void pack_weights(const float* w, float* to) const override {
    dnn::execute(packing_, {{DNNL_ARG_FROM, of(filters_, w)}, {DNNL_ARG_TO, of(d_.weights_desc(), to)}});
  }
  void run_last(const Run& r) const override {
    std::unordered_map<int, memory> args{
        {DNNL_ARG_SRC, of(d_.src_desc(), r.x)},
        {DNNL_ARG_WEIGHTS, of(d_.weights_desc(), r.w)},
        {DNNL_ARG_DST, of(d_.dst_desc(), r.y)},
        {DNNL_ARG_SCRATCHPAD, memory(d_.scratchpad_desc(), dnn::engine(), r.scratch + scratchpad_at_)}};
    if (r.bias) args.emplace(DNNL_ARG_BIAS, of(d_.bias_desc(), r.bias));
    if (residual_) args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, of(d_.dst_desc(), r.residual));
    dnn::execute(primitive_, args);
  }

 private:
  static memory of(const memory::desc& d, const float* p) { return memory(d, dnn::engine(), const_cast<float*>(p)); }
  Descriptor d_;
  dnnl::convolution_forward primitive_;
  dnnl::reorder packing_;
  memory::desc filters_;
  bool residual_;
  size_t scratchpad_at_ = 0;
};

}  // namespace

PlanPtr plan_dnn_conv(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  const memory::desc x = dnn::desc(channels_last(s.operand(0))), y = dnn::desc(channels_last(s.result()));
  const memory::desc b = s.has(2) ? dnn::desc(s.operand(2)) : memory::desc();
  const auto post = post_ops(a.epilogue, y);
  if (!post) return nullptr;
  const auto d = dnn::attempt([&] {
    dnnl::primitive_attr attr = with_scratchpad();
    attr.set_post_ops(*post);
    const Geometry g(a);
    return dnnl::convolution_forward::primitive_desc(
        dnn::engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x,
        dnn::any(dnn::filters(s.operand(1), a.groups)), b, y, g.stride, g.dilation, g.lo, g.hi, attr, true);
  });
  if (!d || dnn::is_reference(d.impl_info_str())) return nullptr;
  return std::make_shared<DnnConv>(s, d);
}

namespace {

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

}  // namespace

PlanPtr plan_dnn_conv_dx(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  if (!all_f32(s) || !dense(s.operand(0)) || !dense(s.operand(1)) || !dense(s.result()) || s.is_constant(1))
    return nullptr;
  const Gradient g{dnn::desc(s.result()), dnn::filters(s.operand(1), a.groups), dnn::desc(s.operand(0)), Geometry(a)};
  const auto d = best_of(g, a.groups, [&](const memory::desc& x, const memory::desc& w, const memory::desc& y) {
    const auto hint = g.hint(x, w, y);
    if (!hint) return dnnl::convolution_backward_data::primitive_desc();
    return dnnl::convolution_backward_data::primitive_desc(dnn::engine(), dnnl::algorithm::convolution_direct, x, w, y,
                                                           g.geometry.stride, g.geometry.dilation, g.geometry.lo,
                                                           g.geometry.hi, hint, with_scratchpad(), true);
  });
  return d ? std::make_shared<ConvDx>(g, d) : nullptr;
}

PlanPtr plan_dnn_conv_dw(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  if (!all_f32(s) || !dense(s.operand(0)) || !dense(s.operand(1)) || !dense(s.result())) return nullptr;
  const Gradient g{dnn::desc(s.operand(1)), dnn::filters(s.result(), a.groups), dnn::desc(s.operand(0)), Geometry(a)};
  const auto d = best_of(g, a.groups, [&](const memory::desc& x, const memory::desc& w, const memory::desc& y) {
    const auto hint = g.hint(x, w, y);
    if (!hint) return dnnl::convolution_backward_weights::primitive_desc();
    return dnnl::convolution_backward_weights::primitive_desc(dnn::engine(), dnnl::algorithm::convolution_direct, x, w,
                                                              y, g.geometry.stride, g.geometry.dilation, g.geometry.lo,
                                                              g.geometry.hi, hint, with_scratchpad(), true);
  });
  return d ? std::make_shared<ConvDw>(g, d) : nullptr;
}

}  // namespace fovea::kernels::cpu
