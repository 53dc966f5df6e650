// SPDX-License-Identifier: Apache-2.0
// test/engine/session_nets.h — small nets on which every pass is tried: convolutions with norms, attention, gates, odd
// views.
#pragma once
#include <string>
#include <vector>

#include "engine/graph/trace.h"
#include "engine/ops/ops.h"

namespace fovea {

/// Numbers in (-1, 1) that depend on the seed alone.
inline Tensor numbers(const Shape& s, int64_t seed, double scale = 1) { return rand(s, seed) * (2 * scale) - scale; }

struct Net {
  const char* name;
  Metas in;
  Tensors (*run)(std::span<const Tensor> in, std::span<const Tensor> w);
  std::vector<Shape> weights;                      // those of rank 1 are kept positive: they may be variances
  Tensors make_weights() const {
    Tensors w;
    for (size_t i = 0; i < weights.size(); ++i) {
      const Tensor t = numbers(weights[i], 100 + static_cast<int64_t>(i), 0.5);
      w.push_back(weights[i].size() == 1 ? t + 0.75 : t);
    }
    return w;
  }
  Tensors inputs() const {
    Tensors x;
    for (size_t i = 0; i < in.size(); ++i)
      x.push_back(contiguous(numbers(in[i].shape, 7 + static_cast<int64_t>(i)), in[i].memory()));
    return x;
  }
};

inline Tensor norm(const Tensor& x, std::span<const Tensor> w) { return batch_norm(x, w[0], w[1], w[2], w[3], 1e-5); }

inline Tensors conv_norm_net(std::span<const Tensor> in, std::span<const Tensor> w) {
  Tensor x = relu(norm(conv(in[0], w[0], {}, {.stride = {2}, .pad = {1}}), w.subspan(1, 4)));
  x = max_pool(x, {.kernel = {3}, .stride = {2}, .pad = {1}});
  const Tensor y = unary(norm(conv(x, w[5], w[6], {.pad = {1}}), w.subspan(7, 4)), Unary::silu);
  const Tensor z = norm(conv(y, w[11]), w.subspan(12, 4)) * reshape(w[16], {8, 1, 1});
  const Tensor s = norm(conv(x, w[11]), w.subspan(12, 4));
  const Tensor joined = relu(z + s);
  return {linear(mean(joined, {2, 3}), w[17], w[18]), joined};
}

inline Tensors attention_net(std::span<const Tensor> in, std::span<const Tensor> w) {
  const Tensor patches = transpose(flatten(conv(in[0], w[0], w[1], {.stride = {4}}), 2), 1, 2);
  Tensor x = cat({expand(w[2], {2, 1, 16}), patches}, 1) + w[3];
  const Tensor h = layer_norm(x, w[4], w[5], 1e-6);
  const Tensor qkv = permute(reshape(linear(h, w[6], w[7]), {2, -1, 3, 2, 8}), {2, 0, 3, 1, 4});
  const Tensor a = sdpa(select(qkv, 0, 0), select(qkv, 0, 1), select(qkv, 0, 2));
  x = x + linear(reshape(transpose(a, 1, 2), {2, -1, 16}), w[8], w[9]) * w[10];
  const Tensor mlp = linear(unary(linear(layer_norm(x, w[4], w[5], 1e-6), w[11], w[12]), Unary::gelu), w[13]);
  return {select(x + mlp, 1, 0)};
}

inline Tensors gate_net(std::span<const Tensor> in, std::span<const Tensor> w) {
  const Tensor x = unary(conv(in[0], w[0], w[1], {.pad = {1}}), Unary::hard_swish);
  const Tensor d = conv(x, w[2], {}, {.pad = {2}, .groups = 8});
  const Tensor squeezed = mean(d, {2, 3}, keep_dims);
  const Tensor gate = sigmoid(conv(relu(conv(squeezed, w[3], w[4])), w[5], w[6]));
  const Tensor gated = d * gate + x;
  const std::vector<Tensor> halves = chunk(gated, 2, 1);
  const Tensor shuffled = reshape(transpose(reshape(gated, {2, 2, 4, 8, 6}), 1, 2), {2, 8, 8, 6});
  return {cat({halves[1] * halves[0], halves[0]}, 1) + shuffled, flatten(gated, 1)};
}

// Blocks whose norms see all that came before them.
inline Tensors dense_net(std::span<const Tensor> in, std::span<const Tensor> w) {
  const Tensor first = max_pool(conv(in[0], w[0], {}, {.pad = {1}}), {});
  Tensor all = first;
  for (size_t i = 0; i < 2; ++i) {
    const std::span<const Tensor> own = w.subspan(1 + 5 * i, 5);
    all = cat({all, conv(relu(norm(all, own)), own[4], {}, {.pad = {1}})}, 1);
  }
  return {mean(unary(norm(all, w.subspan(11, 4)), Unary::silu), {2, 3}), norm(first, w.subspan(15, 4)), all};
}

inline Tensors odd_net(std::span<const Tensor> in, std::span<const Tensor> w) {
  const Tensor table = softmax(w[0] + 1.0, 1);                          // constant, all of it
  const Tensor a = in[0] * table + transpose(in[1], 0, 1), b = slice(a, 1, 1, 6, 2);
  return {b, in[1], table, a + a, transpose(exp(-a), 0, 1), slice(in[0], 0, 1, 3)};
}

// Norms and sums that see the product through another shape; convolutions of parts of an image.
inline Tensors views_net(std::span<const Tensor> in, std::span<const Tensor> w) {
  const Tensor x = conv(in[0], w[0], {}, {.stride = {2}});
  const Tensor h = layer_norm(permute(x, {0, 2, 3, 1}), w[1], w[2], 1e-6);
  const Tensor y = linear(unary(linear(h, w[3], w[4]), Unary::gelu), w[5], w[6]);
  const Tensor joined = permute(y, {0, 3, 1, 2}) * reshape(w[7], {1, 8, 1, 1}) + x;
  const Tensors part = split(joined, 4, 1);
  const Tensor first = relu(conv(part[0], w[8], {}, {.pad = {1}}));
  const Tensor second = relu(conv(first + part[1], w[8], {}, {.pad = {1}}));
  const Tensor tokens = transpose(flatten(cat({second, first}, 1), 2), 1, 2);
  const Tensor normed = reshape(norm(flatten(linear(tokens, w[9]), 0, 1), w.subspan(10, 4)), {2, -1, 8});
  return {mean(unary(normed + tokens, Unary::hard_swish), {1})};
}

inline std::vector<Net> nets() {
  const Shape c{8};
  return {
      {"conv and norm",
       {make_meta(DType::f32, {2, 3, 17, 14})},
       conv_norm_net,
       {{8, 3, 3, 3}, c, c, c, c, {8, 8, 3, 3}, c, c, c, c, c, {8, 8, 1, 1}, c, c, c, c, c, {5, 8}, {5}}},
      {"attention",
       {make_meta(DType::f32, {2, 3, 12, 8})},
       attention_net,
       {{16, 3, 4, 4},
        {16},
        {1, 1, 16},
        {1, 7, 16},
        {16},
        {16},
        {48, 16},
        {48},
        {16, 16},
        {16},
        {16},
        {64, 16},
        {64},
        {16, 64}}},
      {"gates",
       {make_meta(DType::f32, {2, 4, 8, 6})},
       gate_net,
       {{8, 4, 3, 3}, c, {8, 1, 5, 5}, {4, 8, 1, 1}, {4}, {8, 4, 1, 1}, c}},
      {"views",
       {make_meta(DType::f32, {2, 3, 10, 8})},
       views_net,
       {{8, 3, 2, 2}, c, c, {16, 8}, {16}, {8, 16}, c, c, {4, 4, 3, 3}, {8, 8}, c, c, c, c}},
      {"odd views", {make_meta(DType::f32, {4, 6}), make_meta(DType::f32, {6, 4})}, odd_net, {{4, 6}}},
      {"dense blocks",
       {make_meta(DType::f32, {2, 3, 10, 8})},
       dense_net,
       {{8, 3, 3, 3}, c, c, c, c, {4, 8, 3, 3}, {12}, {12}, {12}, {12}, {4, 12, 3, 3}, {16}, {16}, {16}, {16}, c, c, c,
        c}},
  };
}

}  // namespace fovea
