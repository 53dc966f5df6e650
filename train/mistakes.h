// SPDX-License-Identifier: Apache-2.0
// train/mistakes.h — what a classifier takes for what, and the images that it is furthest from the truth about.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::train {

/// A confusion matrix and the worst mistakes, of answers that come batch by batch.
class Mistakes {
 public:
  explicit Mistakes(size_t classes, size_t worst = 24) : classes_(classes), most_(worst), counts_(classes * classes) {}
  /// Logits f32[N, C], N classes, and the numbers of the images in their folder. Throws Error(argument) for classes
  /// that there are not.
  void add(const Tensor& logits, std::span<const int64_t> labels, std::span<const size_t> samples);

  struct One {
    size_t sample = 0;
    int64_t is = 0, said = 0;
    double loss = 0, chance = 0;                   // cross entropy; the probability of what was said
  };
  const std::vector<One>& worst() const { return worst_; }         // wrong answers, the largest loss first
  int64_t count(size_t is, size_t said) const { return counts_[is * classes_ + said]; }
  size_t classes() const { return classes_; }
  int64_t images() const { return images_; }
  /// Of a class, as shares: of what was said to be it, what is; of what is, what was said; their harmonic mean. 0 where
  /// there is nothing.
  struct Figures {
    int64_t is = 0, said = 0, both = 0;
    double precision() const { return said > 0 ? static_cast<double>(both) / static_cast<double>(said) : 0; }
    double recall() const { return is > 0 ? static_cast<double>(both) / static_cast<double>(is) : 0; }
    double f1() const { return is + said > 0 ? 2.0 * static_cast<double>(both) / static_cast<double>(is + said) : 0; }
  };
  Figures figures(size_t of) const;
  /// The class that images of this one are taken for most often; the class itself where none is.
  size_t taken_for(size_t of) const;

 private:
  size_t classes_, most_;
  std::vector<int64_t> counts_;
  std::vector<One> worst_;
  int64_t images_ = 0;
};

}  // namespace fovea::train
