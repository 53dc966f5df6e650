// SPDX-License-Identifier: Apache-2.0
// engine/ops/recurrent.h — long short-term memory, https://doi.org/10.1162/neco.1997.9.8.1735: apart from ops.h, for
// few networks have it.
#pragma once
#include "engine/core/op.h"

namespace fovea {

namespace ops {
/// lstm_dx: of lstm() by its x, where nobody will differentiate that again; from the gradient of y, x, y and w.
extern const OpDef lstm, lstm_dx;
}  // namespace ops

/// x [..., D 4 H] are the products of the inputs with their weights and all biases, w [D, 4 H, H] the weights of the
/// step before; gates in PyTorch's order: input, forget, cell, output. Steps are along `dim`, in the second of two
/// directions D from the last to the first -> [..., D H]. What is before the first step is zero.
Tensor lstm(const Tensor& x, const Tensor& w, int dim);

}  // namespace fovea
