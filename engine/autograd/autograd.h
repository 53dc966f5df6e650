// SPDX-License-Identifier: Apache-2.0
// engine/autograd/autograd.h — gradients: backward(), grad(), NoGrad and checkpoint().
#pragma once
#include <memory>
#include <span>

#include "engine/core/tensor.h"

namespace fovea {

/// Adds d(loss)/d(leaf) to leaf.grad() of every leaf that requires gradients. `loss` has one element unless `seed`
/// gives its gradient.
/// With create_graph the gradients carry history and can be differentiated again.
void backward(const Tensor& loss, const Tensor& seed = {}, bool create_graph = false);

/// One gradient a leaf; absent where the loss does not depend on it.
using Gradients = Tensors;
/// d(loss)/d(leaf) of these leaves, in their order, and lying as they do. Their grad() stays as it is, so that
/// gradients are values like others: they may be part of a graph, or of its state.
Gradients backward(const Tensor& loss, std::span<const Tensor> leaves);

/// d(outputs)/d(inputs), one per input (zeros where nothing depends on it); leaves' grad() stays as it is.
Tensors grad(std::span<const Tensor> outputs, std::span<const Tensor> inputs, std::span<const Tensor> seeds = {},
             bool create_graph = false);

/// While alive, on this thread, ops leave no tape.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// What checkpoint() runs: a segment as a function of its operands. Everything else it reads (parameters) keeps its own
/// history.
struct Segment {
  virtual ~Segment() = default;
  virtual Tensors operator()(std::span<const Tensor> in) const = 0;
};
/// Runs the segment without keeping its inner values and runs it again in the backward pass. Random ops draw the same
/// numbers: their keys are attributes, and the step (engine/ops/random.h) is the one of the first time.
Tensors checkpoint(std::shared_ptr<const Segment> segment, std::span<const Tensor> in);

template <class F>
Tensors checkpoint(F f, std::span<const Tensor> in) {
  struct Holds final : Segment {
    explicit Holds(F g) : f(std::move(g)) {}
    Tensors operator()(std::span<const Tensor> x) const override { return f(x); }
    F f;
  };
  return checkpoint(std::shared_ptr<const Segment>(std::make_shared<Holds>(std::move(f))), in);
}

}  // namespace fovea
