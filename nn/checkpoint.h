// SPDX-License-Identifier: Apache-2.0
// nn/checkpoint.h — recomputing a part of a module, whatever its operands are.
#pragma once
#include "engine/autograd/autograd.h"
#include "nn/module.h"

namespace fovea {

/// checkpointed() for functions of several tensors: `run` calls `m` or what is below it, and nothing else that draws
/// random numbers or follows statistics.
Tensors checkpointed(Module& m, std::shared_ptr<const Segment> run, std::span<const Tensor> in);

template <class F>
Tensors checkpointed(Module& m, F f, std::span<const Tensor> in) {
  struct Holds final : Segment {
    explicit Holds(F g) : f(std::move(g)) {}
    Tensors operator()(std::span<const Tensor> x) const override { return f(x); }
    F f;
  };
  return checkpointed(m, std::shared_ptr<const Segment>(std::make_shared<Holds>(std::move(f))), in);
}

}  // namespace fovea
