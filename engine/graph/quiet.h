// SPDX-License-Identifier: Apache-2.0
// engine/graph/quiet.h — Quiet: passes call ops on constants, which run now and leave no tape, whatever the caller is
// doing. Private to this folder.
#pragma once
#include "engine/core/eager.h"
#include "engine/core/node.h"

namespace fovea {

class Quiet {
 public:
  Quiet() : gradients_(grad_enabled()), use_(eager_) { set_grad_enabled(false); }
  ~Quiet() { set_grad_enabled(gradients_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  bool gradients_;
  Eager eager_;
  UseExecutor use_;
};

}  // namespace fovea
