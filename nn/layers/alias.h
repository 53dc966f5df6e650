// SPDX-License-Identifier: Apache-2.0
// nn/layers/alias.h — Alias: the layers of another module under a second name.
#pragma once
#include "nn/module.h"

namespace fovea {

/// Shares the parameters of a module, which has to stay, and does what it does.
class Alias final : public Module {
 public:
  explicit Alias(Module& of);
  Tensor forward(const Tensor& x) override { return of_->vacant() ? x : (*of_)(x); }

 private:
  Module* of_;
};

}  // namespace fovea
