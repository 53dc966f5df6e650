// SPDX-License-Identifier: Apache-2.0
#include "train/neighbours.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

constexpr int64_t kAtATime = 256;                  // queries, so that the cosines stay small

// One row of votes from the nearest rows, nearest first; `self` is passed over.
void vote(std::span<const float> cosines, std::span<const int64_t> rows, std::span<const int64_t> labels, int64_t self,
          const NeighbourOptions& o, std::span<float> to) {
  double sum = 0;
  std::vector<double> votes(to.size());
  int64_t counted = 0;
  for (size_t i = 0; i < rows.size() && counted < o.k; ++i) {
    if (rows[i] == self) continue;
    const double weight = std::exp((static_cast<double>(cosines[i]) - 1) / o.temperature);
    votes[static_cast<size_t>(labels[static_cast<size_t>(rows[i])])] += weight;
    sum += weight;
    ++counted;
  }
  for (size_t c = 0; c < to.size(); ++c) to[c] = static_cast<float>(sum > 0 ? votes[c] / sum : 0);
}

}  // namespace

Tensor neighbour_votes(const Tensor& known, std::span<const int64_t> labels, const Tensor& queries, int64_t classes,
                       const NeighbourOptions& o) {
  const int64_t others = known.dim(0) - (o.leave_one_out ? 1 : 0);
  if (known.dim(0) != static_cast<int64_t>(labels.size()))
    throw Error(Error::Kind::argument, str_cat(known.dim(0), " known images with ", labels.size(), " labels"));
  if (o.k < 1 || o.k > others)
    throw Error(Error::Kind::argument, str_cat("k=", o.k, " neighbours of ", others, " images"));
  if (!(o.temperature > 0)) throw Error(Error::Kind::argument, str_cat("temperature=", o.temperature));
  if (o.leave_one_out && queries.dim(0) != known.dim(0))
    throw Error(Error::Kind::argument, "queries that are left out one by one are the known images");
  for (const int64_t label : labels)
    if (label < 0 || label >= classes)
      throw Error(Error::Kind::argument, str_cat("a label ", label, " of ", classes, " classes"));
  const NoGrad no_grad;
  const Tensor rows = transpose(normalize(known, 1), 0, 1);
  Tensor out = empty(Shape{queries.dim(0), classes});
  for (int64_t first = 0; first < queries.dim(0); first += kAtATime) {
    const int64_t n = std::min(kAtATime, queries.dim(0) - first);
    const Tensor cosines = matmul(normalize(narrow(queries, 0, first, n), 1), rows);
    const auto [best, where] = topk(cosines, o.k + (o.leave_one_out ? 1 : 0), 1);
    const Tensor values = contiguous(best), places = contiguous(where);
    const auto k = static_cast<size_t>(places.dim(1));
    for (int64_t i = 0; i < n; ++i)
      vote(values.data<float>().subspan(static_cast<size_t>(i) * k, k),
           places.data<int64_t>().subspan(static_cast<size_t>(i) * k, k), labels, o.leave_one_out ? first + i : -1, o,
           out.mutable_data<float>().subspan(static_cast<size_t>((first + i) * classes),
                                             static_cast<size_t>(classes)));
  }
  return out;
}

}  // namespace fovea::train
