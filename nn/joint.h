// SPDX-License-Identifier: Apache-2.0
// nn/joint.h — Joint: a module of several operands and results, such as parallel branches that exchange what they have.
#pragma once
#include <span>

#include "nn/module.h"

namespace fovea {

class Joint : public Module {
 public:
  Tensors operator()(std::span<const Tensor> x);  // enters this module's scope, then pass()

 protected:
  virtual Tensors pass(std::span<const Tensor> x) = 0;
};

/// As checkpointed() of a plain module.
Tensors checkpointed(Joint& m, std::span<const Tensor> x);

}  // namespace fovea
