// SPDX-License-Identifier: Apache-2.0
// nn/layers/relative_bias.cpp — relative positions, their bias, and tables for other windows.
#include "nn/layers/relative_bias.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/adapted.h"
#include "nn/layers/last_made.h"

namespace fovea {
namespace {

Size2 offsets_of(Size2 window) { return {2 * window.h - 1, 2 * window.w - 1}; }
int64_t count(Size2 n) { return static_cast<int64_t>(n.h) * n.w; }

// Where `from` old rows lie among `to` new ones, both counted from the middle: at 0, 1, 1 + q, 1 + q + q^2, ... with
// the ratio q for which the last one is the last new row.
std::vector<double> stretched(int from, int to) {
  double low = 1.01, high = 1.5, q = 0;
  while (high - low > 1e-6) {
    q = (low + high) / 2;
    const double reach = (1 - std::pow(q, from / 2)) / (1 - q);
    (reach > to / 2 ? high : low) = q;
  }
  std::vector<double> at{0};
  double distance = 0;
  for (int i = 0; i < from / 2; ++i) {
    distance += std::pow(q, i);
    at.insert(at.begin(), -distance);
    at.push_back(distance);
  }
  return at;
}

// Two old rows and the share of the second.
struct Between {
  size_t low = 0, high = 0;
  double share = 1;
};

std::vector<Between> between(int from, int to) {
  const std::vector<double> at = stretched(from, to);
  std::vector<Between> all;
  for (int i = 0; i < to; ++i) {
    const double x = i - to / 2;
    Between b;
    b.high = std::min(static_cast<size_t>(std::ranges::lower_bound(at, x) - at.begin()), at.size() - 1);
    b.low = b.high > 0 ? b.high - 1 : 0;
    if (b.high > b.low) b.share = std::min((x - at[b.low]) / (at[b.high] - at[b.low]), 1.0);
    all.push_back(b);
  }
  return all;
}

Size2 old_offsets(int64_t rows, Size2 wanted) {
  const auto side = static_cast<int>(std::sqrt(static_cast<double>(rows)));
  if (count(side) == rows) return side;
  if (count(wanted) == rows) return wanted;
  throw Error(Error::Kind::weights, str_cat("a table of ", rows, " relative positions is of no square window"),
              current_scope());
}

Tensor positions_of(Size2 window, bool class_token) {
  const int64_t first = class_token ? 1 : 0, area = count(window), side = first + area,
                offsets = count(offsets_of(window));
  Tensor index = empty({side, side}, DType::i64);
  const std::span<int64_t> row = index.mutable_data<int64_t>();
  const auto of = [&](int64_t i, int64_t j) {
    const int64_t down = i / window.w - j / window.w + window.h - 1, right = i % window.w - j % window.w + window.w - 1;
    return down * offsets_of(window).w + right;
  };
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j)
      row[static_cast<size_t>(i * side + j)] = i >= first && j >= first ? of(i - first, j - first)
                                               : i > 0                  ? offsets + 1
                                               : j > 0                  ? offsets
                                                                        : offsets + 2;
  return index;
}

}  // namespace

Tensor relative_positions(Size2 window, bool class_token) {
  static thread_local LastMade<std::pair<Size2, bool>> last;
  return last.of({window, class_token}, [&] { return positions_of(window, class_token); });
}

Tensor relative_bias(const Tensor& table, const Tensor& positions) {
  return index_select(transpose(table, 0, 1), 1, positions);
}

Tensor resample_relative_bias(const Tensor& table, Size2 window, std::optional<Size2> old, bool class_token) {
  if (class_token) {
    const int64_t offsets = table.dim(0) - 3;
    const Tensor own = slice(table, 0, offsets, offsets + 3);
    return cat({resample_relative_bias(slice(table, 0, 0, offsets), window, old), own}, 0);
  }
  const Size2 to = offsets_of(window), from = old ? offsets_of(*old) : old_offsets(table.dim(0), to);
  if (count(from) != table.dim(0))
    throw Error(Error::Kind::shape,
                str_cat(table.dim(0), " relative positions are not those of a window of ", old->h, " x ", old->w),
                current_scope());
  if (from == to) return table;
  say_adapted(str_cat("relative position bias resampled from windows of ", (from.h + 1) / 2, " x ", (from.w + 1) / 2,
                      " to ", window.h, " x ", window.w));
  const NoGrad no_grad;
  const auto heads = static_cast<size_t>(table.dim(1)), columns = static_cast<size_t>(from.w);
  const Tensor dense = contiguous(cast(on_host(table), DType::f32));
  const std::span<const float> x = dense.data<float>();
  Tensor out = empty({count(to), table.dim(1)});
  float* y = out.mutable_data<float>().data();
  const std::vector<Between> rows = between(from.h, to.h), places = between(from.w, to.w);
  for (const Between& r : rows)
    for (const Between& p : places)
      for (size_t head = 0; head < heads; ++head) {
        const auto old_value = [&](size_t i, size_t j) {
          return static_cast<double>(x[(i * columns + j) * heads + head]);
        };
        const auto line = [&](size_t i) { return std::lerp(old_value(i, p.low), old_value(i, p.high), p.share); };
        *y++ = static_cast<float>(std::lerp(line(r.low), line(r.high), r.share));
      }
  return cast(out, table.dtype()).to(table.device());
}

RelativeTable::RelativeTable(Param table, Param positions, Size2 window, bool class_token)
    : table_(std::move(table)),
      positions_(std::move(positions)),
      window_(window),
      class_token_(class_token) {}

Shape RelativeTable::shape(Size2 window, int heads, bool class_token) {
  return {count(offsets_of(window)) + (class_token ? 3 : 0), heads};
}

void RelativeTable::set_window(Size2 window) {
  if (window == window_) return;
  const Tensor old = table_;
  const auto heads = static_cast<int>(old.dim(1));
  Tensor table = old.has_bytes() ? contiguous(resample_relative_bias(old.detach(), window, window_, class_token_))
                                 : meta_tensor(make_meta(old.dtype(), shape(window, heads, class_token_),
                                                         Memory::contiguous, old.device()));
  table.set_requires_grad(old.requires_grad());
  table_.set(table);
  positions_.set(relative_positions(window, class_token_).to(positions_->device()));
  window_ = window;
}

}  // namespace fovea
