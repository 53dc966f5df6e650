// SPDX-License-Identifier: Apache-2.0
// nn/layers/relative_bias.h — what attention adds to the score of two tokens of a window: a learned table's row for the
// offset between them.
#pragma once
#include <optional>

#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea {

/// The row of the table for each pair of tokens: i64 [area, area]. A window has (2h - 1)(2w - 1) offsets, counted line
/// by line from the top left. With a class token in front there are three rows more: from it to others, from others to
/// it, and to itself.
Tensor relative_positions(Size2 window, bool class_token = false);

/// Of a table [offsets, heads]: [heads, area, area].
Tensor relative_bias(const Tensor& table, const Tensor& positions);

/// The table for another window, computed in f32. Offsets near 0 matter most, so the old rows lie close together there
/// and ever further apart to the ends of the new table; between them it is linear. Without `old` the old window is
/// square, or the new one where the table cannot be of a square. The rows of a class token stay as they are.
Tensor resample_relative_bias(const Tensor& table, Size2 window, std::optional<Size2> old = {},
                              bool class_token = false);

/// The parameter "relative_position_bias_table" of a module, and what looks things up in it.
class RelativeTable {
 public:
  RelativeTable() = default;
  RelativeTable(Param table, Param positions, Size2 window, bool class_token);
  static Shape shape(Size2 window, int heads, bool class_token = false);
  explicit operator bool() const { return static_cast<bool>(table_); }
  Tensor bias() const { return relative_bias(table_, positions_); }
  Size2 window() const { return window_; }
  void set_window(Size2 window);  // resamples the table
  Tensor resampled(const Tensor& table) const { return resample_relative_bias(table, window_, {}, class_token_); }

 private:
  Param table_, positions_;
  Size2 window_;
  bool class_token_ = false;
};

/// A module with such a table.
class RelativeTableOwner {
 public:
  virtual const RelativeTable& relative_table() const = 0;

 protected:
  ~RelativeTableOwner() = default;
};

}  // namespace fovea
