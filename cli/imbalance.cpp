// SPDX-License-Identifier: Apache-2.0
#include "cli/imbalance.h"

#include <algorithm>

#include "cli/common.h"
#include "engine/core/text.h"
#include "train/folds.h"

namespace fovea::cli {

ClassCounts class_counts(const data::Reader& folder) {
  ClassCounts out;
  out.images.resize(folder.classes().size());
  for (size_t i = 0; i < folder.size(); ++i)
    for (const int64_t label : folder.labels(i)) ++out.images[static_cast<size_t>(label)];
  for (const int64_t n : out.images) {
    out.most = std::max(out.most, n);
    if (n > 0 && (out.fewest == 0 || n < out.fewest)) out.fewest = n;
  }
  return out;
}

std::vector<double> class_weights(const TrainingOptions& o, const data::Reader& folder, int64_t classes) {
  const ClassCounts counts = class_counts(folder);
  const bool uneven = counts.ratio() >= kImbalanced;
  const bool balances = o.class_weights == "balanced" || (o.class_weights == "auto" && uneven && o.head_only);
  if (uneven) {
    const auto class_of = [&](int64_t images) {
      return folder.classes()[static_cast<size_t>(std::ranges::find(counts.images, images) - counts.images.begin())];
    };
    const char* done = balances ? "; their losses are weighted, so that all classes count alike"
                                : "; --class-weights balanced lets all classes count alike";
    tell(str_cat("classes are imbalanced: ", counts.most, " images of ", class_of(counts.most), ", ", counts.fewest,
                 " of ", class_of(counts.fewest), done));
  }
  if (!balances || folder.multi_label()) return {};
  std::vector<int64_t> labels;
  for (size_t i = 0; i < folder.size(); ++i) labels.push_back(folder.label(i));
  return train::balanced_weights(labels, classes);
}

}  // namespace fovea::cli
