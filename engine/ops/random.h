// SPDX-License-Identifier: Apache-2.0
// engine/ops/random.h — UseRandomStep: the same keys give other numbers at each step.
#pragma once
#include "engine/core/tensor.h"

namespace fovea {

/// While alive, on this thread, what random ops draw depends on `step`, i64[], as well as on their key. As an operand
/// it may be another one in each run of a graph, where keys are attributes. Absent: as without this, which is step 0.
class UseRandomStep {
 public:
  explicit UseRandomStep(Tensor step);
  ~UseRandomStep();
  UseRandomStep(const UseRandomStep&) = delete;
  UseRandomStep& operator=(const UseRandomStep&) = delete;

 private:
  Tensor step_;
  const Tensor* before_;
};
Tensor random_step();                              // the current one; absent where there is none

}  // namespace fovea
