// SPDX-License-Identifier: Apache-2.0
// nn/layers/rotary.cpp — angles, and turning by them.
#include "nn/layers/rotary.h"

#include <cmath>
#include <numbers>

#include "engine/ops/ops.h"

namespace fovea {
namespace {

// Each angle belongs to two channels.
Tensor doubled(const Tensor& x, bool half) { return half ? cat({x, x}, -1) : repeat_interleave(x, 2, -1); }

// Rows in front for tokens that do not turn.
Tensor behind(const Tensor& x, int rows, double value) {
  if (rows == 0) return x;
  Shape front = x.shape();
  front[front.size() - 2] = rows;
  return cat({full(front, value, x.dtype(), x.device()), x}, -2);
}

// Each head of each block looks into a direction of its own, with its first half of frequencies, and across it.
struct Directions final : Drawing {
  explicit Directions(double t) : temperature(t) {}
  Tensor draw(const Shape& shape, DType dtype, uint64_t key) const override {
    const int64_t quarter = shape[3] / 2;
    std::vector<float> sizes;
    for (int64_t i = 0; i < quarter; ++i)
      sizes.push_back(
          static_cast<float>(std::pow(temperature, -static_cast<double>(i) / static_cast<double>(quarter))));
    const Tensor size = from(std::span<const float>(sizes), Shape{quarter});
    const Tensor angle = init::draw(init::uniform(0, 2 * std::numbers::pi), {shape[1], shape[2], 1}, DType::f32, key);
    const Tensor across = angle + std::numbers::pi / 2;
    return cast(
        stack({cat({size * cos(angle), size * cos(across)}, -1), cat({size * sin(angle), size * sin(across)}, -1)}, 0),
        dtype);
  }
  double temperature;
};

}  // namespace

std::string_view name_of(RopeType t) {
  constexpr std::string_view names[] = {"none", "cat", "mixed", "dinov3", "mrope"};
  return static_cast<size_t>(t) < std::size(names) ? names[static_cast<size_t>(t)] : std::string_view();
}

Rotary kept(const Rotary& r, const Tensor& index, int prefix) {
  const int64_t n = index.dim(0);
  Tensor all = index + static_cast<double>(prefix);
  if (prefix > 0) {
    Tensor front = empty({1, prefix}, DType::i64);
    for (int i = 0; i < prefix; ++i) front.mutable_data<int64_t>()[static_cast<size_t>(i)] = i;
    all = cat({expand(front.to(index.device()), {n, prefix}), all}, 1);
  }
  const auto chosen = [&](const Tensor& table) {  // [N, heads or 1, kept, D]
    if (table.rank() == 4) {
      const Shape shape{n, table.dim(1), all.dim(1), table.dim(3)};
      return gather(table, 2, expand(reshape(all, {n, 1, all.dim(1), 1}), shape));
    }
    const Tensor t = table.rank() == 2 ? unsqueeze(table, 0) : table;
    return permute(index_select(t, 1, all), {1, 0, 2, 3});
  };
  return {.sin = chosen(r.sin), .cos = chosen(r.cos), .half = r.half};
}

Tensor rotated(const Tensor& x, const Rotary& r) {
  if (!r.sin) return x;
  Tensor turned;
  if (r.half) {
    const std::vector<Tensor> each = chunk(x, 2, -1);
    turned = cat({-each[1], each[0]}, -1);
  } else {
    const Tensor pairs = unflatten(x, -1, {-1, 2});
    turned = flatten(stack({-select(pairs, -1, 1), select(pairs, -1, 0)}, -1), -2);
  }
  return x * cast(r.cos, x.dtype()) + turned * cast(r.sin, x.dtype());
}

RotaryEmbedding::RotaryEmbedding(const RotaryOptions& o) : options_(o) {
  if (o.head_dim < 4 || o.head_dim % 4 != 0)
    throw Error(Error::Kind::argument, str_cat("heads of ", o.head_dim, " channels cannot turn by rows and columns"),
                "their channels are a multiple of 4");
  if (o.type != RopeType::mixed) return;
  freqs_ = param("freqs", {2, o.depth, o.heads, o.head_dim / 2});
  freqs_.slot().drawing = std::make_shared<Directions>(o.temperature);
}

Tensor RotaryEmbedding::coordinates(Size2 grid, Device d) const {
  const RotaryOptions& o = options_;
  const auto place = [&](int at, int size, int ref) {
    float x = static_cast<float>(at) + static_cast<float>(o.grid_offset);
    if (o.type == RopeType::dinov3) x = 2 * ((x + 0.5f) / static_cast<float>(size)) - 1;
    if (o.type == RopeType::cat && ref > 0) x = x / static_cast<float>(size) * static_cast<float>(ref);
    return x;
  };
  std::vector<float> all;
  for (int i = 0; i < grid.h; ++i)
    for (int j = 0; j < grid.w; ++j) {
      const float row = place(i, grid.h, o.ref_feat_shape.h), column = place(j, grid.w, o.ref_feat_shape.w);
      all.push_back(o.columns_first ? column : row);
      all.push_back(o.columns_first ? row : column);
    }
  return from(std::span<const float>(all), Shape{static_cast<int64_t>(grid.h) * grid.w, 2}).to(d);
}

std::array<Tensor, 2> RotaryEmbedding::frequencies(int block, Device d) const {
  const RotaryOptions& o = options_;
  if (freqs_) {
    const Tensor own = unsqueeze(select(*freqs_, 1, block), -2);
    return {select(own, 0, 0), select(own, 0, 1)};
  }
  const int half = o.head_dim / 2, quarter = o.head_dim / 4;
  std::array<std::vector<float>, 2> w{std::vector<float>(static_cast<size_t>(half)),
                                      std::vector<float>(static_cast<size_t>(half))};
  for (int i = 0; i < half; ++i) {
    const auto at = static_cast<size_t>(i);
    if (o.type == RopeType::mrope) {
      const auto f = static_cast<float>(std::pow(o.temperature, -2.0 * i / o.head_dim));
      if (i % 3 == 1 && i < 3 * o.mrope_section[1]) w[0][at] = f;
      if (i % 3 == 2 && i < 3 * o.mrope_section[2]) w[1][at] = f;
    } else {
      const double slow = std::pow(o.temperature, -static_cast<double>(i % quarter) / quarter);
      w[i < quarter ? 0 : 1][at] = static_cast<float>(o.type == RopeType::dinov3 ? 2 * std::numbers::pi * slow : slow);
    }
  }
  return {from(std::span<const float>(w[0]), Shape{1, half}).to(d),
          from(std::span<const float>(w[1]), Shape{1, half}).to(d)};
}

Rotary RotaryEmbedding::at(Size2 grid, int block, Device d) { return turns(coordinates(grid, d), block); }

Rotary RotaryEmbedding::at(const Tensor& places, const Tensor& sizes, int block) {
  const RotaryOptions& o = options_;
  Tensor x = cast(places, DType::f32) + o.grid_offset;
  if (o.type == RopeType::dinov3) x = (x + 0.5) / sizes * 2 - 1;
  if (o.type == RopeType::cat && o.ref_feat_shape.h > 0) {
    const float ref[] = {static_cast<float>(o.ref_feat_shape.h), static_cast<float>(o.ref_feat_shape.w)};
    x = x / sizes * from(std::span<const float>(ref), Shape{2}).to(x.device());
  }
  if (o.columns_first) x = cat({slice(x, -1, 1, 2), slice(x, -1, 0, 1)}, -1);
  return turns(unsqueeze(x, 1), block);
}

Rotary RotaryEmbedding::turns(const Tensor& coordinates, int block) {
  const Scope scope(name());
  const RotaryOptions& o = options_;
  const Device d = coordinates.device();
  Tensor places = coordinates;
  const auto within = [&](const Shape& shape, double most) {
    return affine(rand(shape, next_key(), DType::f32, d), 2 * most, -most);
  };
  if (training() && o.shift_coords > 0) places = places + within({1, 2}, o.shift_coords);
  if (training() && o.jitter_coords > 0) places = places * exp(within({1, 2}, std::log(o.jitter_coords)));
  if (training() && o.rescale_coords > 0) places = places * exp(within({1, 1}, std::log(o.rescale_coords)));
  const auto [first, second] = frequencies(block, d);
  const Tensor angles = slice(places, -1, 0, 1) * first + slice(places, -1, 1, 2) * second;
  const bool half = options_.rotate_half || options_.type == RopeType::mrope;
  return {.sin = behind(doubled(sin(angles), half), options_.prefix, 0),
          .cos = behind(doubled(cos(angles), half), options_.prefix, 1),
          .half = half};
}

}  // namespace fovea
