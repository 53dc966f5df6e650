// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/muon.cpp — Muon: momentum of matrices, made orthogonal; all else by AdamW or NAdamW.
#include <algorithm>
#include <array>
#include <cmath>

#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

// One row a step, https://leloykun.github.io/ponder/muon-opt-coeffs/; the last one stands for all further ones.
constexpr std::array<std::array<double, 3>, 5> kCoefficients{{{4.0848, -6.8946, 2.9270},
                                                              {3.9505, -6.3029, 2.6377},
                                                              {3.7418, -5.5913, 2.3037},
                                                              {2.8769, -3.1427, 1.2046},
                                                              {2.8366, -3.0525, 1.2012}}};

class Muon final : public Rule {
 public:
  explicit Muon(Settings& s)
      : momentum_(s.get("momentum", 0.9, 0, 1)), eps_(s.eps(1e-7)), safety_(s.get("safety_factor", 1)),
        steps_(s.get("ns_steps", 5)), nesterov_(s.flag("nesterov")), adaptive_(s.flag("adamuon")),
        fallback_rate_(s.get("fallback_lr_scale", 1)), beta2_(s.beta(2, 0.95)) {
    RuleSettings rest{{"beta1", s.beta(1, 0.9)}, {"beta2", beta2_}, {"eps", eps_}};
    fallback_ = rule(nesterov_ ? "nadamw" : "adamw", rest);
  }
  std::vector<Keeps> keeps(const Tensor& p, const Hyper& h) const override {
    if (!takes(p, h)) return fallback_->keeps(p, h);
    std::vector<Keeps> out{{"momentum_buffer", zeros_for(p)}};
    if (adaptive_) out.push_back({"exp_avg_sq", zeros_for(p)});
    return out;
  }
  std::vector<Number> numbers(const Hyper& h) const override { return fallback_->numbers(slower(h)); }
  Tensor next(const Turn& t) const override {
    if (!takes(t.p, t.h)) {
      const Hyper h = slower(t.h);
      return fallback_->next({t.p, t.g, t.kept, h, t.shared});
    }
    const Tensor v = average(t.kept[0], t.g, momentum_);
    t.kept[0] = v;
    const Tensor turn = nesterov_ ? average(t.g, v, 1 - momentum_) : v;
    const Tensor flat = reshape(turn, {turn.dim(0), turn.numel() / turn.dim(0)});
    Tensor d = reshape(orthogonal(flat), t.p.shape());
    double scale = 0.2 * std::sqrt(static_cast<double>(std::max(flat.dim(0), flat.dim(1))));
    if (adaptive_) {
      t.kept[1] = average(t.kept[1], square(d), beta2_);
      d = d / (sqrt(t.kept[1]) + eps_);
      d = d / (sqrt(sum(square(d))) + eps_);
      scale = 0.2 * std::sqrt(static_cast<double>(t.p.numel()));
    }
    return decayed(t.p, t.h) - d * (t.h.lr * scale);
  }

 private:
  Hyper slower(Hyper h) const {
    h.lr = h.lr * fallback_rate_;
    return h;
  }

  // Matrices, and kernels as matrices, neither thin nor degenerate.
  static bool takes(const Tensor& p, const Hyper& h) {
    if (h.fallback || p.rank() < 2 || p.dim(0) == 1 || p.dim(1) == 1) return false;
    const int64_t out = p.dim(0), in = p.numel() / out, least = std::min(out, in);
    return least >= 4 && std::max(out, in) <= 128 * least;
  }

  // The nearest matrix with orthogonal rows or columns, about: an odd polynomial of the singular values, repeated.
  Tensor orthogonal(const Tensor& matrix) const {
    const bool tall = matrix.dim(0) > matrix.dim(1);
    Tensor x = tall ? transpose(matrix, 0, 1) : matrix;
    x = x / clamp_min(sqrt(sum(square(x))) * safety_, eps_);
    for (size_t i = 0; i < static_cast<size_t>(steps_); ++i) {
      const auto& [a, b, c] = kCoefficients[std::min(i, kCoefficients.size() - 1)];
      const Tensor squared = matmul(x, x, {.transpose_b = true});
      x = x * a + matmul(squared * b + matmul(squared, squared) * c, x);
    }
    return tall ? transpose(x, 0, 1) : x;
  }

  double momentum_, eps_, safety_, steps_;
  bool nesterov_, adaptive_;
  double fallback_rate_, beta2_;
  RulePtr fallback_;
};

}  // namespace

RulePtr make_muon(Settings& s) { return std::make_shared<Muon>(s); }

}  // namespace fovea::train
