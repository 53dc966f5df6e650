// SPDX-License-Identifier: Apache-2.0
// nn/layers/channel_attention.cpp — squeeze-and-excitation and relatives.
#include "nn/layers/channel_attention.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/conv_norm_act.h"
#include "nn/layers/drop.h"
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

// The transform of BAT, in groups of channels that are mixed alike.
struct BilinearTransform final : Module {
  static constexpr int kGroups = 2;
  Ref<Module> conv1, conv_p, conv_q, conv2;
  int blocks;
  BilinearTransform(int channels, int n) : blocks(n) {
    if (channels % kGroups != 0)
      throw Error(Error::Kind::argument,
                  str_cat("the ", kGroups, " groups of bat do not divide ", channels, " channels"));
    conv1 = add("conv1", ConvNormAct(channels, kGroups, 1));
    const Conv2dOptions inside{.padding = Padding::Kind::valid, .bias = true};
    conv_p = add("conv_p", Conv2d(kGroups, n * n * kGroups, {n, 1}, inside));
    conv_q = add("conv_q", Conv2d(kGroups, n * n * kGroups, {1, n}, inside));
    conv2 = add("conv2", ConvNormAct(channels, channels, 1));
  }
  Tensor forward(const Tensor& x) override {
    const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3), b = blocks;
    if (h % b != 0 || w % b != 0)
      throw Error(Error::Kind::shape, str_cat("bat cuts a map into ", b, " x ", b, " blocks, but it is ", h, " x ", w),
                  current_scope());
    const Tensor y = conv1(x);
    const Tensor rows = amax(reshape(y, {n, kGroups, b, h / b * w}), {3}, keep_dims);
    const Tensor columns = amax(reshape(y, {n, kGroups, h, b, w / b}), {2, 4}, keep_dims);
    const Tensor p = sigmoid(reshape(conv_p(rows), {n, kGroups, 1, b, b}));
    const Tensor q = sigmoid(reshape(conv_q(reshape(columns, {n, kGroups, 1, b})), {n, kGroups, 1, b, b}));
    const Tensor down = reshape(x, {n, kGroups, c / kGroups, b, h / b * w});
    const Tensor mixed = matmul(p / sum(p, {4}, keep_dims), down);
    const Tensor across = reshape(mixed, {n, kGroups, c / kGroups * h, b, w / b});
    return conv2(reshape(matmul(q / sum(q, {3}, keep_dims), across, {.transpose_a = true}), {n, c, h, w}));
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
  fc1 = add("fc1", Conv2d(channels, reduced, 1, {.bias = o.bias}));
  if (o.norm) bn_ = add("bn", BatchNorm2d(reduced));
  fc2 = add("fc2", Conv2d(reduced, channels, 1, {.bias = o.bias}));
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
  if (o.attention) conv_attn_ = add("conv_attn", Conv2d(channels, 1, 1, {.bias = true}));
  const ConvMlpOptions mlp{.hidden = reduction(channels, o.squeeze, 1.0 / 8, 1), .act = o.squeeze.act, .norm = true};
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

CbamModule::CbamModule(int channels, const SqueezeOptions& o) {
  channel_ = add("channel", ChannelAttention(channels, o));
  spatial_ = add("spatial", SpatialAttention(o.gate));
}
Tensor CbamModule::forward(const Tensor& x) { return spatial_(channel_(x)); }

BatNonLocalAttn::BatNonLocalAttn(int channels, const SqueezeOptions& o) {
  const int reduced = o.channels ? o.channels
                                 : make_divisible(channels * (o.ratio > 0 ? o.ratio : 0.25), o.divisor ? o.divisor : 8);
  conv1_ = add("conv1", ConvNormAct(channels, reduced, 1));
  ba_ = add("ba", BilinearTransform(reduced, o.blocks ? o.blocks : 7));
  conv2_ = add("conv2", ConvNormAct(reduced, channels, 1));
  dropout_ = add("dropout", Dropout2d(0.2));
}
Tensor BatNonLocalAttn::forward(const Tensor& x) { return dropout_(conv2_(ba_(conv1_(x)))) + x; }

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
  if (kind == "bat") return std::make_unique<BatNonLocalAttn>(channels, o);
  throw Error(Error::Kind::argument, str_cat("no channel attention '", kind, "'"),
              "there are se, ese, eca, ceca, gc, gca, cbam and bat");
}

}  // namespace fovea
