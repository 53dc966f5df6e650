// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/adafactor.cpp — the second average of a matrix as that of its rows and that of its columns:
// https://arxiv.org/abs/1804.04235.
#include <algorithm>
#include <optional>
#include <utility>

#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

using Axes = std::optional<std::pair<int, int>>;   // that of columns, that of rows

Tensor unless_beyond(const Tensor& update, double bound) {
  const Tensor size = sqrt(mean(square(update)));
  return update / clamp_min(size / bound, 1);
}

// What rows and columns say of each element's square, as one over its root.
Tensor inverse_root(const Tensor& rows, const Tensor& columns, int column_axis) {
  return rsqrt(rows / mean(rows, {column_axis}, keep_dims)) * rsqrt(columns);
}

class Factored : public Rule {
 public:
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    std::vector<Keeps> out;
    if (const Axes axes = axes_of(p)) {
      const auto without = [&](int axis) {
        Shape s = p.shape();
        s[axis] = 1;
        return zeros(s, p.dtype(), p.device());
      };
      out = {{"exp_avg_sq_row", without(axes->second)}, {"exp_avg_sq_col", without(axes->first)}};
    } else {
      out = {{"exp_avg_sq", zeros_for(p)}};
    }
    if (averages_) out.push_back({"exp_avg", cast(zeros_for(p), average_dtype(p))});
    return out;
  }

 protected:
  virtual Axes axes_of(const Tensor& p) const = 0;
  virtual DType average_dtype(const Tensor& p) const = 0;

  // The gradient over the root of its running square, which moves by `weight`.
  Tensor scaled(const Turn& t, const Number& weight, double eps) const {
    const Tensor now = square(t.g) + eps;
    if (const Axes axes = axes_of(t.p)) {
      t.kept[0] = lerp(t.kept[0], mean(now, {axes->second}, keep_dims), weight);
      t.kept[1] = lerp(t.kept[1], mean(now, {axes->first}, keep_dims), weight);
      return t.g * inverse_root(t.kept[0], t.kept[1], axes->first);
    }
    t.kept[0] = lerp(t.kept[0], now, weight);
    return t.g * rsqrt(t.kept[0]);
  }
  bool averages_ = false;
};

class Adafactor final : public Factored {
 public:
  explicit Adafactor(Settings& s)
      : beta1_(s.beta(1, 0)), eps_(s.eps(1e-30)), bound_(s.get("clip_threshold", 1)),
        decay_(s.get("decay_rate", -0.8, -1, 0)), least_(s.get("min_dim_size_to_factor", 16)),
        caution_(s.flag("caution")) {
    averages_ = beta1_ > 0;
  }
  std::vector<Number> numbers(const Hyper& h) const override { return {pow(h.step, decay_)}; }
  Tensor next(const Turn& t) const override {
    Tensor d = unless_beyond(scaled(t, t.shared[0], eps_), bound_) * t.h.lr;
    if (averages_) {
      t.kept.back() = average(t.kept.back(), d, beta1_);
      d = cautious_if(caution_, t.kept.back(), t.g);
    }
    return decayed(t.p, t.h) - d;
  }

 protected:
  Axes axes_of(const Tensor& p) const override {
    const int n = p.rank();
    const auto large = [&](int i) { return static_cast<double>(p.dim(i)) > least_; };
    if (n > 2 && large(0) && large(1)) return {{0, 1}};
    if (n >= 2 && large(n - 2) && large(n - 1)) return {{n - 2, n - 1}};
    return {};
  }
  DType average_dtype(const Tensor& p) const override { return p.dtype(); }

 private:
  double beta1_, eps_, bound_, decay_, least_;
  bool caution_;
};

// As Big Vision has it: the two longest axes, a second average that at last stands still, and a first one in bf16.
class BigVision final : public Factored {
 public:
  explicit BigVision(Settings& s)
      : momentum_(s.get("momentum", 0.9, 0, 1)), eps_(s.eps(1e-30)), bound_(s.get("clipping_threshold", 0)),
        decay_(s.get("decay_rate", 0.8)), offset_(s.get("decay_offset", 0)), cap_(s.get("beta2_cap", 0.999, 0, 1)),
        least_(s.get("min_dim_size_to_factor", 16)), unscaled_(s.flag("unscaled_wd")), caution_(s.flag("caution")),
        corrected_(s.flag("corrected_weight_decay")) {
    averages_ = true;
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {1 - minimum(cap_, 1 - pow(maximum(h.step - offset_, 1), -decay_))};
  }
  Tensor next(const Turn& t) const override {
    Tensor d = scaled(t, t.shared[0], eps_);
    if (bound_ > 0) d = unless_beyond(d, bound_);
    Tensor& m = t.kept.back();
    const Tensor f32 = cast(m, DType::f32), rounded = cast(cast(d, m.dtype()), DType::f32);
    m = cast(lerp(f32, rounded, 1 - momentum_), m.dtype());
    d = cautious_if(caution_, cast(m, t.g.dtype()), t.g);
    Tensor p = t.p;
    if (!unscaled_) p = decayed(p, t.h, corrected_);
    else if (!t.h.weight_decay.is(0))
      p = p * (1 - (corrected_ ? t.h.lr / t.h.max_lr : Number(1)) * t.h.weight_decay);
    return p - d * t.h.lr;
  }

 protected:
  Axes axes_of(const Tensor& p) const override {
    std::vector<std::pair<int64_t, int>> sizes;
    for (int i = 0; i < p.rank(); ++i) sizes.emplace_back(p.dim(i), i);
    std::ranges::sort(sizes);
    const size_t n = sizes.size();
    if (n < 2 || static_cast<double>(sizes[n - 2].first) < least_) return {};
    return {{sizes[n - 2].second, sizes[n - 1].second}};
  }
  DType average_dtype(const Tensor&) const override { return DType::bf16; }

 private:
  double momentum_, eps_, bound_, decay_, offset_, cap_, least_;
  bool unscaled_, caution_, corrected_;
};

}  // namespace

RulePtr make_adafactor(Settings& s) { return std::make_shared<Adafactor>(s); }
RulePtr make_adafactor_big_vision(Settings& s) { return std::make_shared<BigVision>(s); }

}  // namespace fovea::train
