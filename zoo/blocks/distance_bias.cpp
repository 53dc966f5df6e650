// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/distance_bias.cpp — distances, and looking values up by them.
#include "zoo/blocks/distance_bias.h"

#include <cmath>
#include <cstdlib>
#include <utility>

#include "engine/ops/ops.h"
#include "nn/layers/last_made.h"

namespace fovea::zoo {
namespace {

Tensor distances_of(Size2 grid, int stride) {
  const int64_t rows = (grid.h - 1) / stride + 1, columns = (grid.w - 1) / stride + 1, keys = int64_t{grid.h} * grid.w;
  Tensor index = empty({rows * columns, keys}, DType::i64);
  int64_t* at = index.mutable_data<int64_t>().data();
  for (int64_t query = 0; query < rows * columns; ++query) {
    const int64_t y = query / columns * stride, x = query % columns * stride;
    for (int64_t key = 0; key < keys; ++key) *at++ = std::abs(y - key / grid.w) * grid.w + std::abs(x - key % grid.w);
  }
  return index;
}

Tensor distances(Size2 grid, int stride) {
  static thread_local LastMade<std::pair<Size2, int>> last;
  return last.of({grid, stride}, [&] { return distances_of(grid, stride); });
}

}  // namespace

void DistanceBiased::add_biases(Size2 grid, int heads, int stride) {
  grid_ = grid;
  biases_ = param("attention_biases", {heads, grid.h * grid.w}, init::zeros());
  distances_ = constant("attention_bias_idxs", distances(grid, stride));
}

void DistanceBiased::add_biases_and_save(Size2 grid, int heads) {
  add_biases(grid, heads);
  distances_.slot().persistent = distances_.slot().optional = true;
}

void DistanceBiased::set_grid(int side) {
  if (grid_ == Size2(side)) return;
  grid_ = side;
  const Tensor old = biases_;
  Tensor now =
      old.has_bytes()
          ? resampled(old.detach())
          : meta_tensor(make_meta(old.dtype(), {old.dim(0), int64_t{side} * side}, Memory::contiguous, old.device()));
  now.set_requires_grad(old.requires_grad());
  biases_.set(now);
  distances_.set(distances(grid_, 1).to(distances_->device()));
}

Tensor DistanceBiased::resampled(const Tensor& old) const {
  if (old.rank() != 2 || old.dim(1) == int64_t{grid_.h} * grid_.w) return old;
  const int64_t side = std::lround(std::sqrt(static_cast<double>(old.dim(1))));
  if (side * side != old.dim(1)) return old;
  const Tensor maps = cast(reshape(old, {1, old.dim(0), side, side}), DType::f32);
  const Tensor now = interpolate(maps, {grid_.h, grid_.w}, {.mode = Interpolation::cubic, .antialias = true});
  return contiguous(cast(reshape(now, {old.dim(0), -1}), old.dtype()));
}

Tensor DistanceBiased::biases(int64_t height, int64_t width) const {
  return biases(height == grid_.h ? height * width : -height * width);
}

Tensor DistanceBiased::biases(int64_t pixels) const {
  if (pixels != int64_t{grid_.h} * grid_.w)
    throw Error(Error::Kind::shape,
                str_cat("a map of ", std::abs(pixels), " pixels met attention for ", grid_.h, " x ", grid_.w),
                str_cat(current_scope(), ": create the model with the image's size as img_size"));
  return index_select(biases_, 1, distances_);
}

}  // namespace fovea::zoo
