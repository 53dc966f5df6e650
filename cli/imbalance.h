// SPDX-License-Identifier: Apache-2.0
// cli/imbalance.h — classes of which there are many more images than of others: seen, said, and what is done about it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cli/training_options.h"
#include "data/reader.h"

namespace fovea::cli {

struct ClassCounts {
  std::vector<int64_t> images;                     // of each class
  int64_t most = 0, fewest = 0;                    // fewest: of those that have any
  double ratio() const { return fewest > 0 ? static_cast<double>(most) / static_cast<double>(fewest) : 1; }
};
ClassCounts class_counts(const data::Reader& folder);

/// From this ratio on classes are called imbalanced; --head-only and recipes then balance them.
inline constexpr double kImbalanced = 3;

/// Of each class's images in the loss, as --class-weights says; empty: all alike. Says on stderr what it saw and did.
std::vector<double> class_weights(const TrainingOptions& o, const data::Reader& folder, int64_t classes);

}  // namespace fovea::cli
