// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/momentum.cpp — Lion, Adan, MARS: what the last gradients say of the next one.
#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

// https://arxiv.org/abs/2302.06675: the sign of an average, and another average to go on with.
class Lion final : public Rule {
 public:
  explicit Lion(Settings& s)
      : beta1_(s.beta(1, 0.9)), beta2_(s.beta(2, 0.99)), caution_(s.flag("caution")),
        corrected_(s.flag("corrected_weight_decay")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override { return {{"exp_avg", zeros_for(p)}}; }
  Tensor next(const Turn& t) const override {
    const Tensor d = cautious_if(caution_, sign(average(t.kept[0], t.g, beta1_)), t.g);
    t.kept[0] = average(t.kept[0], t.g, beta2_);
    return decayed(t.p, t.h, corrected_) - d * t.h.lr;
  }

 private:
  double beta1_, beta2_;
  bool caution_, corrected_;
};

// https://arxiv.org/abs/2208.06677: gradients and their differences.
class Adan final : public Rule {
 public:
  explicit Adan(Settings& s)
      : beta1_(s.beta(1, 0.98)), beta2_(s.beta(2, 0.92)), beta3_(s.beta(3, 0.99)), eps_(s.eps(1e-8)),
        no_prox_(s.flag("no_prox")), caution_(s.flag("caution")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_avg_sq", zeros_for(p)}, {"exp_avg_diff", zeros_for(p)},
            {"neg_pre_grad", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {where_greater(h.step, 1, 1, 0), h.lr / bias_correction(beta1_, h),
            h.lr * beta2_ / bias_correction(beta2_, h), sqrt(bias_correction(beta3_, h))};
  }
  Tensor next(const Turn& t) const override {
    const Tensor difference = (t.g + t.kept[3]) * t.shared[0];         // there is none in the first step
    t.kept[0] = average(t.kept[0], t.g, beta1_);
    t.kept[2] = average(t.kept[2], difference, beta2_);
    t.kept[1] = average(t.kept[1], square(difference * beta2_ + t.g), beta3_);
    t.kept[3] = -t.g;
    const Tensor size = sqrt(t.kept[1]) / t.shared[3] + eps_;
    const Tensor d = cautious_if(caution_, t.kept[0], t.g) / size * t.shared[1] + t.kept[2] / size * t.shared[2];
    if (t.h.weight_decay.is(0)) return t.p - d;
    return no_prox_ ? decayed(t.p, t.h) - d : (t.p - d) / (1 + t.h.lr * t.h.weight_decay);
  }

 private:
  double beta1_, beta2_, beta3_, eps_;
  bool no_prox_, caution_;
};

// https://arxiv.org/abs/2411.10438: matrices by gradients of less variance, all else by AdamW.
class Mars final : public Rule {
 public:
  explicit Mars(Settings& s)
      : beta1_(s.beta(1, 0.9)), beta2_(s.beta(2, 0.99)), eps_(s.eps(1e-8)), gamma_(s.get("gamma", 0.025)),
        flat_(s.flag("optimize_1d")), flat_lr_(s.get("lr_1d_factor", 1)), caution_(s.flag("caution")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    std::vector<Keeps> out{{"exp_avg", zeros_for(p)}, {"exp_avg_sq", zeros_for(p)}};
    if (by_difference(p)) out.push_back({"last_grad", zeros_for(p)});
    return out;
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {where_greater(h.step, 1, gamma_ * beta1_ / (1 - beta1_), 0), bias_correction(beta1_, h),
            sqrt(bias_correction(beta2_, h))};
  }
  Tensor next(const Turn& t) const override {
    const bool differences = by_difference(t.p);
    Tensor g = t.g;
    if (differences) {
      g = (t.g - t.kept[2]) * t.shared[0] + t.g;
      g = g / clamp_min(sqrt(sum(square(g))), 1);
      t.kept[2] = t.g;
    }
    t.kept[0] = average(t.kept[0], g, beta1_);
    t.kept[1] = average(t.kept[1], square(g), beta2_);
    const Tensor m = cautious_if(caution_, t.kept[0], t.g);
    const Tensor d = with_decay(m / t.shared[1] / (sqrt(t.kept[1]) / t.shared[2] + eps_), t.p, t.h);
    return t.p - d * (differences ? t.h.lr : t.h.lr * flat_lr_);
  }

 private:
  bool by_difference(const Tensor& p) const { return flat_ || p.rank() >= 2; }
  double beta1_, beta2_, eps_, gamma_;
  bool flat_;
  double flat_lr_;
  bool caution_;
};

// https://arxiv.org/abs/1907.08610
class Lookahead final : public Rule {
 public:
  Lookahead(RulePtr fast, double alpha, int k) : fast_(std::move(fast)), alpha_(alpha), k_(k) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper& h) const override {
    std::vector<Keeps> out = fast_->keeps(p, h);
    out.push_back({"lookahead_slow_buff", call1(ops::copy, {p}, CopyAttrs{p.meta().memory()})});
    return out;
  }
  // Behind those of the fast rule: whether it is time, and how far the slow weights go. The first time they begin.
  std::vector<Number> numbers(const Hyper& h) const override {
    std::vector<Number> out = fast_->numbers(h);
    out.push_back(where_greater(remainder(h.step, k_), 0, 0, 1));
    out.push_back(where_greater(h.step, k_, alpha_, 1));
    return out;
  }
  Tensor next(const Turn& t) const override {
    const size_t n = t.shared.size();
    Tensor& slow = t.kept.back();
    const Tensor p = fast_->next({t.p, t.g, t.kept.first(t.kept.size() - 1), t.h, t.shared.first(n - 2)});
    const Tensor time = greater(t.shared[n - 2].as(p), 0.5);
    slow = where(time, lerp(slow, p, t.shared[n - 1]), slow);
    return where(time, slow, p);
  }
  void prepare(std::span<Tensor> gradients) const override { fast_->prepare(gradients); }

 private:
  RulePtr fast_;
  double alpha_;
  int k_;
};

}  // namespace

RulePtr make_lion(Settings& s) { return std::make_shared<Lion>(s); }
RulePtr make_adan(Settings& s) { return std::make_shared<Adan>(s); }
RulePtr make_mars(Settings& s) { return std::make_shared<Mars>(s); }
RulePtr lookahead(RulePtr fast, double alpha, int k) {
  return std::make_shared<Lookahead>(std::move(fast), alpha, k);
}

}  // namespace fovea::train
