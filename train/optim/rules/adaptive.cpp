// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/adaptive.cpp — rates by the size of past gradients: Adagrad, Adadelta, RMSprop in both forms,
// ADOPT, LaProp, NovoGrad, MADGRAD.
#include <cmath>

#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

class Adagrad final : public Rule {
 public:
  explicit Adagrad(Settings& s)
      : eps_(s.eps(1e-8)), lr_decay_(s.get("lr_decay", 0)), first_(s.get("initial_accumulator_value", 0)) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override { return {{"sum", zeros_for(p) + first_}}; }
  std::vector<Number> numbers(const Hyper& h) const override { return {h.lr / (1 + (h.step - 1) * lr_decay_)}; }
  Tensor next(const Turn& t) const override {
    const Tensor g = with_decay(t.g, t.p, t.h);
    t.kept[0] = t.kept[0] + square(g);
    return t.p - g / (sqrt(t.kept[0]) + eps_) * t.shared[0];
  }

 private:
  double eps_, lr_decay_, first_;
};

class Adadelta final : public Rule {
 public:
  explicit Adadelta(Settings& s) : rho_(s.get("rho", 0.9, 0, 1)), eps_(s.eps(1e-6)) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"square_avg", zeros_for(p)}, {"acc_delta", zeros_for(p)}};
  }
  Tensor next(const Turn& t) const override {
    const Tensor g = with_decay(t.g, t.p, t.h);
    t.kept[0] = average(t.kept[0], square(g), rho_);
    const Tensor delta = sqrt(t.kept[1] + eps_) / sqrt(t.kept[0] + eps_) * g;
    t.kept[1] = average(t.kept[1], square(delta), rho_);
    return t.p - delta * t.h.lr;
  }

 private:
  double rho_, eps_;
};

// In TensorFlow's form the average begins with ones, eps stands under the root, and momentum gathers what the rate has
// scaled already.
class Rmsprop final : public Rule {
 public:
  Rmsprop(Settings& s, bool tensorflow)
      : tensorflow_(tensorflow), alpha_(s.get("alpha", 0.9)), eps_(s.eps(tensorflow ? 1e-10 : 1e-8)),
        momentum_(s.get("momentum", 0.9)), centered_(s.flag("centered")) {
    if (!tensorflow) return;
    decoupled_ = s.flag("decoupled_decay");
    corrected_ = s.flag("corrected_weight_decay");
    rate_in_momentum_ = s.flag("lr_in_momentum", true);
    caution_ = s.flag("caution");
  }
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    std::vector<Keeps> out{{"square_avg", tensorflow_ ? zeros_for(p) + 1.0 : zeros_for(p)}};
    if (centered_) out.push_back({"grad_avg", zeros_for(p)});
    if (momentum_ > 0) out.push_back({"momentum_buffer", zeros_for(p)});
    return out;
  }
  Tensor next(const Turn& t) const override {
    const Tensor g = decoupled_ ? t.g : with_decay(t.g, t.p, t.h);
    const Tensor p = decoupled_ ? decayed(t.p, t.h, corrected_) : t.p;
    t.kept[0] = average(t.kept[0], square(g), alpha_);
    Tensor spread = t.kept[0];
    if (centered_) {
      t.kept[1] = average(t.kept[1], g, alpha_);
      spread = spread - square(t.kept[1]);
    }
    const Tensor step = g / (tensorflow_ ? sqrt(spread + eps_) : sqrt(spread) + eps_);
    if (momentum_ == 0) return p - step * t.h.lr;
    Tensor& v = t.kept.back();
    v = v * momentum_ + (rate_in_momentum_ ? step * t.h.lr : step);
    const Tensor d = cautious_if(caution_, v, g);
    return p - (rate_in_momentum_ ? d : d * t.h.lr);
  }

 private:
  bool tensorflow_;
  double alpha_, eps_, momentum_;
  bool centered_, decoupled_ = false, corrected_ = false, rate_in_momentum_ = false, caution_ = false;
};

// https://arxiv.org/abs/2411.02853: each gradient is divided by what was gathered before it; the first one only begins.
class Adopt final : public Rule {
 public:
  explicit Adopt(Settings& s)
      : beta1_(s.beta(1, 0.9)), beta2_(s.beta(2, 0.9999)), eps_(s.eps(1e-6)), clip_(s.get("clip_exp", 0.333)),
        decoupled_(s.flag("decoupled")), corrected_(s.flag("corrected_weight_decay")), caution_(s.flag("caution")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_avg_sq", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {where_greater(h.step, 1, 1, 0), pow(maximum(h.step - 1, 0), clip_)};
  }
  Tensor next(const Turn& t) const override {
    const Tensor g = decoupled_ ? t.g : with_decay(t.g, t.p, t.h);
    const Tensor bound = t.shared[1].as(g), begun = greater(t.shared[0].as(g), 0.5);
    const Tensor scaled = maximum(minimum(g / clamp_min(sqrt(t.kept[1]), eps_), bound), -bound);
    const Tensor m = average(t.kept[0], scaled, beta1_);
    const Tensor p = decoupled_ ? decayed(t.p, t.h, corrected_) : t.p;
    const Tensor moved = p - cautious_if(caution_, m, g) * t.h.lr;
    t.kept[0] = where(begun, m, t.kept[0]);
    t.kept[1] = where(begun, average(t.kept[1], square(g), beta2_), square(g));
    return where(begun, moved, t.p);
  }

 private:
  double beta1_, beta2_, eps_, clip_;
  bool decoupled_, corrected_, caution_;
};

// https://arxiv.org/abs/2002.04839: momentum of what was scaled already, corrected for rates that change.
class Laprop final : public Rule {
 public:
  explicit Laprop(Settings& s)
      : beta1_(s.beta(1, 0.9)), beta2_(s.beta(2, 0.999)), eps_(s.eps(1e-15)), caution_(s.flag("caution")),
        corrected_(s.flag("corrected_weight_decay")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_avg_sq", zeros_for(p)},
            {"exp_avg_lr_1", scalar(0, DType::f64, p.device())}};
  }
  std::vector<Number> numbers(const Hyper& h) const override { return {bias_correction(beta2_, h)}; }
  Tensor next(const Turn& t) const override {
    const Number rates = Number(t.kept[2]) * beta1_ + (1 - beta1_) * t.h.lr;
    t.kept[2] = rates.as(t.kept[2]);
    t.kept[1] = average(t.kept[1], square(t.g), beta2_);
    const Tensor scaled = t.g / (sqrt(t.kept[1] / t.shared[0]) + eps_);
    t.kept[0] = t.kept[0] * beta1_ + scaled * (t.h.lr * (1 - beta1_));
    const Number size = where_greater(rates, 0, t.h.lr / maximum(rates, 1e-300), 0);
    return decayed(t.p - cautious_if(caution_, t.kept[0], t.g) * size, t.h, corrected_);
  }

 private:
  double beta1_, beta2_, eps_;
  bool caution_, corrected_;
};

// https://arxiv.org/abs/1905.11286: one size a tensor.
class Novograd final : public Rule {
 public:
  explicit Novograd(Settings& s)
      : beta1_(s.beta(1, 0.95)), beta2_(s.beta(2, 0.98)), eps_(s.eps(1e-8)), averaging_(s.flag("grad_averaging")),
        decoupled_(s.flag("decoupled_decay")), corrected_(s.flag("corrected_weight_decay")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_avg_sq", scalar(0, p)}};
  }
  Tensor next(const Turn& t) const override {
    const Tensor size = sum(square(t.g)), before = t.kept[1];
    t.kept[1] = where(equal(before, 0.0), size, average(before, size, beta2_));
    Tensor d = t.g / (sqrt(t.kept[1]) + eps_), p = t.p;
    if (decoupled_) p = decayed(p, t.h, corrected_);
    else d = with_decay(d, p, t.h);
    t.kept[0] = t.kept[0] * beta1_ + (averaging_ ? d * (1 - beta1_) : d);
    return p - t.kept[0] * t.h.lr;
  }

 private:
  double beta1_, beta2_, eps_;
  bool averaging_, decoupled_, corrected_;
};

// https://arxiv.org/abs/2101.11075: dual averaging from the first weights on.
class Madgrad final : public Rule {
 public:
  explicit Madgrad(Settings& s)
      : momentum_(s.get("momentum", 0.9, 0, 1)), eps_(s.eps(1e-6)), decoupled_(s.flag("decoupled_decay")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    std::vector<Keeps> out{{"grad_sum_sq", zeros_for(p)}, {"s", zeros_for(p)}};
    if (momentum_ > 0) out.push_back({"x0", call1(ops::copy, {p}, CopyAttrs{p.meta().memory()})});
    return out;
  }
  std::vector<Number> numbers(const Hyper& h) const override { return {(h.lr + eps_) * sqrt(h.step)}; }
  Tensor next(const Turn& t) const override {
    const Tensor g = decoupled_ ? t.g : with_decay(t.g, t.p, t.h);
    const Tensor p = decoupled_ ? decayed(t.p, t.h) : t.p;
    const auto root = [&](const Tensor& x) { return pow(x, 1.0 / 3) + eps_; };
    const Tensor from = momentum_ > 0 ? t.kept[2] : p + t.kept[1] / root(t.kept[0]);
    t.kept[0] = t.kept[0] + square(g) * t.shared[0];
    t.kept[1] = t.kept[1] + g * t.shared[0];
    const Tensor z = from - t.kept[1] / root(t.kept[0]);
    return momentum_ > 0 ? average(p, z, momentum_) : z;
  }

 private:
  double momentum_, eps_;
  bool decoupled_;
};

}  // namespace

RulePtr make_adagrad(Settings& s) { return std::make_shared<Adagrad>(s); }
RulePtr make_adadelta(Settings& s) { return std::make_shared<Adadelta>(s); }
RulePtr make_rmsprop(Settings& s) { return std::make_shared<Rmsprop>(s, false); }
RulePtr make_rmsprop_tf(Settings& s) { return std::make_shared<Rmsprop>(s, true); }
RulePtr make_adopt(Settings& s) { return std::make_shared<Adopt>(s); }
RulePtr make_laprop(Settings& s) { return std::make_shared<Laprop>(s); }
RulePtr make_novograd(Settings& s) { return std::make_shared<Novograd>(s); }
RulePtr make_madgrad(Settings& s) { return std::make_shared<Madgrad>(s); }

}  // namespace fovea::train
