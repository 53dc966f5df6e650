// SPDX-License-Identifier: Apache-2.0
#include "train/exchange.h"

#include <utility>

#include "engine/ops/ops.h"
#include "engine/ops/peers.h"

namespace fovea::train {

void Exchange::complete(size_t leaf, const Tensor& gradient) {
  Tensor& sum = sums_[leaf];
  sum = sum ? sum + gradient.detach() : gradient.detach();
  add(sum);
}

void Exchange::add(Tensor& of_all) {
  if (!waiting_.empty() && waiting_.back()->dtype() != of_all.dtype()) send();
  waiting_.push_back(&of_all);
  bytes_ += of_all.meta().bytes();
  if (bytes_ >= most_) send();
}

void Exchange::send() {
  if (waiting_.empty()) return;
  const NoGrad no_grad;
  Tensors all;
  for (const Tensor* t : waiting_) all.push_back(*t);
  under_way_.push_back({std::exchange(waiting_, {}), begin_sum_over_peers(all)});
  bytes_ = 0;
}

void Exchange::finish() {
  send();
  const NoGrad no_grad;
  for (const Bucket& b : std::exchange(under_way_, {})) {
    const Tensor sums = end_sum_over_peers(b.numbers);
    int64_t at = 0;
    for (Tensor* t : b.places) {
      const Meta m = t->meta();
      *t = contiguous(reshape(narrow(sums, 0, at, m.numel()), m.shape), m.memory());
      at += m.numel();
    }
  }
}

}  // namespace fovea::train
