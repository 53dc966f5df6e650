// SPDX-License-Identifier: Apache-2.0
// nn/layers/non_local.cpp — the non-local block and the bilinear transform.
#include "nn/layers/non_local.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/conv_norm_act.h"
#include "nn/layers/drop.h"
#include "nn/layers/norm.h"

namespace fovea {
namespace {

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

NonLocalAttention::NonLocalAttention(int channels, const SqueezeOptions& o) : scale_(1 / std::sqrt(channels)) {
  const int inner = reduced_channels(channels, o, 1.0 / 8, 8, 0.9);
  queries_ = add("t", Conv2d(channels, inner, 1, {.bias = true}));
  keys_ = add("p", Conv2d(channels, inner, 1, {.bias = true}));
  values_ = add("g", Conv2d(channels, inner, 1, {.bias = true}));
  out_ = add("z", Conv2d(inner, channels, 1, {.bias = true}));
  norm_ = add("norm", BatchNorm2d(channels, {.gain = 0}));
  for (const Ref<Conv2d>& c : {queries_, keys_, values_, out_}) {
    c->weight.slot().init = init::kaiming_normal(c->weight->shape(), init::Mode::fan_out);
    c->bias.slot().init = init::zeros();
  }
}

Tensor NonLocalAttention::forward(const Tensor& x) {
  const auto pixels = [](const Tensor& t) { return transpose(flatten(t, 2), 1, 2); };   // [N, H W, inner]
  const Tensor seen = sdpa(pixels(queries_(x)), pixels(keys_(x)), pixels(values_(x)), {}, {.scale = scale_});
  const Tensor map = unflatten(transpose(seen, 1, 2), 2, {x.dim(2), x.dim(3)});
  return norm_(out_(map)) + x;
}

BatNonLocalAttn::BatNonLocalAttn(int channels, const SqueezeOptions& o) {
  const int reduced = reduced_channels(channels, o, 0.25, 8, 0.9);
  conv1_ = add("conv1", ConvNormAct(channels, reduced, 1));
  ba_ = add("ba", BilinearTransform(reduced, o.blocks ? o.blocks : 7));
  conv2_ = add("conv2", ConvNormAct(reduced, channels, 1));
  dropout_ = add("dropout", Dropout2d(0.2));
}
Tensor BatNonLocalAttn::forward(const Tensor& x) { return dropout_(conv2_(ba_(conv1_(x)))) + x; }

}  // namespace fovea
