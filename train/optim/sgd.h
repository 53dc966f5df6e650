// SPDX-License-Identifier: Apache-2.0
// train/optim/sgd.h — stochastic gradient descent with momentum, PyTorch's update rule.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::train {

struct SGDOptions {
  double lr = 0.1, momentum = 0, weight_decay = 0;
  bool nesterov = false;
};

/// d = g + weight_decay p;  v = momentum v + d;  p -= lr (nesterov ? d + momentum v : v).
/// Works on slots: a step puts new leaves into them, so the same code runs eagerly and under a tracer.
class SGD {
 public:
  SGD(std::vector<Tensor*> parameters, const SGDOptions& options);
  void step();                                     // parameters without a gradient stay as they are
  void zero_grad();
  std::vector<Tensor*> state();                    // the momentum buffers, in the order of the parameters

 private:
  std::vector<Tensor*> parameters_;
  std::vector<Tensor> momentum_;
  SGDOptions options_;
};

}  // namespace fovea::train
