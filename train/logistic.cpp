// SPDX-License-Identifier: Apache-2.0
#include "train/logistic.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/core/finite.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double s = 0;
  for (size_t i = 0; i < a.size(); ++i) s += a[i] * b[i];
  return s;
}
void add_scaled(Vector& to, double factor, const Vector& v) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += factor * v[i];
}
double largest(const Vector& v) {
  double most = 0;
  for (const double x : v) most = std::max(most, std::fabs(x));
  return most;
}

// The mean objective over the weighted images, with its gradient, at weights [classes, D] and biases [classes] in a
// row. Features are centred: biases then do not depend on weights, and L-BFGS needs fewer steps to the same minimum.
class Objective {
 public:
  Objective(const Tensor& features, std::span<const int64_t> labels, int64_t classes, const LogisticOptions& o)
      : classes_(classes),
        size_(features.dim(1)),
        mean_(mean(features, {0}, keep_dims)),
        x_(contiguous(features - mean_)),
        truth_(one_hot(from(labels, {features.dim(0)}), classes)),
        l2_(o.l2) {
    Tensor weights = ones({features.dim(0), 1});
    const std::span<float> w = weights.mutable_data<float>();
    if (!o.class_weight.empty())
      for (size_t i = 0; i < labels.size(); ++i)
        w[i] = static_cast<float>(o.class_weight[static_cast<size_t>(labels[i])]);
    for (const float v : w) total_ += static_cast<double>(v);
    weights_ = weights;
  }
  size_t parameters() const { return static_cast<size_t>(classes_ * (size_ + 1)); }

  double operator()(const Vector& at, Vector& gradient) const {
    const auto [w, b] = tensors(at);
    const Tensor logs = log_softmax(linear(x_, w, b), 1);
    const Tensor losses = sum(logs * truth_, {1}, keep_dims) * weights_;
    double loss = 0;
    for (const float v : contiguous(losses).data<float>()) loss -= static_cast<double>(v);
    const Tensor wrong = (exp(logs) - truth_) * weights_;
    const Tensor slope = contiguous(matmul(transpose(wrong, 0, 1), x_)), lift = contiguous(sum(wrong, {0}));
    gradient.resize(at.size());
    const std::span<const float> dw = slope.data<float>(), db = lift.data<float>();
    const size_t weights = dw.size();
    double penalty = 0;
    for (size_t i = 0; i < weights; ++i) {
      gradient[i] = (static_cast<double>(dw[i]) + l2_ * at[i]) / total_;
      penalty += at[i] * at[i];
    }
    for (size_t i = 0; i < db.size(); ++i) gradient[weights + i] = static_cast<double>(db[i]) / total_;
    return (loss + l2_ / 2 * penalty) / total_;
  }

  // For features that are not centred.
  void write(const Vector& at, LogisticFit& out) const {
    const auto [w, b] = tensors(at);
    out.weight = w;
    out.bias = contiguous(reshape(b - squeeze(linear(mean_, w), 0), {classes_}));
  }
  double total() const { return total_; }

 private:
  std::pair<Tensor, Tensor> tensors(const Vector& at) const {
    Tensor w = empty(Shape{classes_, size_}), b = empty(Shape{classes_});
    const std::span<float> to = w.mutable_data<float>(), biases = b.mutable_data<float>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>(at[i]);
    for (size_t i = 0; i < biases.size(); ++i) biases[i] = static_cast<float>(at[to.size() + i]);
    return {w, b};
  }

  int64_t classes_, size_;
  Tensor mean_, x_, truth_, weights_;
  double l2_, total_ = 0;
};

// The last steps and what the gradient changed by in each: an inverse Hessian in a few vectors.
class History {
 public:
  void add(Vector step, Vector change) {
    const double curvature = dot(step, change);
    if (!(curvature > 1e-12 * dot(change, change))) return;
    pairs_.push_back({std::move(step), std::move(change), 1 / curvature});
    if (pairs_.size() > 10) pairs_.pop_front();
  }
  Vector direction(const Vector& gradient) const {
    Vector q = gradient;
    std::vector<double> alpha(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = pairs_[i].inverse * dot(pairs_[i].step, q);
      add_scaled(q, -alpha[i], pairs_[i].change);
    }
    if (!pairs_.empty()) {
      const Pair& last = pairs_.back();
      const double scale = 1 / (last.inverse * dot(last.change, last.change));
      for (double& v : q) v *= scale;
    }
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const double beta = pairs_[i].inverse * dot(pairs_[i].change, q);
      add_scaled(q, alpha[i] - beta, pairs_[i].step);
    }
    for (double& v : q) v = -v;
    return q;
  }
  bool empty() const { return pairs_.empty(); }
  void clear() { pairs_.clear(); }

 private:
  struct Pair {
    Vector step, change;
    double inverse;
  };
  std::deque<Pair> pairs_;
};

struct Point {
  Vector at, gradient;
  double value = 0;
};

// A point along the direction that keeps Wolfe's weak conditions, by bisection; false where there is none. Near the
// minimum f32 tells slopes apart, values no more: there Hager and Zhang's approximate condition stands for the first
// one (https://doi.org/10.1137/030601880).
bool search(const Objective& f, const Point& from, const Vector& direction, double first, Point& to) {
  constexpr double kDecrease = 1e-4, kCurvature = 0.9, kAlike = 1e-6;
  const double slope = dot(from.gradient, direction);
  double low = 0, high = INFINITY, t = first;
  for (int i = 0; i < 30; ++i) {
    to.at = from.at;
    add_scaled(to.at, t, direction);
    to.value = f(to.at, to.gradient);
    const double slope_there = dot(to.gradient, direction);
    const bool falls = to.value <= from.value + kDecrease * t * slope;
    const bool falls_by_slope = to.value <= from.value + kAlike * std::fabs(from.value) &&
                                slope_there <= (2 * kDecrease - 1) * slope;
    if (!falls && !falls_by_slope) high = t;
    else if (slope_there < kCurvature * slope) low = t;
    else return true;
    t = std::isinf(high) ? 2 * low : (low + high) / 2;
  }
  return to.value < from.value;
}

void check(const Tensor& features, std::span<const int64_t> labels, int64_t classes, const LogisticOptions& o) {
  const auto refuse = [](const std::string& what) { throw Error(Error::Kind::argument, what); };
  if (features.rank() != 2 || features.dim(0) != static_cast<int64_t>(labels.size()) || labels.empty())
    refuse(str_cat("features ", features.shape(), " and ", labels.size(), " labels: a row is wanted for each"));
  if (!all_finite(features)) refuse("features that are not finite have no best classifier");
  if (classes < 2) refuse(str_cat("a classifier of ", classes, " classes"));
  for (const int64_t label : labels)
    if (label < 0 || label >= classes) refuse(str_cat("a label ", label, " of ", classes, " classes"));
  if (!(o.l2 >= 0)) refuse(str_cat("l2=", o.l2, " is not 0 or more"));
  if (!o.class_weight.empty() && static_cast<int64_t>(o.class_weight.size()) != classes)
    refuse(str_cat(o.class_weight.size(), " weights of ", classes, " classes"));
}

}  // namespace

LogisticFit fit_logistic(const Tensor& features, std::span<const int64_t> labels, int64_t classes,
                         const LogisticOptions& o) {
  check(features, labels, classes, o);
  const NoGrad no_grad;
  const Objective f(features, labels, classes, o);
  LogisticFit out;
  Point now{.at = Vector(f.parameters()), .gradient = {}};
  now.value = f(now.at, now.gradient);
  History history;
  Point next;
  while (true) {
    out.converged = largest(now.gradient) <= o.tolerance;
    if (out.converged || out.iterations >= o.most_iterations) break;
    Vector direction = history.direction(now.gradient);
    if (!(dot(direction, now.gradient) < 0)) {
      history.clear();
      direction = history.direction(now.gradient);
    }
    const double first = history.empty() ? 1 / std::max(1e-12, std::sqrt(dot(now.gradient, now.gradient))) : 1;
    if (!search(f, now, direction, first, next)) {
      if (history.empty()) break;
      history.clear();
      continue;
    }
    ++out.iterations;
    Vector step = next.at, change = next.gradient;
    add_scaled(step, -1, now.at);
    add_scaled(change, -1, now.gradient);
    history.add(std::move(step), std::move(change));
    std::swap(now, next);
  }
  out.objective = now.value * f.total();
  f.write(now.at, out);
  return out;
}

Tensor logits_of(const LogisticFit& fit, const Tensor& features) {
  const NoGrad no_grad;
  return contiguous(linear(features, fit.weight, fit.bias));
}

double accuracy(const Tensor& logits, std::span<const int64_t> labels) {
  const Tensor said = argmax(logits, 1);
  const std::span<const int64_t> answers = said.data<int64_t>();
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += answers[i] == labels[i];
  return labels.empty() ? 0 : 100 * static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace fovea::train
