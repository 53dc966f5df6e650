// SPDX-License-Identifier: Apache-2.0
// train/optim/rule.h — Rule: how a parameter follows its gradient, written with public ops.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "train/optim/number.h"

namespace fovea::train {

/// What a group's update depends on; the numbers are operands of a step, and so may change from one to the next.
struct Hyper {
  Number lr, weight_decay, step;                          // step: 1 in the first
  double max_lr = 0;                                      // the rate that the optimizer began with
  bool fallback = false;                                  // ParameterGroup::fallback
};

/// Something that a rule keeps of each parameter, and what it is before the first step.
struct Keeps {
  std::string name;                                       // "exp_avg", as PyTorch calls it
  Tensor first;
};

/// One parameter's turn.
struct Turn {
  const Tensor& p;
  Tensor g;
  std::span<Tensor> kept;                                 // as keeps() lists it; to be replaced
  const Hyper& h;
  std::span<const Number> shared;                         // Rule::numbers()
};

class Rule {
 public:
  virtual ~Rule() = default;
  virtual std::vector<Keeps> keeps(const Tensor& p, const Hyper& h) const = 0;
  /// What is the same for all parameters of a group, calculated once a step.
  virtual std::vector<Number> numbers(const Hyper& h) const { return (void)h, std::vector<Number>(); }
  /// The parameter's new value, without history.
  virtual Tensor next(const Turn& t) const = 0;
  /// What is done to all gradients before, such as a bound on their common norm.
  virtual void prepare(std::span<Tensor> gradients) const { (void)gradients; }
};
using RulePtr = std::shared_ptr<const Rule>;

}  // namespace fovea::train
