// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/efficientnet_blocks.cpp — ConvBnAct, DepthwiseSeparable, InvertedResidual (also with CondConv),
// EdgeResidual, UniversalInvertedResidual and MobileAttention.
#include "zoo/blocks/efficientnet_blocks.h"

#include "engine/ops/ops.h"
#include "zoo/taps.h"

namespace fovea::zoo {
namespace {

int groups_of(int group_size, int channels) {
  if (group_size == 0) return 1;
  if (channels % group_size != 0)
    throw Error(Error::Kind::argument, str_cat(channels, " channels do not divide into groups of ", group_size),
                current_scope());
  return channels / group_size;
}

// What the blocks share: the skip connection and the squeeze.
struct Residual : Module {
  bool has_skip = false, taps = false;
  Maybe<Module> se, drop_path;

  void attend(const BlockPlace& p, int channels) {
    if (p.se_ratio <= 0) return;
    SqueezeOptions o{.ratio = p.se_ratio, .act = p.act};
    if (!p.attention.empty()) {
      se = add("se", channel_attention(p.attention, channels, o));
      return;
    }
    o.divisor = p.squeeze.divisor;
    o.round_limit = p.squeeze.round_limit;
    o.gate = p.squeeze.gate;
    if (!p.squeeze.act.identity()) o.act = p.squeeze.act;
    se = add("se", SqueezeExcite(channels, o));
  }
  void close(const BlockPlace& p, bool skip) {
    has_skip = skip && p.in == p.out && p.stride == 1;
    taps = p.tap;
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor join(const Tensor& y, const Tensor& x) { return has_skip ? drop_path(y) + x : y; }
  Tensor offer(std::string_view module, const Tensor& x) const {
    if (taps) offer_tap(module, x, TapKind::expansion);
    return x;
  }
};

bool blurs(const BlockPlace& p) { return !p.anti_alias.empty() && p.stride > 1; }

struct ConvBnAct final : Residual {
  Ref<Module> conv, bn1;
  Maybe<Module> aa;
  ConvBnAct(const BlockArgs& a, const BlockPlace& p) {
    const Conv2dOptions o{.stride = blurs(p) ? 1 : p.stride,
                          .dilation = p.dilation,
                          .groups = groups_of(a.group_size.value_or(0), p.in),
                          .padding = p.padding};
    conv = add("conv", conv2d(p.in, p.out, a.kernel, o));
    bn1 = add("bn1", norm_act2d(p.norm, p.out, p.act));
    if (blurs(p)) aa = add("aa", anti_alias(p.anti_alias, p.out, p.stride));
    close(p, a.skip);
  }
  Tensor forward(const Tensor& x) override { return join(aa(offer("bn1", bn1(conv(x)))), x); }
};

// A region may begin with 2x2 pixels becoming channels; what the depthwise convolution behind it looks like then.
struct SpaceToDepth {
  int channels;
  std::vector<int> kernel;
  Padding padding;
};

struct Folding : Residual {
  Maybe<Module> conv_s2d, bn_s2d;
  SpaceToDepth fold(const BlockArgs& a, const BlockPlace& p) {
    SpaceToDepth s{.channels = p.in, .kernel = a.kernel, .padding = p.padding};
    if (p.space_to_depth != 1) return s;
    s.channels = 4 * p.in;
    conv_s2d = add("conv_s2d", Conv2d(p.in, s.channels, 2, {.stride = 2, .padding = Padding::Kind::same}));
    bn_s2d = add("bn_s2d", norm_act2d(p.norm, s.channels, p.act));
    for (int& k : s.kernel) k = (k + 1) / 2;
    if (s.kernel[0] == 2) s.padding = Padding::Kind::same;
    return s;
  }
};

struct DepthwiseSeparable final : Folding {
  Ref<Module> conv_dw, bn1, conv_pw, bn2;
  Maybe<Module> aa;
  DepthwiseSeparable(const BlockArgs& a, const BlockPlace& p) {
    const SpaceToDepth s = fold(a, p);
    const bool blur = blurs(p) && !conv_s2d;
    const Conv2dOptions o{.stride = blur ? 1 : p.stride,
                          .dilation = p.dilation,
                          .groups = groups_of(a.group_size.value_or(1), s.channels),
                          .padding = s.padding};
    conv_dw = add("conv_dw", conv2d(s.channels, s.channels, s.kernel, o));
    bn1 = add("bn1", norm_act2d(p.norm, s.channels, p.act));
    if (blur) aa = add("aa", anti_alias(p.anti_alias, s.channels, p.stride));
    attend(p, s.channels);
    conv_pw = add("conv_pw", conv2d(s.channels, p.out, a.project_kernel, {.padding = p.padding}));
    bn2 = add("bn2", norm_act2d(p.norm, p.out, a.project_act ? p.act : act::none));
    close(p, !a.noskip);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = se(aa(bn1(conv_dw(bn_s2d(conv_s2d(x))))));
    return join(bn2(conv_pw(offer("conv_pw", y))), x);
  }
};

struct InvertedResidual final : Folding {
  Ref<Module> conv_pw, bn1, conv_dw, bn2, conv_pwl, bn3;
  Maybe<Module> aa;
  InvertedResidual(const BlockArgs& a, const BlockPlace& p) {
    const SpaceToDepth s = fold(a, p);
    const bool blur = blurs(p) && !conv_s2d;
    const int mid = make_divisible(s.channels * p.expand);
    conv_pw = add("conv_pw", conv2d(s.channels, mid, a.expand_kernel, {.padding = p.padding}));
    bn1 = add("bn1", norm_act2d(p.norm, mid, p.act));
    const Conv2dOptions o{.stride = blur ? 1 : p.stride,
                          .dilation = p.dilation,
                          .groups = groups_of(a.group_size.value_or(1), mid),
                          .padding = s.padding};
    conv_dw = add("conv_dw", conv2d(mid, mid, s.kernel, o));
    bn2 = add("bn2", norm_act2d(p.norm, mid, p.act));
    if (blur) aa = add("aa", anti_alias(p.anti_alias, mid, p.stride));
    attend(p, mid);
    conv_pwl = add("conv_pwl", conv2d(mid, p.out, a.project_kernel, {.padding = p.padding}));
    bn3 = add("bn3", norm2d(p.norm, p.out));
    close(p, !a.noskip);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = bn1(conv_pw(bn_s2d(conv_s2d(x))));
    return join(bn3(conv_pwl(offer("conv_pwl", se(aa(bn2(conv_dw(y))))))), x);
  }
};

struct CondConvResidual final : Residual {
  Ref<CondConv2d> conv_pw, conv_dw, conv_pwl;
  Ref<Module> bn1, bn2, bn3, routing_fn;
  CondConvResidual(const BlockArgs& a, const BlockPlace& p) {
    const int mid = make_divisible(p.in * p.expand);
    conv_pw = add("conv_pw", CondConv2d(p.in, mid, a.expand_kernel[0], {.padding = p.padding}, a.experts));
    bn1 = add("bn1", norm_act2d(p.norm, mid, p.act));
    const Conv2dOptions o{.stride = p.stride,
                          .dilation = p.dilation,
                          .groups = groups_of(a.group_size.value_or(1), mid),
                          .padding = p.padding};
    conv_dw = add("conv_dw", CondConv2d(mid, mid, a.kernel[0], o, a.experts));
    bn2 = add("bn2", norm_act2d(p.norm, mid, p.act));
    attend(p, mid);
    conv_pwl = add("conv_pwl", CondConv2d(mid, p.out, a.project_kernel[0], {.padding = p.padding}, a.experts));
    bn3 = add("bn3", norm2d(p.norm, p.out));
    routing_fn = add("routing_fn", Linear(p.in, a.experts));
    close(p, !a.noskip);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor routing = sigmoid(routing_fn(mean(x, {2, 3})));
    const Tensor y = se(bn2(conv_dw(bn1(conv_pw(x, routing)), routing)));
    return join(bn3(conv_pwl(offer("conv_pwl", y), routing)), x);
  }
};

struct EdgeResidual final : Residual {
  Ref<Module> conv_exp, bn1, conv_pwl, bn2;
  Maybe<Module> aa;
  EdgeResidual(const BlockArgs& a, const BlockPlace& p) {
    const int mid = make_divisible((p.force_in > 0 ? p.force_in : p.in) * p.expand);
    const Conv2dOptions o{.stride = blurs(p) ? 1 : p.stride,
                          .dilation = p.dilation,
                          .groups = groups_of(a.group_size.value_or(0), mid),
                          .padding = p.padding};
    conv_exp = add("conv_exp", conv2d(p.in, mid, a.kernel, o));
    bn1 = add("bn1", norm_act2d(p.norm, mid, p.act));
    if (blurs(p)) aa = add("aa", anti_alias(p.anti_alias, mid, p.stride));
    attend(p, mid);
    conv_pwl = add("conv_pwl", conv2d(mid, p.out, a.project_kernel, {.padding = p.padding}));
    bn2 = add("bn2", norm2d(p.norm, p.out));
    close(p, !a.noskip);
  }
  Tensor forward(const Tensor& x) override {
    return join(bn2(conv_pwl(offer("conv_pwl", se(aa(bn1(conv_exp(x))))))), x);
  }
};

// MobileNetV4's blocks may scale their branch.
struct ScaledResidual : Residual {
  Maybe<Module> layer_scale;
  void close_scaled(const BlockArgs& a, const BlockPlace& p) {
    if (p.layer_scale > 0) layer_scale = add("layer_scale", LayerScale(p.out, p.layer_scale, true));
    close(p, !a.noskip);
  }
};

struct UniversalInvertedResidual final : ScaledResidual {
  Maybe<Module> dw_start, dw_mid, dw_end;
  Ref<Module> pw_exp, pw_proj;
  UniversalInvertedResidual(const BlockArgs& a, const BlockPlace& p) {
    const int start = a.expand_kernel[0], middle = a.kernel[0], end = a.project_kernel[0];
    const int mid = make_divisible(p.in * p.expand);
    if (p.stride > 1 && !start && !middle && !end)
      throw Error(Error::Kind::argument, "a block without depthwise convolutions cannot stride", current_scope());
    // The convolution in the middle strides; where there is none, the one in front, or else the one behind.
    if (start) dw_start = add("dw_start", depthwise(a, p, p.in, start, middle ? 1 : p.stride, act::none));
    pw_exp = add("pw_exp", pointwise(p, p.in, mid, p.act));
    if (middle) dw_mid = add("dw_mid", depthwise(a, p, mid, middle, p.stride, p.act));
    attend(p, mid);
    pw_proj = add("pw_proj", pointwise(p, mid, p.out, act::none));
    if (end) dw_end = add("dw_end", depthwise(a, p, p.out, end, start || middle ? 1 : p.stride, act::none));
    close_scaled(a, p);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = se(dw_mid(pw_exp(dw_start(x))));
    return join(layer_scale(dw_end(pw_proj(offer("pw_proj.conv", y)))), x);
  }

 private:
  static ConvNormAct pointwise(const BlockPlace& p, int in, int out, const Act& act) {
    return {in, out, 1, {.conv = {.padding = p.padding}, .norm = p.norm, .act = act}};
  }
  static ConvNormAct depthwise(const BlockArgs& a, const BlockPlace& p, int channels, int kernel, int stride,
                               const Act& act) {
    const Conv2dOptions o{.stride = stride,
                          .dilation = p.dilation,
                          .groups = groups_of(a.group_size.value_or(1), channels),
                          .padding = p.padding};
    return {channels, channels, kernel, {.conv = o, .norm = p.norm, .act = act, .anti_alias = p.anti_alias}};
  }
};

struct MobileAttention final : ScaledResidual {
  Ref<Module> norm, attn;
  MobileAttention(const BlockArgs& a, const BlockPlace& p) {
    norm = add("norm", norm2d(p.norm, p.in));
    const MultiQueryOptions shared{.heads = a.heads,
                                   .out = p.out,
                                   .key_dim = a.head_dim,
                                   .value_dim = a.head_dim,
                                   .kv_stride = a.kv_stride,
                                   .kernel = a.kernel[0],
                                   .dilation = p.dilation,
                                   .padding = p.padding,
                                   .norm = p.norm};
    if (a.type == BlockArgs::Type::multi_query) attn = add("attn", MultiQueryAttention2d(p.in, shared));
    else attn = add("attn", Attention2d(p.in, {.heads = a.heads, .out = p.out, .bias = false}));
    close_scaled(a, p);
  }
  Tensor forward(const Tensor& x) override { return join(layer_scale(attn(offer("attn", norm(x)))), x); }
};

}  // namespace

std::unique_ptr<Module> efficientnet_block(const BlockArgs& a, const BlockPlace& p) {
  switch (a.type) {
    case BlockArgs::Type::separable: return std::make_unique<DepthwiseSeparable>(a, p);
    case BlockArgs::Type::edge: return std::make_unique<EdgeResidual>(a, p);
    case BlockArgs::Type::conv: return std::make_unique<ConvBnAct>(a, p);
    case BlockArgs::Type::universal: return std::make_unique<UniversalInvertedResidual>(a, p);
    case BlockArgs::Type::attention:
    case BlockArgs::Type::multi_query: return std::make_unique<MobileAttention>(a, p);
    case BlockArgs::Type::inverted: break;
  }
  if (a.experts > 0) return std::make_unique<CondConvResidual>(a, p);
  return std::make_unique<InvertedResidual>(a, p);
}

}  // namespace fovea::zoo
