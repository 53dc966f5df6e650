// SPDX-License-Identifier: Apache-2.0
// train/optim/optimizer.h — Optimizer: groups of parameters, a rule, and what the rule keeps of each of them.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/autograd/autograd.h"
#include "engine/graph/trace.h"
#include "train/optim/groups.h"
#include "train/optim/rule.h"

namespace fovea::train {

/// Works on slots: a step puts new leaves into them, so the same code runs eagerly and under a tracer.
class Optimizer {
 public:
  Optimizer(RulePtr rule, std::vector<ParameterGroup> groups, double lr);
  Optimizer(RulePtr rule, Module& m, double lr, double weight_decay = 0);      // parameter_groups(), none spared

  double lr() const { return lr_; }
  void set_lr(double lr);                                 // of all groups, each by its scale
  std::vector<ParameterGroup>& groups() { return groups_; }   // weight_decay and lr_scale may be changed
  const Rule& rule() const { return *rule_; }
  int64_t steps() const;                                  // taken so far

  /// The rates and decays of all groups, f64[2 groups]: what step() takes as an operand.
  Tensor hyper() const;
  /// All parameters' values, group by group, and their names.
  Tensors leaves() const;
  std::vector<std::string> names() const;
  /// By one gradient a leaf; where there is none, the parameter stays as it is. Curvature where the rule wants it.
  void step(const Gradients& gradients, const Tensor& hyper, const Gradients& curvature = {});
  void step();                                            // by what backward(loss) left in grad(), and hyper()
  void zero_grad();
  /// One draw of signs a leaf, for Rule::wants_curvature().
  Tensors signs() const;
  void set_draws(std::shared_ptr<const Draws> draws) { draws_ = std::move(draws); }
  /// The step counter and what the rule keeps: "step", "exp_avg.blocks.0.weight".
  std::vector<Slot> state();

 private:
  struct ParameterState {                                 // a parameter and where its state begins
    std::shared_ptr<Parameter> parameter;
    size_t group, first;
  };

  static int64_t key_of(size_t place) { return static_cast<int64_t>(0x6F7074696D000000u + (place << 2)); }

  RulePtr rule_;
  std::shared_ptr<const Draws> draws_ = std::make_shared<Draws>();
  std::vector<ParameterGroup> groups_;
  double lr_, max_lr_;
  std::vector<bool> decays_;                              // by group: whether weight decay is an operand
  std::vector<ParameterState> places_;
  Tensor step_;                                           // i64[]
  std::vector<std::string> kept_names_;
  std::vector<Tensor> kept_;
};

}  // namespace fovea::train
