// SPDX-License-Identifier: Apache-2.0
#include "train/optim/optimizer.h"

#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {

Tensor Draws::normal(const Shape& s, int64_t key, const Tensor& like) const {
  return randn(s, key, like.dtype(), like.device());
}
Tensor Draws::sign(const Shape& s, int64_t key, const Tensor& like) const {
  return affine(bernoulli(s, 0.5, key, like.dtype(), like.device()), 2, -1);
}
Tensor Draws::uniform(int64_t key, const Tensor& like) const { return rand({}, key, like.dtype(), like.device()); }

namespace {

std::vector<ParameterGroup> one_group(Module& m, double weight_decay) {
  return {{.name = "all", .parameters = trainable(m), .weight_decay = weight_decay}};
}

void check_rate(const char* what, double v) {
  if (!(v >= 0))
    throw Error(Error::Kind::argument, str_cat("an optimizer with ", what, " ", v), "it may not be negative");
}

}  // namespace

Optimizer::Optimizer(RulePtr rule, Module& m, double lr, double weight_decay)
    : Optimizer(std::move(rule), one_group(m, weight_decay), lr) {}

Optimizer::Optimizer(RulePtr rule, std::vector<ParameterGroup> groups, double lr)
    : rule_(std::move(rule)), groups_(std::move(groups)), lr_(lr), max_lr_(lr) {
  check_rate("lr", lr);
  for (size_t i = 0; i < groups_.size(); ++i) {
    const ParameterGroup& g = groups_[i];
    check_rate("weight decay", g.weight_decay);
    check_rate("lr scale", g.lr_scale);
    decays_.push_back(g.weight_decay != 0);
    const Hyper h{lr, g.weight_decay, 0.0, max_lr_, g.fallback};
    for (const SharedParameter& p : g.parameters) {
      places_.push_back({p.parameter, i, kept_.size()});
      for (Keeps& k : rule_->keeps(p.tensor().detach(), h)) {
        kept_names_.push_back(str_cat(k.name, '.', p.name));
        kept_.push_back(std::move(k.first));
      }
    }
  }
  if (places_.empty()) throw Error(Error::Kind::argument, "an optimizer without parameters", "set_requires_grad()");
  step_ = scalar(0, DType::i64, places_[0].parameter->value.device());
}

void Optimizer::set_lr(double lr) {
  check_rate("lr", lr);
  lr_ = lr;
}

int64_t Optimizer::steps() const { return static_cast<int64_t>(step_.item()); }

Tensor Optimizer::hyper() const {
  std::vector<double> values;
  for (const ParameterGroup& g : groups_) {
    values.push_back(lr_ * g.lr_scale);
    values.push_back(g.weight_decay);
  }
  return from<double>(values, {static_cast<int64_t>(values.size())}).to(step_.device());
}

Tensors Optimizer::leaves() const {
  Tensors out;
  for (const ParameterState& p : places_) out.push_back(p.parameter->value);
  return out;
}

std::vector<std::string> Optimizer::names() const {
  std::vector<std::string> out;
  for (const ParameterGroup& g : groups_)
    for (const SharedParameter& p : g.parameters) out.push_back(p.name);
  return out;
}

Tensors Optimizer::signs() const {
  Tensors out;
  for (size_t i = 0; i < places_.size(); ++i) {
    const Tensor& p = places_[i].parameter->value;
    out.push_back(draws_->sign(p.shape(), key_of(i), p));
  }
  return out;
}

void Optimizer::step(const Gradients& gradients, const Tensor& hyper, const Gradients& curvature) {
  if (gradients.size() != places_.size())
    throw Error(Error::Kind::argument,
                str_cat("a step by ", gradients.size(), " gradients, there are ", places_.size(), " parameters"));
  if (rule_->wants_curvature() && curvature.size() != places_.size())
    throw Error(Error::Kind::argument, "a rule that follows curvature is stepped without any", "train::Step gives it");
  const NoGrad no_grad;
  Gradients prepared = gradients;
  rule_->prepare(prepared);
  step_ = step_ + 1;
  const Number now(step_);
  std::vector<Hyper> hypers;
  std::vector<std::vector<Number>> shared;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const auto value = [&](size_t at) { return Number(select(hyper, 0, static_cast<int64_t>(at))); };
    hypers.push_back({value(2 * i), decays_[i] ? value(2 * i + 1) : Number(0), now, max_lr_, groups_[i].fallback});
    shared.push_back(rule_->numbers(hypers.back()));
  }
  for (size_t i = 0; i < places_.size(); ++i) {
    if (!prepared[i]) continue;
    const ParameterState& place = places_[i];
    const size_t end = i + 1 < places_.size() ? places_[i + 1].first : kept_.size();
    const std::span<Tensor> kept(kept_.data() + place.first, end - place.first);
    Tensor& slot = place.parameter->value;
    const Tensor p = slot.detach();
    const Tensor bend = curvature.empty() ? Tensor() : curvature[i];
    slot = rule_->next(
        {p, prepared[i], kept, hypers[place.group], shared[place.group], bend, key_of(i), draws_.get()});
    slot.set_requires_grad();
  }
}

void Optimizer::step() {
  Gradients g;
  for (const ParameterState& p : places_) g.push_back(p.parameter->value.grad());
  step(g, hyper());
}

void Optimizer::zero_grad() {
  for (const ParameterState& p : places_) p.parameter->value.set_grad({});
}

std::vector<Slot> Optimizer::state() {
  std::vector<Slot> slots{{"step", &step_}};
  for (size_t i = 0; i < kept_.size(); ++i) slots.push_back({kept_names_[i], &kept_[i]});
  return slots;
}

}  // namespace fovea::train
