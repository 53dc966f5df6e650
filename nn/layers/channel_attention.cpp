// SPDX-License-Identifier: Apache-2.0
// nn/layers/channel_attention.cpp — squeeze-and-excitation and relatives.
#include "nn/layers/channel_attention.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/conv_norm_act.h"
#include "nn/layers/gather_excite.h"
#include "nn/layers/line_attention.h"
#include "nn/layers/non_local.h"
#include "nn/layers/norm.h"

namespace fovea {
namespace {

Tensor squeeze_mean(const Tensor& x) { return mean(x, {2, 3}, keep_dims); }
Tensor squeeze(const Tensor& x, bool with_max) {
  const Tensor average = squeeze_mean(x);
  return with_max ? average * 0.5 + amax(x, {2, 3}, keep_dims) * 0.5 : average;
}

// The two halves of CBAM.
struct ChannelAttention final : Module {
  Ref<Conv2d> fc1, fc2;
  Act act, gate;
  bool light;
  ChannelAttention(int channels, const SqueezeOptions& o, bool is_light)
      : act(o.act.value_or(act::relu)), gate(is_light ? act::sigmoid : o.gate), light(is_light) {
    const int reduced = reduced_channels(channels, o, 1.0 / 16, 1);
    fc1 = add("fc1", Conv2d(channels, reduced, 1));
    fc2 = add("fc2", Conv2d(reduced, channels, 1));
  }
  Tensor weigh(const Tensor& s) { return fc2(activate(fc1(s), act)); }
  Tensor forward(const Tensor& x) override {
    if (light) return x * activate(weigh(squeeze(x, true)), gate);
    return x * activate(weigh(squeeze_mean(x)) + weigh(amax(x, {2, 3}, keep_dims)), gate);
  }
};
struct SpatialAttention final : Module {
  Ref<ConvNormAct> conv;
  Act gate;
  bool light;
  SpatialAttention(const Act& g, bool is_light) : gate(g), light(is_light) {
    conv = add("conv", ConvNormAct(light ? 1 : 2, 1, 7, {.act = act::none}));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor average = mean(x, {1}, keep_dims), largest = amax(x, {1}, keep_dims);
    return x * activate(conv(light ? average * 0.5 + largest * 0.5 : cat({average, largest}, 1)), gate);
  }
};

}  // namespace

int make_divisible(double v, int divisor, int minimum, double round_limit) {
  const int rounded = static_cast<int>(v + divisor / 2.0) / divisor * divisor;
  const int least = minimum ? minimum : divisor;
  const int n = rounded < least ? least : rounded;
  return n < round_limit * v ? n + divisor : n;
}

int reduced_channels(int channels, const SqueezeOptions& o, double ratio, int divisor, double round_limit) {
  if (o.channels) return o.channels;
  return make_divisible(channels * (o.ratio > 0 ? o.ratio : ratio), o.divisor ? o.divisor : divisor, 0, round_limit);
}

SEModule::SEModule(int channels, const SqueezeOptions& o)
    : act_(o.act.value_or(act::relu)), gate_(o.gate), max_pool_(o.max_pool) {
  const int reduced = reduced_channels(channels, o, 1.0 / 16, 8);
  fc1 = add("fc1", Conv2d(channels, reduced, 1, {.bias = o.bias}));
  if (o.norm) bn_ = add("bn", BatchNorm2d(reduced));
  fc2 = add("fc2", Conv2d(reduced, channels, 1, {.bias = o.bias}));
}
Tensor SEModule::forward(const Tensor& x) {
  return x * activate(fc2(activate(bn_(fc1(squeeze(x, max_pool_))), act_)), gate_);
}

SqueezeExcite::SqueezeExcite(int channels, const SqueezeOptions& o)
    : act_(o.act.value_or(act::relu)), gate_(o.gate) {
  const double wanted = channels * (o.ratio > 0 ? o.ratio : 0.25);
  int reduced = o.channels;
  if (!reduced)
    reduced = o.divisor > 0 ? make_divisible(wanted, o.divisor, 0, o.round_limit)
                            : static_cast<int>(std::nearbyint(wanted));
  conv_reduce = add("conv_reduce", Conv2d(channels, reduced, 1, {.bias = true}));
  conv_expand = add("conv_expand", Conv2d(reduced, channels, 1, {.bias = true}));
}
Tensor SqueezeExcite::forward(const Tensor& x) {
  return x * activate(conv_expand(activate(conv_reduce(squeeze_mean(x)), act_)), gate_);
}

EffectiveSEModule::EffectiveSEModule(int channels, const SqueezeOptions& o) : gate_(o.gate), max_pool_(o.max_pool) {
  fc = add("fc", Conv2d(channels, channels, 1, {.bias = true}));
}
Tensor EffectiveSEModule::forward(const Tensor& x) { return x * activate(fc(squeeze(x, max_pool_)), gate_); }

EcaModule::Conv1d::Conv1d(int in, int out, int kernel, bool with_bias) {
  weight = param("weight", {out, in, kernel}, init::torch_default(in * kernel));
  if (with_bias) bias = param("bias", {out}, init::torch_default(in * kernel));
}
Tensor EcaModule::Conv1d::forward(const Tensor& x) {
  return conv(x, weight, bias ? *bias : Tensor(), {.pad = {padded ? (weight->dim(2) - 1) / 2 : 0}});
}

EcaModule::EcaModule(int channels, const EcaOptions& o)
    : circular_(o.circular), act_(o.squeeze.act.value_or(act::relu)), gate_(o.squeeze.gate) {
  const int t = static_cast<int>(std::abs(std::log2(channels) + 1) / 2), kernel = std::max(t % 2 ? t : t + 1, 3);
  if (!o.mlp) {
    conv_ = add("conv", Conv1d(1, 1, kernel, false));
    conv_->padded = !circular_;
    return;
  }
  const int reduced = reduced_channels(channels, o.squeeze, 1.0 / 8, 8, 0.9);
  conv_ = add("conv", Conv1d(1, reduced, 1, true));
  conv2_ = add("conv2", Conv1d(reduced, 1, kernel, true));
}
Tensor EcaModule::forward(const Tensor& x) {
  const int64_t n = x.dim(0), c = x.dim(1), p = (conv_->weight->dim(2) - 1) / 2;
  Tensor y = reshape(mean(x, {2, 3}), {n, 1, c});
  y = conv_(circular_ ? pad_last(y, {p, p}, PadMode::circular) : y);
  if (conv2_) y = conv2_(activate(y, act_));
  return x * reshape(activate(y, gate_), {n, c, 1, 1});
}

GlobalContext::GlobalContext(int channels, const GlobalContextOptions& o) : gate_(o.squeeze.gate) {
  if (o.attention) conv_attn_ = add("conv_attn", Conv2d(channels, 1, 1, {.bias = true}));
  const ConvMlpOptions mlp{.hidden = reduced_channels(channels, o.squeeze, 1.0 / 8, 1),
                           .act = o.squeeze.act.value_or(act::relu),
                           .norm = true};
  if (o.fuse_add) mlp_add_ = add("mlp_add", ConvMlp(channels, mlp));
  if (o.fuse_scale) mlp_scale_ = add("mlp_scale", ConvMlp(channels, mlp));
  start_values();
}
void GlobalContext::start_values() {
  if (conv_attn_) conv_attn_->weight.slot().init = init::kaiming_normal(conv_attn_->weight->shape());
  if (mlp_add_) mlp_add_->fc2->weight.slot().init = init::zeros();
}
Tensor GlobalContext::forward(const Tensor& x) {
  const int64_t n = x.dim(0), c = x.dim(1), area = x.dim(2) * x.dim(3);
  Tensor context = squeeze_mean(x);
  if (conv_attn_) {
    const Tensor weights = softmax(reshape(conv_attn_(x), {n, 1, area}), -1);
    context = reshape(matmul(reshape(x, {n, c, area}), weights, {.transpose_b = true}), {n, c, 1, 1});
  }
  Tensor y = x;
  if (mlp_scale_) y = y * activate(mlp_scale_(context), gate_);
  return mlp_add_ ? y + mlp_add_(context) : y;
}

CbamModule::CbamModule(int channels, const SqueezeOptions& o, bool light) {
  channel_ = add("channel", ChannelAttention(channels, o, light));
  spatial_ = add("spatial", SpatialAttention(light ? act::sigmoid : o.gate, light));
}
Tensor CbamModule::forward(const Tensor& x) { return spatial_(channel_(x)); }

std::unique_ptr<Module> channel_attention(std::string_view kind, int channels, const SqueezeOptions& o) {
  using std::make_unique;
  if (kind.empty()) return nullptr;
  if (kind == "se") return make_unique<SEModule>(channels, o);
  if (kind == "ese") {
    SqueezeOptions ese = o;
    ese.gate = act::hard_sigmoid;
    return make_unique<EffectiveSEModule>(channels, ese);
  }
  if (kind == "eca") return make_unique<EcaModule>(channels);
  if (kind == "ecam") return make_unique<EcaModule>(channels, EcaOptions{.mlp = true, .squeeze = o});
  if (kind == "ceca") return make_unique<EcaModule>(channels, EcaOptions{.circular = true});
  if (kind == "ge") return make_unique<GatherExcite>(channels, GatherExciteOptions{.squeeze = o});
  if (kind == "gc") return make_unique<GlobalContext>(channels, GlobalContextOptions{.squeeze = o});
  if (kind == "gca")
    return make_unique<GlobalContext>(channels,
                                      GlobalContextOptions{.squeeze = o, .fuse_add = true, .fuse_scale = false});
  if (kind == "cbam") return make_unique<CbamModule>(channels, o);
  if (kind == "lcbam") return make_unique<CbamModule>(channels, o, true);
  if (kind == "coord") return make_unique<CoordinateAttention>(channels, o);
  if (kind == "scoord") return make_unique<SimpleCoordinateAttention>(channels, o);
  if (kind == "ela") return make_unique<EfficientLocalAttention>(channels, LineOptions{.act = o.act, .gate = o.gate});
  if (kind == "strip") return make_unique<StripAttention>(channels, LineOptions{.gate = o.gate});
  if (kind == "nl") return make_unique<NonLocalAttention>(channels, o);
  if (kind == "bat") return make_unique<BatNonLocalAttn>(channels, o);
  throw Error(Error::Kind::argument, str_cat("no channel attention '", kind, "'"),
              "there are se, ese, eca, ecam, ceca, ge, gc, gca, cbam, lcbam, coord, scoord, ela, strip, nl and bat");
}

}  // namespace fovea
