// SPDX-License-Identifier: Apache-2.0
// engine/ops/loss.cpp — losses, written with the other ops; reductions and smoothing as in PyTorch.
#include "engine/ops/rules.h"

namespace fovea {
namespace {

Tensor reduced(const Tensor& x, Reduction r) {
  switch (r) {
    case Reduction::mean: return mean(x);
    case Reduction::sum: return sum(x);
    default: return x;
  }
}

[[noreturn]] void mismatch(std::string_view loss, const Tensor& x, const Tensor& target, std::string_view wanted) {
  throw Error(Error::Kind::shape, str_cat(loss, ": prediction ", x.meta(), " with target ", target.meta()),
              std::string(wanted));
}
void want_same_shape(std::string_view loss, const Tensor& x, const Tensor& target) {
  if (x.shape() != target.shape()) mismatch(loss, x, target, "both have the same shape");
}
// Targets by class, some of which stand for no class at all.
class Classes {
 public:
  Classes(std::string_view loss, const Tensor& rows, const Tensor& target, int64_t ignored) : target_(target) {
    if (rows.rank() != 2 || target.rank() != 1 || target.dim(0) != rows.dim(0) || target.dtype() != DType::i64)
      mismatch(loss, rows, target,
               "predictions are [N, C]; targets are classes, i64 [N], or probabilities, floating [N, C]");
    ignored_ = equal(target, static_cast<double>(ignored));
  }
  // What the row of each sample says about its own class: [N].
  Tensor picked(const Tensor& rows) const {
    const Tensor classes = where(ignored_, zeros_like(target_), target_);
    return squeeze(gather(rows, 1, unsqueeze(classes, 1)), 1);
  }
  Tensor reduce(const Tensor& each, Reduction r) const {
    const Tensor counted = where(ignored_, zeros_like(each), each);
    if (r != Reduction::mean) return reduced(counted, r);
    return sum(counted) / sum(cast(logical_not(ignored_), each.dtype()));
  }

 private:
  Tensor target_, ignored_;
};

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& o) {
  if (o.smoothing < 0 || o.smoothing > 1)
    throw Error(Error::Kind::argument, str_cat("cross_entropy: smoothing=", o.smoothing, " is not from 0 to 1"));
  if (logits.rank() != 2) mismatch("cross_entropy", logits, target, "predictions are [N, C]");
  const Tensor rows = log_softmax(logits, 1);
  const auto smoothed = [&](const Tensor& loss) {
    return o.smoothing > 0 ? loss * (1 - o.smoothing) - mean(rows, {1}) * o.smoothing : loss;
  };
  if (is_floating(target.dtype())) {
    want_same_shape("cross_entropy", logits, target);
    return reduced(smoothed(-sum(rows * target, {1})), o.reduction);
  }
  const Classes classes("cross_entropy", rows, target, o.ignore_index);
  return classes.reduce(smoothed(-classes.picked(rows)), o.reduction);
}

Tensor nll_loss(const Tensor& log_probabilities, const Tensor& target, Reduction r, int64_t ignore_index) {
  const Classes classes("nll_loss", log_probabilities, target, ignore_index);
  return classes.reduce(-classes.picked(log_probabilities), r);
}

Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target, Reduction r) {
  want_same_shape("binary_cross_entropy_with_logits", x, target);
  return reduced(softplus(x) - x * target, r);
}
Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction r) {
  want_same_shape("mse_loss", x, target);
  return reduced(square(x - target), r);
}
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction r) {
  want_same_shape("l1_loss", x, target);
  return reduced(abs(x - target), r);
}
Tensor kl_div(const Tensor& log_probabilities, const Tensor& target, Reduction r) {
  want_same_shape("kl_div", log_probabilities, target);
  constexpr double kTiny = 1e-30;  // 0 log 0 is 0
  return reduced(target * (log(clamp_min(target, kTiny)) - log_probabilities), r);
}

}  // namespace fovea
