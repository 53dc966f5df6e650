// SPDX-License-Identifier: Apache-2.0
#include "train/optim/sgd.h"

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {

SGD::SGD(std::vector<Tensor*> parameters, const SGDOptions& o) : parameters_(std::move(parameters)), options_(o) {
  if (o.lr < 0 || o.momentum < 0 || o.weight_decay < 0)
    throw Error(Error::Kind::argument,
                str_cat("SGD with lr ", o.lr, ", momentum ", o.momentum, ", weight decay ", o.weight_decay),
                "none may be negative");
  if (o.nesterov && o.momentum == 0) throw Error(Error::Kind::argument, "Nesterov's rule needs momentum above 0");
  if (o.momentum > 0)
    for (const Tensor* p : parameters_) momentum_.push_back(zeros_of(p->meta()));
}

void SGD::step() {
  const NoGrad no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& p = *parameters_[i];
    Tensor d = p.grad();
    if (!d) continue;
    const Tensor value = p.detach();
    if (options_.weight_decay != 0) d = d + value * options_.weight_decay;
    if (!momentum_.empty()) {
      Tensor& v = momentum_[i];
      v = v * options_.momentum + d;
      d = options_.nesterov ? d + v * options_.momentum : v;
    }
    p = value - d * options_.lr;
    p.set_requires_grad();
  }
}

void SGD::zero_grad() {
  for (const Tensor* p : parameters_) p->set_grad({});
}

std::vector<Tensor*> SGD::state() {
  std::vector<Tensor*> slots;
  for (Tensor& v : momentum_) slots.push_back(&v);
  return slots;
}

}  // namespace fovea::train
