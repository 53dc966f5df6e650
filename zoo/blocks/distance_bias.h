// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/distance_bias.h — attention between the pixels of a grid that learns, for each head, what to add to the
// score of two pixels so many rows and columns apart, whatever the direction: https://arxiv.org/abs/2104.01136
#pragma once
#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea::zoo {

/// A module with the parameter "attention_biases" [heads, pixels] and the buffer "attention_bias_idxs".
class DistanceBiased : public Module {
 public:
  /// For queries of another square grid; values that are there are resampled.
  void set_grid(int side);
  /// Biases [heads, pixels] of another square grid for this one's.
  Tensor resampled(const Tensor& biases) const;

 protected:
  /// Queries are every stride-th pixel of every stride-th row.
  void add_biases(Size2 grid, int heads, int stride = 1);
  /// The same with a buffer that is saved.
  void add_biases_and_save(Size2 grid, int heads);
  /// [heads, queries, keys]. Throws Error(shape) where a map of that size, or of so many pixels, is not the grid's.
  Tensor biases(int64_t height, int64_t width) const;
  Tensor biases(int64_t pixels) const;

 private:
  Size2 grid_;
  Param biases_, distances_;
};

}  // namespace fovea::zoo
