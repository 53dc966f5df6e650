// SPDX-License-Identifier: Apache-2.0
#include "train/mistakes.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/core/error.h"

namespace fovea::train {

void Mistakes::add(const Tensor& logits, std::span<const int64_t> labels, std::span<const size_t> samples) {
  const std::span<const float> values = logits.data<float>();
  const auto width = static_cast<size_t>(logits.dim(1));
  if (width < classes_ || labels.size() != samples.size() || values.size() != labels.size() * width)
    throw Error(Error::Kind::argument, str_cat("answers ", to_string(logits.shape()), " about ", labels.size(),
                                               " images of ", classes_, " classes"));
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = values.subspan(i * width, classes_);
    const auto is = static_cast<size_t>(labels[i]);
    if (labels[i] < 0 || is >= classes_)
      throw Error(Error::Kind::argument, str_cat("an image of class ", labels[i], " of ", classes_));
    const auto said = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    ++counts_[is * classes_ + said];
    ++images_;
    if (said == is) continue;
    double sum = 0;
    for (const float v : row) sum += std::exp(static_cast<double>(v - row[said]));
    const One one{samples[i], labels[i], static_cast<int64_t>(said),
                  std::log(sum) + static_cast<double>(row[said] - row[is]), 1 / sum};
    const auto at = std::ranges::upper_bound(worst_, one.loss, std::greater<>(), &One::loss);
    if (static_cast<size_t>(at - worst_.begin()) >= most_) continue;
    worst_.insert(at, one);
    if (worst_.size() > most_) worst_.pop_back();
  }
}

Mistakes::Figures Mistakes::figures(size_t of) const {
  Figures f;
  for (size_t other = 0; other < classes_; ++other) f.is += count(of, other), f.said += count(other, of);
  f.both = count(of, of);
  return f;
}

size_t Mistakes::taken_for(size_t of) const {
  size_t best = of;
  for (size_t other = 0; other < classes_; ++other)
    if (other != of && count(of, other) > (best == of ? 0 : count(of, best))) best = other;
  return best;
}

}  // namespace fovea::train
