// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/second_order.cpp — AdaHessian: Adam by the diagonal of the Hessian instead of squared gradients,
// https://arxiv.org/abs/2006.00719.
#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

class Adahessian final : public Rule {
 public:
  explicit Adahessian(Settings& s)
      : beta1_(s.beta(1, 0.9)), beta2_(s.beta(2, 0.999)), eps_(s.eps(1e-8)), power_(s.get("hessian_power", 1, 0, 1)),
        kernels_(s.flag("avg_conv_kernel")) {}
  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    return {{"exp_avg", zeros_for(p)}, {"exp_hessian_diag_sq", zeros_for(p)}};
  }
  std::vector<Number> numbers(const Hyper& h) const override {
    return {h.lr / bias_correction(beta1_, h), bias_correction(beta2_, h)};
  }
  bool wants_curvature() const override { return true; }
  Tensor next(const Turn& t) const override {
    Tensor bend = t.curvature;
    if (kernels_ && t.p.rank() == 4) bend = expand_as(mean(abs(bend), {2, 3}, keep_dims), t.p);
    t.kept[0] = average(t.kept[0], t.g, beta1_);
    t.kept[1] = average(t.kept[1], square(bend), beta2_);
    const Tensor size = pow(t.kept[1] / t.shared[1], power_ / 2) + eps_;
    return decayed(t.p, t.h) - t.kept[0] / size * t.shared[0];
  }

 private:
  double beta1_, beta2_, eps_, power_;
  bool kernels_;
};

}  // namespace

RulePtr make_adahessian(Settings& s) { return std::make_shared<Adahessian>(s); }

}  // namespace fovea::train
