// SPDX-License-Identifier: Apache-2.0
// engine/graph/trace.h — trace(): runs ordinary code on tensors without bytes and writes down every op that it calls.
#pragma once
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/core/state_dict.h"
#include "engine/graph/graph.h"

namespace fovea {

/// A tensor that the traced code reads and may replace. While tracing, *tensor is the traced value; afterwards it is
/// what it was.
struct Slot {
  std::string name{};
  Tensor* tensor = nullptr;
};

struct TraceOptions {
  /// Become state of the graph: what a slot holds when the code returns is the slot's new value. With a model's
  /// parameters, buffers and an optimiser's moments as slots, forward, backward() and update are one graph.
  std::vector<Slot> state{};
  std::vector<std::string> input_names{};          // default: "input", or "input0", "input1", ...
  /// Names for constants that the code captures, found by identity. Others are named by the place of their first use
  /// ("conv1.w").
  const StateDict* names = nullptr;
};

/// What is traced: a function of its inputs.
struct Traceable {
  virtual ~Traceable() = default;
  virtual Tensors operator()(std::span<const Tensor> in) const = 0;
};

/// Every tensor that is not traced here is captured as a constant and kept alive, also one without bytes (compile()
/// wants them).
/// Reading a traced value throws. Gradients are as the caller has them: wrap inference in NoGrad. Traces on different
/// threads, and a trace inside a trace that uses none of the outer one's values, do not disturb each other.
Graph trace(const Traceable& f, std::span<const Meta> in, const TraceOptions& o = {});

/// f takes std::span<const Tensor>, or (for one input) const Tensor&; it returns Tensor or Tensors.
template <class F>
  requires(!std::is_base_of_v<Traceable, std::remove_cvref_t<F>>)
Graph trace(const F& f, std::span<const Meta> in, const TraceOptions& o = {}) {
  struct Borrows final : Traceable {
    explicit Borrows(const F& g) : f(g) {}
    Tensors operator()(std::span<const Tensor> x) const override {
      if constexpr (std::is_invocable_v<const F&, std::span<const Tensor>>) return list(f(x));
      else return list(f(x[0]));
    }
    static Tensors list(Tensors many) { return many; }
    static Tensors list(const Tensor& one) { return {one}; }
    const F& f;
  };
  return trace(static_cast<const Traceable&>(Borrows(f)), in, o);
}
template <class F>
Graph trace(const F& f, std::initializer_list<Meta> in, const TraceOptions& o = {}) {
  return trace(f, std::span(in.begin(), in.size()), o);
}

}  // namespace fovea
