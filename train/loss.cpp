// SPDX-License-Identifier: Apache-2.0
#include "train/loss.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

const std::vector<std::string> kKinds{"ce", "bce", "asl", "poly", "jsd", "twoway", "zlpr", "db"};

// Classes become rows of zeros with a one; rows stay, in the logits' type.
Tensor dense(const Tensor& target, const Tensor& logits) {
  return is_floating(target.dtype()) || target.rank() == 2 ? cast(target, logits.dtype())
                                                           : one_hot(target, logits.dim(1), logits.dtype());
}
bool is_dense(const Tensor& target) { return target.rank() == 2; }
// Of one label: the rest is shared by all classes. Of several: towards one half.
Tensor smoothed(const Tensor& target, double s) {
  return s == 0 ? target : affine(target, 1 - s, s / static_cast<double>(target.dim(1)));
}
Tensor smoothed_apart(const Tensor& target, double s) { return s == 0 ? target : affine(target, 1 - s, s / 2); }

Tensor row(const std::vector<double>& values, const Tensor& like) {
  return cast(from<double>(values, {static_cast<int64_t>(values.size())}).to(like.device()), like.dtype());
}
Tensor over_batch(const Tensor& loss) { return sum(loss) / static_cast<double>(loss.dim(0)); }

struct CrossEntropy final : Loss {
  explicit CrossEntropy(double s) : smoothing(s) {}
  Tensor operator()(const Tensor& logits, const Tensor& target) const override {
    return cross_entropy(logits, target, {.smoothing = smoothing});
  }
  double smoothing;
};

// PyTorch's: a mean by the weights of the images' classes; of mixed targets by the number of images.
struct WeightedCrossEntropy final : Loss {
  explicit WeightedCrossEntropy(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const Tensor y = dense(target, x), weights = row(o.class_weight, x);
    const Tensor loss = -sum(smoothed(y, o.soft_targets ? 0 : o.smoothing) * (log_softmax(x, 1) * weights));
    return is_dense(target) ? loss / static_cast<double>(x.dim(0)) : loss / sum(y * weights);
  }
  LossOptions o;
};

struct BinaryCrossEntropy final : Loss {
  explicit BinaryCrossEntropy(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const double s = o.soft_targets ? 0 : o.smoothing;
    Tensor y = dense(target, x);
    if (!is_dense(target)) y = smoothed(y, s);
    else if (o.multi_label) y = smoothed_apart(y, s);
    if (o.bce_target_thresh) y = cast(greater(y, *o.bce_target_thresh), x.dtype());
    Tensor loss;
    if (o.pos_weight.empty()) {
      loss = softplus(x) - x * y;
    } else {
      const Tensor weight = (row(o.pos_weight, x) - 1.0) * y + 1.0;
      loss = (1.0 - y) * x + weight * softplus(-x);
    }
    if (!o.class_weight.empty()) loss = loss * row(o.class_weight, x);
    return o.bce_sum ? over_batch(loss) : mean(loss);
  }
  LossOptions o;
};

// https://arxiv.org/abs/2009.14119
struct AsymmetricApart final : Loss {
  explicit AsymmetricApart(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const Tensor y = smoothed_apart(dense(target, x), o.soft_targets ? 0 : o.smoothing), p = sigmoid(x);
    Tensor against = 1.0 - p;
    if (o.asl_clip > 0) against = clamp(against + o.asl_clip, -INFINITY, 1);
    Tensor positive = y * log(clamp_min(p, 1e-8));
    if (!o.pos_weight.empty()) positive = positive * row(o.pos_weight, x);
    Tensor loss = positive + (1.0 - y) * log(clamp_min(against, 1e-8));
    if (o.asl_gamma_neg > 0 || o.asl_gamma_pos > 0) {
      const Tensor chance = p * y + against * (1.0 - y);
      loss = loss * pow(1.0 - chance, affine(y, o.asl_gamma_pos - o.asl_gamma_neg, o.asl_gamma_neg));
    }
    if (!o.class_weight.empty()) loss = loss * row(o.class_weight, x);
    return -over_batch(loss);
  }
  LossOptions o;
};
struct AsymmetricSingle final : Loss {
  explicit AsymmetricSingle(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const Tensor y = dense(target, x), logs = log_softmax(x, 1), p = exp(logs);
    const Tensor chance = p * y + (1.0 - p) * (1.0 - y);
    const Tensor weight = pow(1.0 - chance, affine(y, o.asl_gamma_pos - o.asl_gamma_neg, o.asl_gamma_neg));
    return -over_batch(smoothed(y, o.smoothing) * (logs * weight));
  }
  LossOptions o;
};

// https://arxiv.org/abs/2204.12511
struct PolySingle final : Loss {
  explicit PolySingle(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    Tensor y = dense(target, x);
    if (!is_dense(target)) y = smoothed(y, o.soft_targets ? 0 : o.smoothing);
    const Tensor logs = log_softmax(x, 1);
    return mean((1.0 - sum(y * exp(logs), {1})) * o.poly_epsilon - sum(y * logs, {1}));
  }
  LossOptions o;
};
struct PolyApart final : Loss {
  explicit PolyApart(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const Tensor y = smoothed_apart(dense(target, x), o.soft_targets ? 0 : o.smoothing), p = sigmoid(x);
    const Tensor missed = 1.0 - (y * p + (1.0 - y) * (1.0 - p));
    Tensor loss = softplus(x) - x * y, poly = missed;
    if (o.poly_gamma != 0) {
      const Tensor focal = pow(missed, o.poly_gamma);
      loss = loss * focal;
      poly = poly * focal;
    }
    loss = loss + poly * o.poly_epsilon;
    if (o.poly_alpha) loss = loss * affine(y, 2 * *o.poly_alpha - 1, 1 - *o.poly_alpha);
    return mean(loss);
  }
  LossOptions o;
};

// https://arxiv.org/abs/1912.02781: the batch is the same images several times over, of which the first are plain.
struct JensenShannon final : Loss {
  explicit JensenShannon(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    constexpr double alpha = 12;
    if (x.dim(0) % o.jsd_splits != 0)
      throw Error(Error::Kind::shape, str_cat("a batch of ", x.dim(0), " in ", o.jsd_splits, " equal parts"));
    const int64_t n = x.dim(0) / o.jsd_splits;
    const std::vector<Tensor> parts = split(x, n, 0);
    Tensor mixture, divergence;
    std::vector<Tensor> chances;
    for (const Tensor& t : parts) {
      chances.push_back(softmax(t, 1));
      mixture = mixture ? mixture + chances.back() : chances.back();
    }
    const auto count = static_cast<double>(parts.size());
    const Tensor logs = log(clamp(mixture / count, 1e-7, 1));
    for (const Tensor& p : chances) {
      // p log p - p log m, and nothing where p is nothing
      const Tensor none = equal(p, 0.0), safe = where(none, scalar(1, p), p);
      const Tensor one = sum(p * log(safe) - p * logs) / static_cast<double>(n);
      divergence = divergence ? divergence + one : one;
    }
    return cross_entropy(parts[0], slice(target, 0, 0, n), {.smoothing = o.smoothing}) + divergence * (alpha / count);
  }
  LossOptions o;
};

// "Two-way Multi-Label Loss", CVPR 2023
struct TwoWay final : Loss {
  explicit TwoWay(const LossOptions& options) : o(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const Tensor yes = greater(dense(target, x), 0.5), hidden = scalar(-1e4, x), none = scalar(0, x);
    const Tensor positive = where(yes, x * (-1 / o.twoway_tp), hidden);
    const Tensor negative = where(yes, hidden, x * (1 / o.twoway_tn));
    Tensor loss;
    for (const int dim : {0, 1}) {
      const Tensor counts = any(yes, {dim});
      const Tensor hard = logsumexp(positive, dim) * o.twoway_tp + logsumexp(negative, dim) * o.twoway_tn;
      const Tensor one = sum(where(counts, softplus(hard), none)) / clamp_min(sum(cast(counts, x.dtype())), 1);
      loss = loss ? loss + one : one;
    }
    return loss;
  }
  LossOptions o;
};

// https://arxiv.org/abs/2208.02955
struct Zlpr final : Loss {
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const Tensor yes = greater(dense(target, x), 0.5), hidden = scalar(-1e30, x);
    const Tensor zero = zeros({x.dim(0), 1}, x.dtype(), x.device());
    const Tensor negative = logsumexp(cat({where(yes, hidden, x), zero}, 1), 1);
    const Tensor positive = logsumexp(cat({where(yes, -x, hidden), zero}, 1), 1);
    return mean(negative + positive);
  }
};

// https://arxiv.org/abs/2007.09654
struct DistributionBalanced final : Loss {
  explicit DistributionBalanced(const LossOptions& options) : o(options) {
    for (const double count : o.class_counts) {
      const double n = std::clamp(count, 1.0, o.num_samples - 1);
      rareness.push_back(1 / n);
      shift.push_back(-std::log(o.num_samples / n - 1) * o.db_init_bias / o.db_neg_scale);
    }
  }
  Tensor operator()(const Tensor& x, const Tensor& target) const override {
    const Tensor given = dense(target, x), rare = row(rareness, x);
    const Tensor ratio = rare / clamp_min(sum(given * rare, {1}, keep_dims), 1.1754943508222875e-38);
    const Tensor weight = sigmoid((ratio - 0.2) * 10.0) + 0.1;
    const Tensor y = smoothed_apart(given, o.soft_targets ? 0 : o.smoothing), z = x + row(shift, x);
    Tensor positive = softplus(-z), negative = softplus(z * o.db_neg_scale) / o.db_neg_scale;
    if (o.db_focal_gamma > 0) {
      positive = positive * pow(sigmoid(-z), o.db_focal_gamma) * 2.0;
      negative = negative * pow(sigmoid(z * o.db_neg_scale), o.db_focal_gamma) * 2.0;
    }
    return mean(weight * (y * positive + (1.0 - y) * negative));
  }
  LossOptions o;
  std::vector<double> rareness, shift;
};

[[noreturn]] void refuse(const std::string& what, const std::string& help = {}) {
  throw Error(Error::Kind::argument, what, help);
}

}  // namespace

std::shared_ptr<const Loss> classification_loss(const LossOptions& given) {
  LossOptions o = given;
  if (o.kind.empty()) o.kind = o.multi_label ? "bce" : "ce";
  const std::string& kind = o.kind;
  if (std::ranges::find(kKinds, kind) == kKinds.end())
    refuse(str_cat("no loss '", kind, "'"), str_cat("there are: ", join(kKinds, ", ")));
  if (!(o.smoothing >= 0 && o.smoothing < 1)) refuse(str_cat("smoothing=", o.smoothing, " is not from 0 to below 1"));
  if (o.multi_label && (kind == "ce" || kind == "jsd")) refuse(str_cat("the loss ", kind, " is of one label an image"));
  if (!o.multi_label && (kind == "twoway" || kind == "zlpr" || kind == "db"))
    refuse(str_cat("the loss ", kind, " is of several labels an image"));
  const bool weighted = !o.class_weight.empty() || !o.pos_weight.empty();
  const bool takes_weights =
      kind == "bce" || (kind == "asl" && o.multi_label) || (kind == "ce" && o.pos_weight.empty());
  if (weighted && !takes_weights)
    refuse(str_cat("the loss ", kind, " has no weights"));
  if (kind != "bce" && (o.bce_target_thresh || o.bce_sum)) refuse("a threshold of targets, and sums, are of bce alone");
  if (kind == "ce" && weighted) return std::make_shared<WeightedCrossEntropy>(o);
  if (kind == "ce") return std::make_shared<CrossEntropy>(o.soft_targets ? 0 : o.smoothing);
  if (kind == "bce") return std::make_shared<BinaryCrossEntropy>(o);
  if (kind == "asl") {
    if (o.multi_label) return std::make_shared<AsymmetricApart>(o);
    if (o.soft_targets) refuse("asl of one label wants classes, not mixed targets");
    return std::make_shared<AsymmetricSingle>(o);
  }
  if (kind == "poly") {
    if (o.multi_label) return std::make_shared<PolyApart>(o);
    if (o.poly_gamma != 0 || o.poly_alpha) refuse("poly's gamma and alpha are of several labels an image");
    return std::make_shared<PolySingle>(o);
  }
  if (kind == "jsd") {
    if (o.jsd_splits < 2) refuse("jsd compares the parts of a batch, two at least", "--aug-splits says how many");
    return std::make_shared<JensenShannon>(o);
  }
  if (kind == "twoway" || kind == "zlpr") {
    if (o.soft_targets || o.smoothing != 0) refuse(str_cat("the loss ", kind, " wants targets of 0 and 1"));
    if (kind == "twoway") return std::make_shared<TwoWay>(o);
    return std::make_shared<Zlpr>();
  }
  if (o.class_counts.empty() || o.num_samples < 2) refuse("db wants to know how many images of each class there are");
  return std::make_shared<DistributionBalanced>(o);
}

}  // namespace fovea::train
