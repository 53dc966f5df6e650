// SPDX-License-Identifier: Apache-2.0
// zoo/levels.cpp — checking and counting levels.
#include "zoo/levels.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "engine/core/error.h"

namespace fovea::zoo {

Levels wanted_levels(const std::vector<int>& indices, int last, int count, const std::string& model) {
  Levels w;
  if (last < 0 || last > count)
    throw Error(Error::Kind::argument,
                cat("the last ", last, " feature levels of ", model, " are wanted, but it has ", count));
  if (!indices.empty()) {
    for (const int i : indices) {
      if (i < -count || i >= count)
        throw Error(Error::Kind::argument, cat("feature level ", i, " of ", model, " is wanted, but it has ", count),
                    cat("levels go from 0 to ", count - 1, ", or from -", count, " to -1"));
      w.order.push_back(i < 0 ? i + count : i);
    }
  } else {
    for (int i = last ? count - last : 0; i < count; ++i) w.order.push_back(i);
  }
  w.sorted = w.order;
  std::ranges::sort(w.sorted);
  w.sorted.erase(std::unique(w.sorted.begin(), w.sorted.end()), w.sorted.end());
  return w;
}

std::vector<int> usual_levels(int default_levels, int count) {
  if (default_levels > kLastOfEach) {
    const int parts = default_levels - kLastOfEach;
    std::vector<int> levels;
    for (int i = 1; i <= parts; ++i) levels.push_back(i * count / parts - 1);
    return levels;
  }
  const int n = default_levels == 0 ? count : std::min(count, std::abs(default_levels));
  std::vector<int> levels(static_cast<size_t>(n));
  std::iota(levels.begin(), levels.end(), default_levels < 0 ? 0 : count - n);
  return levels;
}

}  // namespace fovea::zoo
