// SPDX-License-Identifier: Apache-2.0
// nn/layers/mlp.cpp — Mlp and ConvMlp.
#include "nn/layers/mlp.h"

#include "nn/layers/norm.h"

namespace fovea {

Mlp::Mlp(int in, const MlpOptions& o) {
  const int hidden = o.hidden ? o.hidden : in, out = o.out ? o.out : in;
  fc1 = add("fc1", Linear(in, hidden, o.bias));
  act = add("act", Activation(o.act));
  drop1_ = add("drop1", Dropout(o.drop));
  if (o.norm) norm_ = add("norm", token_norm(o.norm, hidden));
  fc2 = add("fc2", Linear(hidden, out, o.out_bias.value_or(o.bias)));
  drop2_ = add("drop2", Dropout(o.out_drop.value_or(o.drop)));
}
Tensor Mlp::forward(const Tensor& x) { return drop2_(fc2(norm_(drop1_(act(fc1(x)))))); }

ConvMlp::ConvMlp(int in, const ConvMlpOptions& o) {
  const int hidden = o.hidden ? o.hidden : in, out = o.out ? o.out : in;
  fc1 = add("fc1", Conv2d(in, hidden, 1, {.bias = o.bias}));
  if (o.norm) norm = add("norm", LayerNorm2d(hidden));
  act_ = add("act", Activation(o.act));
  drop_ = add("drop", Dropout(o.drop));
  fc2 = add("fc2", Conv2d(hidden, out, 1, {.bias = o.bias}));
}
Tensor ConvMlp::forward(const Tensor& x) { return fc2(drop_(act_(norm(fc1(x))))); }

}  // namespace fovea
