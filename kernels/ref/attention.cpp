// SPDX-License-Identifier: Apache-2.0
// kernels/ref/attention.cpp — softmax(scale q k^T + mask) v, with the whole matrix of scores in memory.
#include <cmath>
#include <limits>

#include "kernels/ref/gemm.h"
#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// A row that may attend to nothing becomes zeros, as in PyTorch.
void softmax_or_zero(double* row, int64_t size) {
  double most = kMinusInfinity, sum = 0;
  for (int64_t i = 0; i < size; ++i) most = row[i] > most || std::isnan(row[i]) ? row[i] : most;
  if (most == kMinusInfinity) {
    for (int64_t i = 0; i < size; ++i) row[i] = 0;
    return;
  }
  for (int64_t i = 0; i < size; ++i) sum += row[i] = std::exp(row[i] - most);
  for (int64_t i = 0; i < size; ++i) row[i] /= sum;
}

void mask_scores(const Source& mask, std::vector<double>& scores) {
  const std::vector<double> values = load<double>(mask);
  const bool may_attend = mask.meta.dtype == DType::boolean;
  for (size_t i = 0; i < scores.size(); ++i)
    if (!may_attend) scores[i] += values[i];
    else if (values[i] == 0) scores[i] = kMinusInfinity;
}

struct Sizes {
  int64_t queries, keys, depth, values;            // L, S, D, E
};

std::vector<double> attend(const AttentionAttrs& attrs, const Sizes& n, const Source& q, const Source& k,
                           const Source& v, const Source* mask) {
  const std::vector<double> queries = load<double>(q), keys = load<double>(k.swapped(0, 1)), values = load<double>(v);
  std::vector<double> scores(static_cast<size_t>(n.queries * n.keys)), out(static_cast<size_t>(n.queries * n.values));
  multiply_add(n.queries, n.keys, n.depth, queries.data(), n.depth, keys.data(), n.keys, scores.data(), n.keys);
  for (double& s : scores) s *= static_cast<double>(attrs.scale);
  if (mask) mask_scores(*mask, scores);
  for (int64_t i = 0; i < n.queries; ++i) {
    double* row = scores.data() + i * n.keys;
    if (attrs.causal)
      for (int64_t j = i + 1; j < n.keys; ++j) row[j] = kMinusInfinity;
    softmax_or_zero(row, n.keys);
  }
  multiply_add(n.queries, n.values, n.keys, scores.data(), n.keys, values.data(), n.values, out.data(), n.values);
  return out;
}

void sdpa(const Run& r) {
  const Target y = r.out();
  const int lead = y.rank() - 2;
  const Shape batch(y.shape().begin(), y.shape().begin() + lead);
  const auto repeated = [&](const Source& s, int64_t rows, int64_t columns) {
    Shape shape = batch;
    shape.push_back(rows);
    shape.push_back(columns);
    return s.expanded(shape);
  };
  const Sizes n{y.dim(lead), r.in(1).dim(r.in(1).rank() - 2), r.in(0).dim(r.in(0).rank() - 1), y.dim(lead + 1)};
  const Source q = repeated(r.in(0), n.queries, n.depth), k = repeated(r.in(1), n.keys, n.depth);
  const Source v = repeated(r.in(2), n.keys, n.values);
  const bool masked = r.has(3);
  const Source mask = masked ? repeated(r.in(3), n.queries, n.keys) : Source{};
  const auto front = [&](const Meta& m) { return Strides(m.strides.begin(), m.strides.begin() + lead); };
  const std::array<Strides, 5> strides{front(y.meta), front(q.meta), front(k.meta), front(v.meta),
                                       masked ? front(mask.meta) : Dims::filled(lead, 0)};
  const RowWalk<5> walk(batch, strides, RowWalk<5>::logical);
  walk([&](const auto& at, int64_t size, const auto& step) {
    for (int64_t i = 0; i < size; ++i) {
      const auto one = [&](const auto& view, size_t which) {
        return view.trailing(lead).advanced(at[which] + i * step[which]);
      };
      const Source m = masked ? one(mask, 4) : Source{};
      const auto& attrs = r.attrs<AttentionAttrs>();
      store(attend(attrs, n, one(q, 1), one(k, 2), one(v, 3), masked ? &m : nullptr).data(), one(y, 0));
    }
  });
}

}  // namespace

std::span<const Kernel> attention_kernels() {
  static constexpr Kernel table[] = {{&ops::sdpa, no_half<sdpa>}};
  return table;
}

}  // namespace fovea::ref
