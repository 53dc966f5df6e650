// SPDX-License-Identifier: Apache-2.0
// nn/layers/lstm.h — Lstm: long short-term memory along one dimension, with PyTorch's names.
#pragma once
#include <vector>

#include "nn/module.h"

namespace fovea {

struct LstmOptions {
  int layers = 1;
  bool bias = true, bidirectional = false;
};
class Lstm final : public Module {
 public:
  Lstm(int in, int hidden, const LstmOptions& o = {});
  Tensor operator()(const Tensor& x, int dim);  // [..., C], steps along dim -> [..., directions * hidden]
  Tensor forward(const Tensor& x) override { return run(x, -2); }

 private:
  Tensor run(const Tensor& x, int dim) const;
  // "weight_ih_l0" [4 hidden, in], "weight_hh_l0" [4 hidden, hidden], "bias_ih_l0", "bias_hh_l0"; or "..._reverse"
  struct Weights {
    Param ih, hh, ih_bias, hh_bias;
    Tensor bias() const;
  };
  std::vector<std::vector<Weights>> layers_;  // of each direction
};

}  // namespace fovea
