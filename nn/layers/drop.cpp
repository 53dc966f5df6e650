// SPDX-License-Identifier: Apache-2.0
// nn/layers/drop.cpp — keys come from the module's own counter, so runs can be repeated.
#include "nn/layers/drop.h"

#include "engine/ops/ops.h"

namespace fovea {
namespace {

double checked_rate(double rate) {
  if (!(rate >= 0 && rate <= 1))
    throw Error(Error::Kind::argument, str_cat("a drop rate is between 0 and 1, not ", rate));
  return rate;
}

}  // namespace

Dropout::Dropout(double rate) : rate_(checked_rate(rate)) {}
Tensor Dropout::forward(const Tensor& x) { return training() && rate_ > 0 ? dropout(x, rate_, next_key()) : x; }

Dropout2d::Dropout2d(double rate) : rate_(checked_rate(rate)) {}
Tensor Dropout2d::forward(const Tensor& x) {
  if (!training() || rate_ == 0) return x;
  const int64_t maps = x.dim(0) * x.dim(1);        // each as if it were a sample
  return reshape(drop_path(reshape(x, {maps, x.dim(2), x.dim(3)}), rate_, next_key()), x.shape());
}

DropPath::DropPath(double rate, bool scale_by_keep) : rate_(checked_rate(rate)), scale_by_keep_(scale_by_keep) {}
Tensor DropPath::forward(const Tensor& x) {
  return training() && rate_ > 0 ? drop_path(x, rate_, next_key(), scale_by_keep_) : x;
}

}  // namespace fovea
