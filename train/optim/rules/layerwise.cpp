// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/layerwise.cpp — LAMB and LARS: each weight's update in proportion to the weight.
#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

// The ratio, or 1 where one of the norms is nothing.
Tensor where_both(const Tensor& weight, const Tensor& update, const Tensor& ratio) {
  const Tensor both = logical_and(greater(weight, 0.0), greater(update, 0.0));
  return where(both, ratio, scalar(1, ratio));
}
Tensor whole_norm(const Tensor& x) { return sqrt(sum(square(x))); }

class Lamb final : public Rule {
 public:
  explicit Lamb(Settings& s)
      : beta1_(s.beta(1, 0.9)), beta2_(s.beta(2, 0.999)), eps_(s.eps(1e-6)), bound_(s.get("max_grad_norm", 1)),
        correct_(s.flag("bias_correction", true)), averaging_(s.flag("grad_averaging", true)),
        clip_(s.flag("trust_clip")), always_(s.flag("always_adapt")), caution_(s.flag("caution")),
        decoupled_(s.flag("decoupled_decay")), corrected_(s.flag("corrected_weight_decay")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_avg_sq", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    if (!correct_) return {1, 1};
    return {bias_correction(beta1_, h), sqrt(bias_correction(beta2_, h))};
  }
  // The common norm of all gradients is bounded; 0: it is not.
  void prepare(std::span<Tensor> gradients) const override {
    if (bound_ == 0) return;
    Tensor total;
    for (const Tensor& g : gradients)
      if (g) total = total ? total + cast(sum(square(g)), DType::f64) : cast(sum(square(g)), DType::f64);
    if (!total) return;
    const Number by(clamp_min(sqrt(total) / bound_, 1));
    for (Tensor& g : gradients)
      if (g) g = g / by;
  }
  Tensor next(const Turn& t) const override {
    t.kept[0] = averaging_ ? average(t.kept[0], t.g, beta1_) : t.kept[0] * beta1_ + t.g;
    t.kept[1] = average(t.kept[1], square(t.g), beta2_);
    Tensor d = t.kept[0] / t.shared[0] / (sqrt(t.kept[1]) / t.shared[1] + eps_);
    d = cautious_if(caution_, d, t.g);
    const bool decays = !t.h.weight_decay.is(0);
    const Tensor p = decoupled_ ? decayed(t.p, t.h, corrected_) : t.p;
    if (!decoupled_) d = with_decay(d, p, t.h);
    if (decays || always_) {
      const Tensor weight = whole_norm(p), length = whole_norm(d);
      Tensor ratio = where_both(weight, length, weight / length);
      if (clip_) ratio = minimum(ratio, scalar(1, ratio));
      d = d * ratio;
    }
    return p - d * t.h.lr;
  }

 private:
  double beta1_, beta2_, eps_, bound_;
  bool correct_, averaging_, clip_, always_, caution_, decoupled_, corrected_;
};

class Lars final : public Rule {
 public:
  explicit Lars(Settings& s)
      : momentum_(s.get("momentum", 0.9)), dampening_(s.get("dampening", 0)), nesterov_(s.flag("nesterov")),
        trust_(s.get("trust_coeff", 0.001)), eps_(s.eps(1e-8)), clip_(s.flag("trust_clip")),
        always_(s.flag("always_adapt")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    if (momentum_ == 0) return {};
    return {{"momentum_buffer", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {where_greater(h.step, 1, 1 - dampening_, 1)};
  }
  Tensor next(const Turn& t) const override {
    Tensor d = t.g;
    if (!t.h.weight_decay.is(0) || always_) {
      const Tensor weight = whole_norm(t.p), length = whole_norm(t.g);
      Tensor ratio = where_both(weight, length,
                                weight * trust_ / (length + weight * t.h.weight_decay + eps_));
      if (clip_) ratio = minimum(ratio / t.h.lr, scalar(1, ratio));
      d = with_decay(t.g, t.p, t.h) * ratio;
    }
    if (momentum_ != 0) {
      const Tensor v = t.kept[0] * momentum_ + (dampening_ == 0 ? d : d * t.shared[0]);
      d = nesterov_ ? d + v * momentum_ : v;
      t.kept[0] = v;
    }
    return t.p - d * t.h.lr;
  }

 private:
  double momentum_, dampening_;
  bool nesterov_;
  double trust_, eps_;
  bool clip_, always_;
};

}  // namespace

RulePtr make_lamb(Settings& s) { return std::make_shared<Lamb>(s); }
RulePtr make_lars(Settings& s) { return std::make_shared<Lars>(s); }

}  // namespace fovea::train
