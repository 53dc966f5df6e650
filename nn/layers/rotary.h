// SPDX-License-Identifier: Apache-2.0
// nn/layers/rotary.h — rotary position embeddings: queries and keys are turned by angles that grow with their places.
#pragma once
#include <array>
#include <string_view>

#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea {

/// The turns of tokens: sines and cosines [L, D] or [heads, L, D]; absent where nothing turns.
struct Rotary {
  Tensor sin, cos;
  bool half = false;  // channel i turns with i + D / 2, else 2 i with 2 i + 1
};
/// Only of the tokens behind the prefix whose numbers are in index [N, kept], for each sample its own.
Rotary kept(const Rotary& r, const Tensor& index, int prefix);
/// Tokens [N, heads, L, D].
Tensor rotated(const Tensor& x, const Rotary& r);

enum class RopeType : uint8_t {
  none,
  cat,     // angles by row and column, https://arxiv.org/abs/2104.09864
  mixed,   // learned frequencies of both for each head and block, https://arxiv.org/abs/2403.13298
  dinov3,  // coordinates from -1 to 1, https://arxiv.org/abs/2508.10104
  mrope,   // channels take turns: time (which stands still), row, column
};
std::string_view name_of(RopeType t);

struct RotaryOptions {
  RopeType type = RopeType::cat;
  int head_dim = 64, heads = 12, depth = 12;
  int prefix = 1;  // tokens in front that do not turn
  double temperature = 10000, grid_offset = 0;
  bool columns_first = false, rotate_half = false;
  Size2 ref_feat_shape = 0;                     // cat: rows and columns as of a grid of this size
  std::array<int, 3> mrope_section{8, 12, 12};  // channels for time, rows, columns
  // training: random shifts, factors for each direction, and for both, each at most so large (0: none)
  double shift_coords = 0, jitter_coords = 0, rescale_coords = 0;
};

class RotaryEmbedding final : public Module {
 public:
  explicit RotaryEmbedding(const RotaryOptions& o);
  /// For a grid of tokens, read line by line. Blocks differ only where frequencies are learned.
  Rotary at(Size2 grid, int block = 0, Device d = {});
  /// For places [N, L, 2] in grids of so many rows and columns, [N, 1, 2].
  Rotary at(const Tensor& places, const Tensor& sizes, int block = 0);
  bool differs() const { return options_.type == RopeType::mixed; }

 private:
  Tensor coordinates(Size2 grid, Device d) const;      // [L, 2]
  Rotary turns(const Tensor& coordinates, int block);
  // By which angles grow with both coordinates: [.., 1, D / 2].
  std::array<Tensor, 2> frequencies(int block, Device d) const;
  RotaryOptions options_;
  Param freqs_;  // [2, depth, heads, D / 2]
};

}  // namespace fovea
