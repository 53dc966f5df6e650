// SPDX-License-Identifier: Apache-2.0
// train/step.h — one step of training a classifier: eagerly, or forward, backward and update as one compiled graph.
#pragma once
#include <cstdint>

#include "engine/graph/session.h"
#include "nn/module.h"
#include "train/optim/sgd.h"

namespace fovea::train {

/// Mean cross entropy of the model's logits, backward, update. `targets` i64[N]. Returns the loss from before the
/// update.
double eager_step(Module& model, SGD& optimizer, const Tensor& images, const Tensor& targets);

/// The same step, traced once for these shapes. Parameters, running statistics and momentum live in the session while
/// it is used.
/// Layers that draw random numbers repeat those of the traced step: their keys are part of the graph.
class CompiledStep {
 public:
  CompiledStep(Module& model, SGD& optimizer, const Meta& images, const Meta& targets, const Target& target = {});
  double operator()(const Tensor& images, const Tensor& targets);
  void store();                                    // puts the session's state back into the model and the optimizer
  Session& session() { return session_; }

 private:
  std::vector<std::pair<std::string, Tensor*>> slots_;
  Session session_;
};

}  // namespace fovea::train
