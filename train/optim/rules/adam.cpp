// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/adam.cpp — Adam and those that differ from it in how the two averages are read.
#include "train/optim/rules/common.h"
#include "train/optim/rules/projection.h"

namespace fovea::train {
namespace {

// Two running averages: of the gradient and of its square.
class Averages : public Rule {
 public:
  explicit Averages(Settings& s, double eps = 1e-8, double beta1 = 0.9, double beta2 = 0.999)
      : beta1_(s.beta(1, beta1)), beta2_(s.beta(2, beta2)), eps_(s.eps(eps)) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_avg_sq", zeros_for(p)}};
  }

 protected:
  void follow(const Turn& t, const Tensor& g) const {
    t.kept[0] = average(t.kept[0], g, beta1_);
    t.kept[1] = average(t.kept[1], square(g), beta2_);
  }
  double beta1_, beta2_, eps_;
};

struct AdamKind {
  bool decoupled = false, nesterov = false;
};

class Adam final : public Averages {
 public:
  Adam(Settings& s, AdamKind kind) : Averages(s), kind_(kind) {
    if (!kind.decoupled) return;
    caution_ = s.flag("caution");
    corrected_ = s.flag("corrected_weight_decay");
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {h.lr / bias_correction(beta1_, h), sqrt(bias_correction(beta2_, h))};
  }
  Tensor next(const Turn& t) const override {
    const Tensor g = kind_.decoupled ? t.g : with_decay(t.g, t.p, t.h);
    follow(t, g);
    Tensor m = t.kept[0];
    if (kind_.nesterov) m = average(m, g, beta1_);
    m = cautious_if(caution_, m, g);
    const Tensor p = kind_.decoupled ? decayed(t.p, t.h, corrected_) : t.p;
    return p - m / (sqrt(t.kept[1]) / t.shared[1] + eps_) * t.shared[0];
  }

 private:
  AdamKind kind_;
  bool caution_ = false, corrected_ = false;
};

// Nesterov's momentum with a schedule of its own; decay is part of the gradient.
class Nadam final : public Averages {
 public:
  explicit Nadam(Settings& s) : Averages(s), schedule_(s.get("momentum_decay", 4e-3)) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper& h) const override {
    std::vector<Keeps> out = Averages::keeps(p, h);
    out.push_back({"mu_product", scalar(1, DType::f64, p.device())});
    return out;
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {momentum(h.step), momentum(h.step + 1), sqrt(bias_correction(beta2_, h))};
  }
  Tensor next(const Turn& t) const override {
    const Tensor g = with_decay(t.g, t.p, t.h);
    follow(t, g);
    const Number &now = t.shared[0], &soon = t.shared[1];
    const Number product = Number(t.kept[2]) * now;
    t.kept[2] = product.as(t.kept[2]);
    const Tensor size = sqrt(t.kept[1]) / t.shared[2] + eps_;
    return t.p - g / size * (t.h.lr * (1 - now) / (1 - product)) -
           t.kept[0] / size * (t.h.lr * soon / (1 - product * soon));
  }

 private:
  Number momentum(const Number& step) const { return beta1_ * (1 - 0.5 * pow(0.96, step * schedule_)); }
  double schedule_;
};

// https://arxiv.org/abs/1908.03265: as long as the second average says little, it is left out.
class Radam final : public Averages {
 public:
  explicit Radam(Settings& s) : Averages(s), decoupled_(s.flag("decoupled_weight_decay")) {}
  std::vector<Number> numbers(const Hyper& h) const override {
    const Number length = rectified_length(h, beta2_);
    return {h.lr / bias_correction(beta1_, h), where_greater(length, 5, 1, 0),
            rectification(length, beta2_) * sqrt(bias_correction(beta2_, h))};
  }
  Tensor next(const Turn& t) const override {
    const Tensor g = decoupled_ ? t.g : with_decay(t.g, t.p, t.h);
    follow(t, g);
    const Tensor p = decoupled_ ? decayed(t.p, t.h) : t.p;
    const Tensor m = t.kept[0] * t.shared[0];
    const Tensor adapted = m / (sqrt(t.kept[1]) + eps_) * t.shared[2];
    return p - where(greater(t.shared[1].as(p), 0.5), adapted, m);
  }

  static Number rectified_length(const Hyper& h, double beta2) {
    const Number power = pow(beta2, h.step);
    return 2 / (1 - beta2) - 1 - 2 * h.step * power / (1 - power);
  }
  static Number rectification(const Number& length, double beta2) {
    const double most = 2 / (1 - beta2) - 1;
    const Number safe = maximum(length, 4.0);      // what is less is not looked at
    return sqrt((safe - 4) * (safe - 2) * most / ((most - 4) * (most - 2) * safe));
  }

 private:
  bool decoupled_;
};

class Adamax final : public Averages {
 public:
  explicit Adamax(Settings& s) : Averages(s) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_inf", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override { return {h.lr / bias_correction(beta1_, h)}; }
  Tensor next(const Turn& t) const override {
    const Tensor g = with_decay(t.g, t.p, t.h);
    t.kept[0] = average(t.kept[0], g, beta1_);
    t.kept[1] = maximum(t.kept[1] * beta2_, abs(g) + eps_);
    return t.p - t.kept[0] / t.kept[1] * t.shared[0];
  }
};

// https://arxiv.org/abs/2010.07468: the second average is of how far gradients are from the first.
class AdaBelief final : public Averages {
 public:
  explicit AdaBelief(Settings& s)
      : Averages(s, 1e-16), decoupled_(s.flag("decoupled_decay", true)), fixed_(s.flag("fixed_decay")),
        rectify_(s.flag("rectify", true)), sgd_(s.flag("degenerated_to_sgd", true)) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_avg_var", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    const Number rate = h.lr / bias_correction(beta1_, h), second = sqrt(bias_correction(beta2_, h));
    if (!rectify_) return {rate, second};
    const Number length = Radam::rectified_length(h, beta2_);
    return {rate, second, where_greater(length, 5, 1, 0),
            Radam::rectification(length, beta2_) * second};
  }
  Tensor next(const Turn& t) const override {
    const Tensor g = decoupled_ ? t.g : with_decay(t.g, t.p, t.h);
    t.kept[0] = average(t.kept[0], g, beta1_);
    t.kept[1] = average(t.kept[1], square(g - t.kept[0]), beta2_) + eps_;
    Tensor p = t.p;
    if (decoupled_ && !t.h.weight_decay.is(0)) p = fixed_ ? p * (1 - t.h.weight_decay) : decayed(p, t.h);
    const Tensor m = t.kept[0] * t.shared[0], size = sqrt(t.kept[1]);
    if (!rectify_) return p - m / (size / t.shared[1] + eps_);
    const Tensor adapted = m / (size + eps_) * t.shared[3];
    return p - where(greater(t.shared[2].as(p), 0.5), adapted, sgd_ ? m : m * 0.0);
  }

 private:
  bool decoupled_, fixed_, rectify_, sgd_;
};

class Adamp final : public Averages {
 public:
  explicit Adamp(Settings& s)
      : Averages(s), projection_(s, 0.1), nesterov_(s.flag("nesterov")), caution_(s.flag("caution")) {}
  std::vector<Number> numbers(const Hyper& h) const override {
    return {h.lr / bias_correction(beta1_, h), sqrt(bias_correction(beta2_, h))};
  }
  Tensor next(const Turn& t) const override {
    follow(t, t.g);
    const Tensor m = nesterov_ ? average(t.kept[0], t.g, beta1_) : t.kept[0];
    const Projected d = projection_(t.p, t.g, m / (sqrt(t.kept[1]) / t.shared[1] + eps_), caution_);
    Tensor p = t.p;
    if (!t.h.weight_decay.is(0)) p = p - p * d.decay * (t.h.lr * t.h.weight_decay);
    return p - d.update * t.shared[0];
  }

 private:
  Projection projection_;
  bool nesterov_, caution_;
};

}  // namespace

RulePtr make_adam(Settings& s) { return std::make_shared<Adam>(s, AdamKind{}); }
RulePtr make_adamw(Settings& s) { return std::make_shared<Adam>(s, AdamKind{.decoupled = true}); }
RulePtr make_nadamw(Settings& s) { return std::make_shared<Adam>(s, AdamKind{.decoupled = true, .nesterov = true}); }
RulePtr make_nadam(Settings& s) { return std::make_shared<Nadam>(s); }
RulePtr make_radam(Settings& s) { return std::make_shared<Radam>(s); }
RulePtr make_adamax(Settings& s) { return std::make_shared<Adamax>(s); }
RulePtr make_adabelief(Settings& s) { return std::make_shared<AdaBelief>(s); }
RulePtr make_adamp(Settings& s) { return std::make_shared<Adamp>(s); }

}  // namespace fovea::train
