// SPDX-License-Identifier: Apache-2.0
// test/zoo/small_hybrids.h — networks of convolutions and attention with little to compute, and originals' weights.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "test/zoo/foreign_weights.h"
#include "weights_tools/edit.h"
#include "weights_tools/rename.h"

namespace fovea::zoo {

using Settings = std::vector<std::pair<std::string, std::string>>;

inline std::unique_ptr<ImageModel> small(const char* name, const Settings& set,
                                         std::optional<std::array<int, 2>> size = {}) {
  return create(name, {.num_classes = 5, .img_size = size, .set = set});
}

/// `theirs` of a filled model loads into another of the same settings.
inline void check_originals(const char* name, const Settings& set, std::span<const Rename> rows,
                            const char* one_of_theirs) {
  const auto filled = small(name, set), other = small(name, set);
  const StateDict own = filled_weights(*filled), theirs = rename(own, rows);
  REQUIRE(theirs.contains(one_of_theirs));
  REQUIRE_FALSE(own.contains(one_of_theirs));
  check_loads(*other, theirs, own);
}

}  // namespace fovea::zoo
