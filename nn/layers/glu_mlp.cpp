// SPDX-License-Identifier: Apache-2.0
// nn/layers/glu_mlp.cpp — GluMlp and SwiGLU.
#include "nn/layers/glu_mlp.h"

#include "engine/ops/ops.h"

namespace fovea {

GluMlp::GluMlp(int in, const GluMlpOptions& o) : act_(o.act), gate_last_(o.gate_last) {
  const int hidden = o.hidden ? o.hidden : in;
  if (hidden % 2 != 0)
    throw Error(Error::Kind::argument, str_cat("a gated MLP cannot halve ", hidden, " channels"), current_scope());
  fc1 = add("fc1", Linear(in, hidden, o.bias));
  drop1_ = add("drop1", Dropout(o.drop));
  if (o.norm) norm_ = add("norm", token_norm(o.norm, hidden / 2));
  fc2 = add("fc2", Linear(hidden / 2, o.out ? o.out : in, o.bias));
  drop2_ = add("drop2", Dropout(o.drop));
}

Tensor GluMlp::forward(const Tensor& x) {
  const std::vector<Tensor> half = chunk(fc1(x), 2, -1);
  const Tensor y = gate_last_ ? half[0] * activate(half[1], act_) : activate(half[0], act_) * half[1];
  return drop2_(fc2(norm_(drop1_(y))));
}

SwiGLU::SwiGLU(int in, const SwiGLUOptions& o) : act_(o.act) {
  int hidden = o.hidden ? o.hidden : in;
  if (o.align_to > 0) hidden = (hidden + o.align_to - 1) / o.align_to * o.align_to;
  fc1_g = add("fc1_g", Linear(in, hidden, o.bias));
  fc1_x = add("fc1_x", Linear(in, hidden, o.bias));
  drop1_ = add("drop1", Dropout(o.drop));
  if (o.norm) norm_ = add("norm", token_norm(o.norm, hidden));
  fc2 = add("fc2", Linear(hidden, o.out ? o.out : in, o.bias));
  drop2_ = add("drop2", Dropout(o.drop));
}

Tensor SwiGLU::forward(const Tensor& x) { return drop2_(fc2(norm_(drop1_(activate(fc1_g(x), act_) * fc1_x(x))))); }

}  // namespace fovea
