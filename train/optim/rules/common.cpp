// SPDX-License-Identifier: Apache-2.0
#include "train/optim/rules/common.h"

namespace fovea::train {

double Settings::get(const std::string& name, double otherwise, double least, double most) {
  known_.insert(name);
  const auto found = given_.find(name);
  if (found == given_.end()) return otherwise;
  if (!(found->second >= least && found->second <= most))
    throw Error(Error::Kind::argument, cat(name, "=", found->second, " of an update rule"),
                most == kNoBound ? cat("it is at least ", least) : cat("it is from ", least, " to ", most));
  return found->second;
}

double Settings::beta(int i, double otherwise) {
  const double v = get(cat("beta", i), otherwise, 0, 1);
  if (v == 1) throw Error(Error::Kind::argument, cat("beta", i, "=1 of an update rule"), "it is less than 1");
  return v;
}

Tensor decayed(const Tensor& p, const Hyper& h, bool corrected) {
  if (h.weight_decay.is(0)) return p;
  const Number rate = corrected ? h.lr * h.lr / h.max_lr : h.lr;
  return p * (1 - rate * h.weight_decay);
}

Tensor with_decay(const Tensor& g, const Tensor& p, const Hyper& h) {
  return h.weight_decay.is(0) ? g : g + p * h.weight_decay;
}

Tensor cautious(const Tensor& update, const Tensor& g) {
  const Tensor mask = cast(greater(update * g, 0.0), g.dtype());
  return update * (mask / clamp_min(mean(mask), 1e-3));
}

Tensor average(const Tensor& x, const Tensor& y, double decay) { return x * decay + y * (1 - decay); }
Tensor zeros_for(const Tensor& p) { return zeros_of(p.meta()); }
Number bias_correction(double beta, const Hyper& h) { return 1 - pow(Number(beta), h.step); }

}  // namespace fovea::train
