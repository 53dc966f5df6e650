// SPDX-License-Identifier: Apache-2.0
// nn/layers/channel_attention.cpp — squeeze-and-excitation and relatives.
#include "nn/layers/channel_attention.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/norm.h"

namespace fovea {
namespace {

Tensor squeeze_mean(const Tensor& x) { return mean(x, {2, 3}, keep_dims); }
Tensor squeeze(const Tensor& x, bool with_max) {
  const Tensor average = squeeze_mean(x);
  return with_max ? average * 0.5 + amax(x, {2, 3}, keep_dims) * 0.5 : average;
}

int reduction(int channels, const SqueezeOptions& o, double ratio, int divisor) {
  if (o.channels) return o.channels;
  return make_divisible(channels * (o.ratio > 0 ? o.ratio : ratio), o.divisor ? o.divisor : divisor, 0, 0.0);
}

// The two halves of CBAM.
struct ChannelAttention final : Module {
  Ref<Conv2d> fc1, fc2;
  Act act, gate;
  ChannelAttention(int channels, const SqueezeOptions& o) : act(o.act), gate(o.gate) {
    const int reduced = reduction(channels, o, 1.0 / 16, 1);
    fc1 = add("fc1", Conv2d(channels, reduced, 1));
    fc2 = add("fc2", Conv2d(reduced, channels, 1));
  }
  Tensor weigh(const Tensor& s) { return fc2(activate(fc1(s), act)); }
  Tensor forward(const Tensor& x) override {
    return x * activate(weigh(squeeze_mean(x)) + weigh(amax(x, {2, 3}, keep_dims)), gate);
  }
};
struct ConvBn final : Module {
  Ref<Conv2d> conv;
  Ref<BatchNorm2d> bn;
  ConvBn(int in, int out, int kernel) {
    conv = add("conv", Conv2d(in, out, kernel));
    bn = add("bn", BatchNorm2d(out));
  }
  Tensor forward(const Tensor& x) override { return bn(conv(x)); }
};
struct SpatialAttention final : Module {
  Ref<ConvBn> conv;
  Act gate;
  explicit SpatialAttention(const Act& g) : gate(g) { conv = add("conv", ConvBn(2, 1, 7)); }
  Tensor forward(const Tensor& x) override {
    return x * activate(conv(cat({mean(x, {1}, keep_dims), amax(x, {1}, keep_dims)}, 1)), gate);
  }
};

}  // namespace

int make_divisible(double v, int divisor, int minimum, double round_limit) {
  const int rounded = static_cast<int>(v + divisor / 2.0) / divisor * divisor;
  const int least = minimum ? minimum : divisor;
  const int n = rounded < least ? least : rounded;
  return n < round_limit * v ? n + divisor : n;
}

SEModule::SEModule(int channels, const SqueezeOptions& o) : act_(o.act), gate_(o.gate), max_pool_(o.max_pool) {
  const int reduced = reduction(channels, o, 1.0 / 16, 8);
  fc1 = add("fc1", Conv2d(channels, reduced, 1, {.bias = true}));
  if (o.norm) bn_ = add("bn", BatchNorm2d(reduced));
  fc2 = add("fc2", Conv2d(reduced, channels, 1, {.bias = true}));
}
Tensor SEModule::forward(const Tensor& x) {
  return x * activate(fc2(activate(bn_(fc1(squeeze(x, max_pool_))), act_)), gate_);
}

SqueezeExcite::SqueezeExcite(int channels, const SqueezeOptions& o) : act_(o.act), gate_(o.gate) {
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

EcaModule::Conv1d::Conv1d(int kernel) { weight = param("weight", {1, 1, kernel}, init::torch_default(kernel)); }

EcaModule::EcaModule(int channels, bool circular, const Act& gate) : circular_(circular), gate_(gate) {
  const int t = static_cast<int>(std::abs(std::log2(channels) + 1) / 2);
  kernel_ = t % 2 ? t : t + 1;
  if (kernel_ < 3) kernel_ = 3;
  conv_ = add("conv", Conv1d(kernel_));
}
Tensor EcaModule::forward(const Tensor& x) {
  const int64_t n = x.dim(0), c = x.dim(1), p = (kernel_ - 1) / 2;
  Tensor y = reshape(mean(x, {2, 3}), {n, 1, c});
  if (circular_) y = pad_last(y, {p, p}, PadMode::circular);
  y = conv(y, conv_->weight, {}, {.pad = {circular_ ? 0 : p}});
  return x * reshape(activate(y, gate_), {n, c, 1, 1});
}

GlobalContext::GlobalContext(int channels, const GlobalContextOptions& o) : gate_(o.squeeze.gate) {
  if (o.attention) {
    Ref<Conv2d> attn = add("conv_attn", Conv2d(channels, 1, 1, {.bias = true}));
    attn->weight.slot().init = init::kaiming_normal(attn->weight->shape());
    conv_attn_ = attn;
  }
  const ConvMlpOptions mlp{.hidden = reduction(channels, o.squeeze, 1.0 / 8, 1), .act = o.squeeze.act, .norm = true};
  if (o.fuse_add) {
    Ref<ConvMlp> plus = add("mlp_add", ConvMlp(channels, mlp));
    plus->fc2->weight.slot().init = init::zeros();
    mlp_add_ = plus;
  }
  if (o.fuse_scale) mlp_scale_ = add("mlp_scale", ConvMlp(channels, mlp));
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

CbamModule::CbamModule(int channels, const SqueezeOptions& o) {
  channel_ = add("channel", ChannelAttention(channels, o));
  spatial_ = add("spatial", SpatialAttention(o.gate));
}
Tensor CbamModule::forward(const Tensor& x) { return spatial_(channel_(x)); }

std::unique_ptr<Module> channel_attention(std::string_view kind, int channels, const SqueezeOptions& o) {
  if (kind.empty()) return nullptr;
  if (kind == "se") return std::make_unique<SEModule>(channels, o);
  if (kind == "ese") {
    SqueezeOptions ese = o;
    ese.gate = act::hard_sigmoid;
    return std::make_unique<EffectiveSEModule>(channels, ese);
  }
  if (kind == "eca") return std::make_unique<EcaModule>(channels);
  if (kind == "ceca") return std::make_unique<EcaModule>(channels, true);
  if (kind == "gc") return std::make_unique<GlobalContext>(channels, GlobalContextOptions{.squeeze = o});
  if (kind == "gca")
    return std::make_unique<GlobalContext>(channels,
                                           GlobalContextOptions{.squeeze = o, .fuse_add = true, .fuse_scale = false});
  if (kind == "cbam") return std::make_unique<CbamModule>(channels, o);
  throw Error(Error::Kind::argument, str_cat("no channel attention '", kind, "'"),
              "there are se, ese, eca, ceca, gc, gca and cbam");
}

}  // namespace fovea
