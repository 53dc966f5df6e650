// SPDX-License-Identifier: Apache-2.0
// weights_tools/average.h — several weights of one model become their mean.
#pragma once
#include <string>

#include "engine/core/state_dict.h"

namespace fovea {

/// Takes weights one after the other; of all of them two are in memory at a time. Sums are f64.
class Average {
 public:
  /// Throws Error(weights) unless it has the tensors of those before it, in their shapes.
  void add(const StateDict& weights, const std::string& source);
  int count() const { return count_; }
  /// Floating tensors are in the dtype of the first weights, and finite where all theirs are; of whole numbers the
  /// mean is rounded down, and truth values are those of the last.
  StateDict mean() const;

 private:
  StateDict sums_, first_, last_;
  int count_ = 0;
};

}  // namespace fovea
