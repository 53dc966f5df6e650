// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/common.h — what the rules share, and how each is made of settings.
#pragma once
#include <set>
#include <string>

#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "train/optim/rule.h"
#include "train/optim/rules.h"

namespace fovea::train {

/// Settings on their way into a rule, which says what they are when they are not given.
class Settings {
 public:
  explicit Settings(const RuleSettings& given) : given_(given) {}
  double get(const std::string& name, double otherwise, double least = 0, double most = kNoBound);
  bool flag(const std::string& name, bool otherwise = false) { return get(name, otherwise, 0, 1) != 0; }
  /// beta1 and so on, each in [0, 1).
  double beta(int i, double otherwise);
  double eps(double otherwise) { return get("eps", otherwise); }
  const std::set<std::string>& known() const { return known_; }

 private:
  static constexpr double kNoBound = 1e300;
  const RuleSettings& given_;
  std::set<std::string> known_;
};

/// p (1 - rate weight_decay): the rate is lr, or lr^2 / max_lr where decay is corrected for the schedule.
Tensor decayed(const Tensor& p, const Hyper& h, bool corrected = false);
Tensor with_decay(const Tensor& g, const Tensor& p, const Hyper& h);   // g + weight_decay p
/// The part of the update whose sign is the gradient's, scaled up for what is left out:
/// https://arxiv.org/abs/2411.16085
Tensor cautious(const Tensor& update, const Tensor& g);
inline Tensor cautious_if(bool on, const Tensor& update, const Tensor& g) { return on ? cautious(update, g) : update; }
/// decay x + (1 - decay) y
Tensor average(const Tensor& x, const Tensor& y, double decay);
Tensor zeros_for(const Tensor& p);
/// 1 - beta^step
Number bias_correction(double beta, const Hyper& h);

// One function a rule, in a file of rules/.
RulePtr make_sgd(Settings& s);
RulePtr make_sgdw(Settings& s);
RulePtr make_sgdp(Settings& s);
RulePtr make_adam(Settings& s);
RulePtr make_adamw(Settings& s);
RulePtr make_nadamw(Settings& s);
RulePtr make_nadam(Settings& s);
RulePtr make_radam(Settings& s);
RulePtr make_adamax(Settings& s);
RulePtr make_adabelief(Settings& s);
RulePtr make_adamp(Settings& s);
RulePtr make_adagrad(Settings& s);
RulePtr make_adadelta(Settings& s);
RulePtr make_rmsprop(Settings& s);
RulePtr make_rmsprop_tf(Settings& s);
RulePtr make_lamb(Settings& s);
RulePtr make_lars(Settings& s);
RulePtr make_lion(Settings& s);
RulePtr make_adafactor(Settings& s);
RulePtr make_adafactor_big_vision(Settings& s);
RulePtr make_adan(Settings& s);
RulePtr make_adopt(Settings& s);
RulePtr make_laprop(Settings& s);
RulePtr make_madgrad(Settings& s);
RulePtr make_mars(Settings& s);
RulePtr make_novograd(Settings& s);
RulePtr make_muon(Settings& s);
/// Every k steps the parameters go back, part of the way, to where they were k steps ago.
RulePtr lookahead(RulePtr fast, double alpha = 0.5, int k = 6);

}  // namespace fovea::train
