// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/average.h"

#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea {

void Average::add(const StateDict& weights, const std::string& source) {
  const auto bad = [&](const std::string& what) {
    throw Error(Error::Kind::weights, cat(source, what), "means are of weights of one model");
  };
  for (const auto& [name, t] : first_)
    if (!weights.contains(name)) bad(cat(" lacks '", name, "', which the first weights have"));
  for (const auto& [name, t] : weights) {
    const Tensor* before = count_ > 0 ? first_.find(name) : &t;
    if (!before) bad(cat(" has '", name, "', which the first weights lack"));
    if (before->shape() != t.shape())
      bad(cat(": '", name, "' is ", to_string(t.shape()), ", but ", to_string(before->shape()),
              " in the first weights"));
  }
  for (const auto& [name, t] : weights) {
    const Tensor value = cast(contiguous(t), DType::f64);
    sums_.set(name, count_ > 0 ? *sums_.find(name) + value : value);
  }
  if (count_ == 0) first_ = weights;
  last_ = weights;
  ++count_;
}

StateDict Average::mean() const {
  StateDict out;
  out.metadata = first_.metadata;
  for (const auto& [name, t] : first_) {
    if (t.dtype() == DType::boolean) {
      out.set(name, *last_.find(name));
      continue;
    }
    const Tensor mean = *sums_.find(name) / static_cast<double>(count_);
    out.set(name, cast(is_floating(t.dtype()) ? mean : floor(mean), t.dtype()));
  }
  return out;
}

}  // namespace fovea
