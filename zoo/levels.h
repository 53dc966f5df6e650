// SPDX-License-Identifier: Apache-2.0
// zoo/levels.h — feature levels as callers name them: some, counted from either end, or the last ones.
#pragma once
#include <string>
#include <vector>

namespace fovea::zoo {

/// Levels counted from the first: as they were wanted, and the same ascending without repeats.
struct Levels {
  std::vector<int> order, sorted;
};

/// `indices`, or without any the `last` levels, or all of `count`. Throws Error(argument) for those that `model` lacks.
Levels wanted_levels(const std::vector<int>& indices, int last, int count, const std::string& model);

inline constexpr int kLastOfEach = 1 << 16;
/// For default_levels(): the last level of each of so many equal parts, as models of parallel branches have them.
constexpr int last_of_each(int parts) { return kLastOfEach + parts; }

/// Those of ImageModel::default_levels() of a model that has `count`: the last so many, negative: the first, 0: all.
std::vector<int> usual_levels(int default_levels, int count);

}  // namespace fovea::zoo
