// SPDX-License-Identifier: Apache-2.0
// weights_tools/rename.h — names of foreign checkpoints -> fovea's (timm's) names, written as rows of data.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "engine/core/state_dict.h"

namespace fovea {

/// One row: where `pattern` is found in a name, it is replaced by `with`; a row changes a name at most once, at the
/// leftmost place.
///
/// Names are dotted ("blocks.3.conv.weight"). A pattern stands for whole dotted parts: it begins at the start of the
/// name or after a dot, and ends at the end of the name or at a dot. "bn1" is found in "layer.bn1.weight", not in
/// "layer.bn10.weight" or "my_bn1.weight". A pattern that ends in a dot takes the dot too, so {"module.", ""} strips
/// that prefix.
///
///   #    one or more digits                      *    one or more characters other than a dot
///   **   any characters, dots too, maybe none    ^    at the start of the pattern: only at the start of the name
///
/// Each #, * and ** is a capture: `with` refers to them as $1, $2, ... in the order of the pattern ("$$" is a dollar
/// sign). `with == nullptr` drops the tensor.
///
///   {"^_blocks.#._bn0", "blocks.$1.bn1"}   {"gamma", "weight"}   {"^head_dist.**", nullptr}
struct Rename {
  const char* pattern;
  const char* with;
};

/// Rows apply in order, each to what the rows before it made of the name. Throws Error(weights) when two tensors end up
/// with one name.
StateDict rename(const StateDict& from, std::span<const Rename> rows);
std::string rename(std::string_view name, std::span<const Rename> rows);  // one name; "" when it is dropped

/// Names without what PyTorch's wrappers put in front of them, in whatever order and however often: "module."
/// (DataParallel, averaged models) and "_orig_mod." (torch.compile). Throws as rename() does.
StateDict unwrapped(StateDict weights);

/// The tensors whose names begin with `prefix`, without it.
StateDict below(const StateDict& from, std::string_view prefix);

/// Blocks counted through the whole net -> blocks counted within stages: with from "_blocks.", to "blocks." and depths
/// {1, 2}, "_blocks.2.x" becomes "blocks.1.1.x". Names that do not begin with from_prefix and a number stay. Throws
/// Error(weights) for a block beyond the sum of the depths.
StateDict renumber_blocks(const StateDict& from, std::string_view from_prefix, std::string_view to_prefix,
                          std::span<const int> stage_depths);

}  // namespace fovea
