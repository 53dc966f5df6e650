// SPDX-License-Identifier: Apache-2.0
#include "train/folds.h"

#include <algorithm>
#include <cmath>

#include "data/loader.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {

std::vector<int> stratified_folds(std::span<const int64_t> labels, int folds, uint64_t seed) {
  if (folds < 2 || labels.size() < static_cast<size_t>(folds))
    throw Error(Error::Kind::argument, str_cat(folds, " folds of ", labels.size(), " images"),
                "at least 2 folds, and an image for each");
  std::vector<size_t> order = data::shuffled(labels.size(), seed);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return labels[a] < labels[b]; });
  std::vector<int> out(labels.size());
  for (size_t i = 0; i < order.size(); ++i) out[order[i]] = static_cast<int>(i % static_cast<size_t>(folds));
  return out;
}

FoldScores cross_validate(const Tensor& features, std::span<const int64_t> labels, int64_t classes,
                          const LogisticOptions& o, std::span<const int> folds) {
  const int count = 1 + *std::max_element(folds.begin(), folds.end());
  FoldScores out;
  for (int fold = 0; fold < count; ++fold) {
    std::vector<int64_t> inside, outside, learnt, asked;
    for (size_t i = 0; i < folds.size(); ++i) {
      const bool left_out = folds[i] == fold;
      (left_out ? outside : inside).push_back(static_cast<int64_t>(i));
      (left_out ? asked : learnt).push_back(labels[i]);
    }
    const auto rows = [&](const std::vector<int64_t>& which) {
      return index_select(features, 0, from<int64_t>(which, {static_cast<int64_t>(which.size())}));
    };
    const LogisticFit fit = fit_logistic(rows(inside), learnt, classes, o);
    out.accuracies.push_back(accuracy(logits_of(fit, rows(outside)), asked));
    out.mean += out.accuracies.back() / count;
  }
  for (const double a : out.accuracies) out.deviation += (a - out.mean) * (a - out.mean) / count;
  out.deviation = std::sqrt(out.deviation);
  return out;
}

Strength best_strength(const Tensor& features, std::span<const int64_t> labels, int64_t classes, LogisticOptions o,
                       std::span<const int> folds, std::span<const double> strengths) {
  Strength best;
  for (const double l2 : strengths) {
    o.l2 = l2;
    FoldScores scores = cross_validate(features, labels, classes, o, folds);
    const bool better = best.scores.accuracies.empty() || scores.mean > best.scores.mean ||
                        (scores.mean == best.scores.mean && l2 > best.l2);
    if (better) best = {l2, std::move(scores)};
  }
  return best;
}

std::vector<double> balanced_weights(std::span<const int64_t> labels, int64_t classes) {
  std::vector<double> out(static_cast<size_t>(classes));
  for (const int64_t label : labels) {
    if (label < 0 || label >= classes)
      throw Error(Error::Kind::argument, str_cat("a label ", label, " of ", classes, " classes"));
    out[static_cast<size_t>(label)] += 1;
  }
  for (double& n : out)
    if (n > 0) n = static_cast<double>(labels.size()) / (static_cast<double>(classes) * n);
  return out;
}

}  // namespace fovea::train
