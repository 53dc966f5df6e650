// SPDX-License-Identifier: Apache-2.0
// train/ema.h — Ema: a model's weights and statistics, averaged over the steps that changed them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/core/state_dict.h"
#include "engine/graph/trace.h"
#include "nn/module.h"
#include "train/optim/number.h"

namespace fovea::train {

struct EmaOptions {
  double decay = 0.9999, min_decay = 0;
  int64_t update_after_step = 0;
  bool warmup = false;                             // the decay grows towards what is wanted
  double warmup_gamma = 1, warmup_power = 2.0 / 3;
};

class Ema {
 public:
  Ema(const Module& m, const EmaOptions& o = {});
  /// Of the so many-th update; 0 as long as the average only follows.
  double decay(int64_t step) const;
  /// After an update, with the decay as an operand.
  void update(const Number& decay);
  std::vector<Slot> state();                       // by the names of the model's state
  StateDict state_dict() const;                    // likewise

 private:
  struct Entry {
    std::string name;
    Parameter* of;
    Tensor value;
  };
  EmaOptions o_;
  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, size_t>> names_;      // all of them: a shared parameter has several
};

}  // namespace fovea::train
