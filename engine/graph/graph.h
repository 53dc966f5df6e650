// SPDX-License-Identifier: Apache-2.0
// engine/graph/graph.h — Graph: a computation written down as values and steps, which passes rewrite and a Session
// runs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/op.h"

namespace fovea {

/// One value: what a step makes, an input, a state slot, or a constant.
struct Value {
  Meta meta;
  Tensor constant;                                 // present: this value never changes
  std::string name;                                // "image", "conv_stem.weight"; empty for what steps make
};

/// One use of an op. Views are steps like the others.
struct Step {
  const OpDef* op = nullptr;
  Attrs attrs;
  std::vector<int> in;                             // numbers of values; -1: the operand was not given
  std::vector<int> out;
  std::string scope;                               // the module path where it was traced
};

/// A value that a run reads and replaces: a parameter in training, a running mean, an optimiser's momentum.
struct State {
  std::string name;
  int in = -1;                                     // its value before the run ...
  int out = -1;                                    // ... and after it; equal when nothing changes it
  Tensor initial;                                  // what the slot held when it was traced
};

/// Where a value lives while a Session runs; written by the `memory` pass.
struct Place {
  enum class Kind : uint8_t { none, arena, input, state, constant };
  Kind kind = Kind::none;
  int index = 0;                                   // which input, state slot or constant value; 0 for the arena
  int64_t offset = 0;                              // bytes from the start of that
};

struct Graph {
  std::vector<Value> values;
  std::vector<Step> steps;                         // a step stands behind those that make its operands
  std::vector<int> inputs, outputs;
  std::vector<State> state;
  std::vector<Place> places;                       // one per value once planned, else empty
  int64_t arena_bytes = 0;

  int add_value(const Meta& m, std::string name = {});
  int add_constant(const Tensor& t, std::string name = {});
  /// Adds a step in front of steps[at], infers its results as new values and returns the first. Errors name the step.
  int insert_step(size_t at, Step step);
  bool is_constant(int value) const {
    return value >= 0 && static_cast<bool>(values[static_cast<size_t>(value)].constant);
  }
  const Meta& meta(int value) const;               // of an operand; !present() for -1

  /// For every value: how many operands, outputs and state results name it.
  std::vector<int> use_counts() const;
  /// For every value: the step that makes it, or -1.
  std::vector<int> makers() const;
  /// Every later use of `before` (operands, outputs, state) becomes a use of `after`.
  void replace_uses(int before, int after);
  /// Drops the steps and constants that nothing needs, and numbers values in the order in which they are made.
  void remove_dead();

  /// Throws Error(internal) that names the first step or value that is wrong: an operand used before it is made, metas
  /// that are not what infer says, numbers out of range.
  void verify() const;
  /// One line an input, a state slot, a step: "%12: f32[1, 32, 112, 112] = conv(%3, %4 conv_stem.weight) stride=[2, 2]
  /// at conv_stem".
  std::string print() const;
};

/// A step's Site together with the metas that it borrows.
struct StepSite {
  StepSite(const Graph& g, const Step& s);
  Site site() const { return {op, in, out, attrs, constant}; }

  const OpDef& op;
  AttrsRef attrs;
  Metas in, out;
  uint32_t constant = 0;
};
/// What op->infer says about a step's results. Errors name the step's scope.
Metas infer_step(const Graph& g, const Step& s);

}  // namespace fovea
