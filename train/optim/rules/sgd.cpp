// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/sgd.cpp — stochastic gradient descent with momentum: plain, with decoupled decay, projected.
#include "train/optim/rules/common.h"
#include "train/optim/rules/projection.h"

namespace fovea::train {
namespace {

struct MomentumOptions {
  explicit MomentumOptions(Settings& s)
      : momentum(s.get("momentum", 0.9)), dampening(s.get("dampening", 0)), nesterov(s.flag("nesterov")) {}
  double momentum, dampening;
  bool nesterov;
};

void check(const MomentumOptions& o) {
  if (o.nesterov && (o.momentum == 0 || o.dampening != 0))
    throw Error(Error::Kind::argument, "Nesterov's rule needs momentum above 0 and no dampening");
}

// The first gradient is taken whole.
Tensor gathered(const MomentumOptions& o, const Turn& t, const Tensor& g) {
  return t.kept[0] * o.momentum + (o.dampening == 0 ? g : g * t.shared[0]);
}
std::vector<Number> taken(const MomentumOptions& o, const Hyper& h) {
  if (o.dampening == 0) return {};
  return {where_greater(h.step, 1, 1 - o.dampening, 1)};
}

// Decay is part of the gradient, as in PyTorch.
class Sgd final : public Rule {
 public:
  explicit Sgd(Settings& s) : o_(s) { check(o_); }
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    if (o_.momentum == 0) return {};
    return {{"momentum_buffer", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override { return taken(o_, h); }
  Tensor next(const Turn& t) const override {
    Tensor d = with_decay(t.g, t.p, t.h);
    if (o_.momentum != 0) {
      const Tensor v = gathered(o_, t, d);
      d = o_.nesterov ? d + v * o_.momentum : v;
      t.kept[0] = v;
    }
    return t.p - d * t.h.lr;
  }

 private:
  MomentumOptions o_;
};

class Sgdw final : public Rule {
 public:
  explicit Sgdw(Settings& s)
      : o_(s), caution_(s.flag("caution")), corrected_(s.flag("corrected_weight_decay")) { check(o_); }
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    if (o_.momentum == 0) return {};
    return {{"momentum_buffer", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override { return taken(o_, h); }
  Tensor next(const Turn& t) const override {
    Tensor d = t.g;
    if (o_.momentum != 0) {
      const Tensor v = gathered(o_, t, t.g);
      d = cautious_if(caution_, o_.nesterov ? t.g + v * o_.momentum : v, t.g);
      t.kept[0] = v;
    }
    return decayed(t.p, t.h, corrected_) - d * t.h.lr;
  }

 private:
  MomentumOptions o_;
  bool caution_, corrected_;
};

// https://arxiv.org/abs/2006.08217: what would only change the norm of a weight is taken out of its update.
class Sgdp final : public Rule {
 public:
  explicit Sgdp(Settings& s) : o_(s), projection_(s, 0.1), caution_(s.flag("caution")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override { return {{"momentum", zeros_for(p)}}; }
  Tensor next(const Turn& t) const override {
    const Tensor v = t.kept[0] * o_.momentum + t.g * (1 - o_.dampening);
    const Projected d = projection_(t.p, t.g, o_.nesterov ? t.g + v * o_.momentum : v, caution_);
    t.kept[0] = v;
    Tensor p = t.p;
    if (!t.h.weight_decay.is(0))
      p = p - p * d.decay * (t.h.lr * t.h.weight_decay / (1 - o_.momentum));
    return p - d.update * t.h.lr;
  }

 private:
  MomentumOptions o_;
  Projection projection_;
  bool caution_;
};

}  // namespace

RulePtr make_sgd(Settings& s) { return std::make_shared<Sgd>(s); }
RulePtr make_sgdw(Settings& s) { return std::make_shared<Sgdw>(s); }
RulePtr make_sgdp(Settings& s) { return std::make_shared<Sgdp>(s); }

}  // namespace fovea::train
