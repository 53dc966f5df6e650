// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/kron.cpp — PSGD with a triangular preconditioner for each dimension of a parameter:
// https://arxiv.org/abs/1512.04202, https://github.com/lixilinx/psgd_torch.
#include <cmath>

#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

constexpr double kTiny = 1.1754943508222875e-38;   // the least normal number of bf16

Tensor identity(int64_t n, const Tensor& like) {
  const Tensor i = arange(0, n, 1, DType::i64, like.device());
  return cast(equal(reshape(i, {n, 1}), i), like.dtype());
}
Tensor upper(const Tensor& x) {
  const int64_t n = x.dim(0);
  const Tensor i = arange(0, n, 1, DType::i64, x.device());
  return x * cast(less_equal(reshape(i, {n, 1}), i), x.dtype());
}
Tensor largest(const Tensor& x) { return amax(abs(x)); }

// The inverse of an upper triangular matrix. Diagonal blocks are inverted first, then pairs of them joined, so that
// log2(n) rounds of products do it.
Tensor inverse(const Tensor& q) {
  const int64_t n = q.dim(0);
  int64_t size = 1;
  while (size < n) size *= 2;
  Tensor whole = q;
  if (size > n) {
    const Tensor i = arange(0, size, 1, DType::i64, q.device());
    const Tensor first = full({}, static_cast<double>(n), DType::i64, q.device());
    const Tensor ones = logical_and(equal(reshape(i, {size, 1}), i), greater_equal(i, first));
    whole = pad(q, {0, 0}, {size - n, size - n}) + cast(ones, q.dtype());
  }
  Tensor blocks = reshape(reciprocal(sum(whole * identity(size, q), {1})), {size, 1, 1});
  for (int64_t s = 1; s < size; s *= 2) {
    const int64_t pairs = size / (2 * s);
    const Tensor tiles = reshape(permute(reshape(whole, {pairs, 2 * s, pairs, 2 * s}), {0, 2, 1, 3}),
                                 {pairs * pairs, 2 * s, 2 * s});
    const Tensor diagonal = arange(0, pairs * pairs, pairs + 1, DType::i64, q.device());
    const Tensor corner = narrow(narrow(index_select(tiles, 0, diagonal), 1, 0, s), 2, s, s);
    const Tensor two = reshape(blocks, {pairs, 2, s, s}), first = select(two, 1, 0), second = select(two, 1, 1);
    const Tensor beside = -matmul(first, matmul(corner, second));
    blocks = cat({cat({first, beside}, 2), cat({zeros_like(first), second}, 2)}, 1);
  }
  const Tensor out = reshape(blocks, {size, size});
  return size > n ? narrow(narrow(out, 0, 0, n), 1, 0, n) : out;
}

// A lower bound of the largest singular value.
Tensor spectral_bound(const Tensor& a) {
  const Tensor most = largest(a), some = greater(most, 0.0);
  const Tensor x = a / where(some, most, scalar(1, most));
  const Tensor row = index_select(x, 0, reshape(argmax(sum(square(x), {1}), 0), {1}));
  const Tensor turned = matmul(row, x, {.transpose_b = true});
  const Tensor length = norm(turned, {0, 1});
  const Tensor again = matmul(turned / where(some, length, scalar(1, length)), x);
  return where(some, most * norm(again, {0, 1}), most);
}

// One dimension goes through a matrix (or, where it is a vector, is multiplied by it).
Tensor along(const Tensor& x, int dim, const Tensor& w) {
  if (w.rank() == 1) {
    Shape s = Dims::filled(x.rank(), 1);
    s[dim] = w.dim(0);
    return x * reshape(w, s);
  }
  const int last = x.rank() - 1;
  return transpose(linear(transpose(x, dim, last), w), dim, last);
}

// Products of slices along one dimension with each other; for a diagonal preconditioner each with itself.
Tensor gram(const Tensor& x, int dim, bool diagonal) {
  const Tensor front = transpose(x, 0, dim);
  const Tensor rows = reshape(front, {x.dim(dim), x.numel() / x.dim(dim)});
  return diagonal ? sum(square(rows), {1}) : matmul(rows, rows, {.transpose_b = true});
}

class Kron final : public Rule {
 public:
  explicit Kron(Settings& s)
      : momentum_(s.get("momentum", 0.9, 0, 1)), rate_(s.get("precond_lr", 0.1)),
        first_(s.get("precond_init_scale", 1)), most_(s.get("max_size_triangular", 2048)),
        least_rank_(s.get("min_ndim_triangular", 2)), prob_(s.get("preconditioner_update_probability", 0, 0, 1)),
        by_momentum_(s.flag("momentum_into_precond_update", true)), decoupled_(s.flag("decoupled_decay")),
        corrected_(s.flag("corrected_weight_decay")) {}

  std::vector<Keeps> keeps(const Tensor& p, const Hyper&) const override {
    std::vector<Keeps> out{{"momentum_buffer", zeros_for(p)}, {"update_counter", scalar(0, DType::f64, p.device())}};
    const Tensor x = spread(p);
    const double scale = std::pow(first_, 1.0 / x.rank());
    for (int i = 0; i < x.rank(); ++i)
      out.push_back({str_cat("Q.", i), diagonal(x, i) ? full({x.dim(i)}, scale, p.dtype(), p.device())
                                                      : identity(x.dim(i), p) * scale});
    return out;
  }
  // How probable it is that preconditioners change in this step, as one over it; and what momentum lacks.
  std::vector<Number> numbers(const Hyper& h) const override {
    return {prob_ > 0 ? Number(1 / prob_) : 1 / maximum(0.03, minimum(1, exponential(h.step - 501))),
            bias_correction(momentum_, h)};
  }

  Tensor next(const Turn& t) const override {
    const Number count = Number(t.kept[1]) + 1;
    const Number due = where_greater(t.shared[0], count, 0, 1);
    t.kept[1] = (count * (1 - due)).as(t.kept[1]);
    const Tensor now = greater(due.as(t.p), 0.5);
    t.kept[0] = average(t.kept[0], t.g, momentum_);
    const Tensor m = spread(t.kept[0] / t.shared[1]);
    const std::span<Tensor> q = t.kept.subspan(2);
    if (t.p.rank() > 1) balance(q, logical_and(now, less(t.draws->uniform(t.key + 1, t.p), 0.01)));
    follow(q, by_momentum_ ? m : spread(t.g), t.draws->normal(m.shape(), t.key, t.p), now);

    Tensor d = m;
    for (int i = 0; i < m.rank(); ++i) {
      const Tensor& w = q[static_cast<size_t>(i)];
      d = along(along(d, i, w), i, w.rank() == 1 ? w : transpose(w, 0, 1));
    }
    d = reshape(d * clamp(1.1 / (sqrt(mean(square(d))) + 1e-8), 0, 1), t.p.shape());
    if (decoupled_) return decayed(t.p, t.h, corrected_) - d * t.h.lr;
    return t.p - with_decay(d, t.p, t.h) * t.h.lr;
  }

 private:
  static Tensor spread(const Tensor& x) { return x.rank() == 0 ? reshape(x, {1}) : x; }
  static Number exponential(const Number& late) { return pow(Number(std::exp(-0.001)), late); }
  bool diagonal(const Tensor& x, int i) const {
    return x.dim(i) == 1 || static_cast<double>(x.dim(i)) > most_ || x.rank() < least_rank_;
  }

  // All are as large as each other.
  static void balance(std::span<Tensor> q, const Tensor& now) {
    Tensor product;
    for (const Tensor& w : q) product = product ? product * largest(w) : largest(w);
    const Tensor middle = pow(product, 1.0 / static_cast<double>(q.size()));
    for (Tensor& w : q) w = where(now, w * (middle / largest(w)), w);
  }

  void follow(std::span<Tensor> q, const Tensor& g, const Tensor& noise, const Tensor& now) const {
    Tensor a = g, b = noise;
    for (int i = 0; i < g.rank(); ++i) {
      const Tensor& w = q[static_cast<size_t>(i)];
      a = along(a, i, w);
      b = along(b, i, w.rank() == 1 ? reciprocal(w) : transpose(inverse(w), 0, 1));
    }
    for (int i = 0; i < g.rank(); ++i) {
      Tensor& w = q[static_cast<size_t>(i)];
      const bool flat = w.rank() == 1;
      const Tensor one = gram(a, i, flat), other = gram(b, i, flat), both = one + other;
      Tensor change = (one - other) * rate_;
      if (flat) change = change * w / (largest(both) + kTiny);
      else change = matmul(upper(change) / (spectral_bound(both) + kTiny), w);
      w = where(now, w - change, w);
    }
  }

  double momentum_, rate_, first_, most_, least_rank_, prob_;
  bool by_momentum_, decoupled_, corrected_;
};

}  // namespace

RulePtr make_kron(Settings& s) { return std::make_shared<Kron>(s); }

}  // namespace fovea::train
