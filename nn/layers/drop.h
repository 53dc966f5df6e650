// SPDX-License-Identifier: Apache-2.0
// nn/layers/drop.h — dropout of values and of whole residual branches; nothing in eval mode.
#pragma once
#include "nn/module.h"

namespace fovea {

class Dropout final : public Module {
 public:
  explicit Dropout(double rate);
  Tensor forward(const Tensor& x) override;
  double rate() const { return rate_; }

 private:
  double rate_;
};

/// Drops whole channels of single samples.
class Dropout2d final : public Module {
 public:
  explicit Dropout2d(double rate);
  Tensor forward(const Tensor& x) override;

 private:
  double rate_;
};

/// Stochastic depth: drops whole samples, https://arxiv.org/abs/1603.09382.
class DropPath final : public Module {
 public:
  explicit DropPath(double rate, bool scale_by_keep = true);
  Tensor forward(const Tensor& x) override;
  double rate() const { return rate_; }

 private:
  double rate_;
  bool scale_by_keep_;
};

}  // namespace fovea
