// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/rules.h"

#include <algorithm>

namespace fovea {

void reject(const OpDef& op, std::initializer_list<Tensor> in, const std::string& what) {
  Metas metas;
  for (const Tensor& t : in) metas.push_back(t ? t.meta() : Meta{});
  Site{op, metas, {}, {}}.fail(what);
}

int axis_of(const OpDef& op, const Tensor& x, int64_t dim, int extra) {
  const int rank = x.rank() + extra;
  const int64_t at = dim < 0 ? dim + rank : dim;
  if (at < 0 || at >= rank) reject(op, {x}, str_cat("dim=", dim, " is outside a tensor of rank ", rank));
  return static_cast<int>(at);
}

Dims axes_of(const OpDef& op, const Tensor& x, const Dims& dims) {
  Dims out;
  if (dims.empty())
    for (int i = 0; i < x.rank(); ++i) out.push_back(i);
  for (int64_t d : dims) out.push_back(axis_of(op, x, d));
  std::sort(out.begin(), out.end());
  if (std::adjacent_find(out.begin(), out.end()) != out.end())
    reject(op, {x}, str_cat("dims ", dims, " name an axis twice"));
  return out;
}

// Both shapes are cut into the shortest runs of equal size; a run of x must be one arithmetic progression.
std::optional<Strides> reshape_strides(const Meta& x, const Shape& s) {
  if (x.numel() == 0) return contiguous_strides(s);
  Strides out = Dims::filled(s.size(), 1);
  int to = s.size() - 1;
  int64_t run = 1, filled = 1, step = 1;
  bool started = false;
  for (int i = x.rank() - 1; i >= 0; --i) {
    if (x.shape[i] == 1) continue;
    if (!started) step = x.strides[i], started = true, run = filled = 1;
    else if (x.strides[i] != step * run) return std::nullopt;
    run *= x.shape[i];
    for (; to >= 0 && filled * s[to] <= run && run % (filled * s[to]) == 0; --to) {
      out[to] = step * filled;
      filled *= s[to];
    }
    if (filled == run) started = false;
  }
  for (int64_t above = to + 1 < s.size() ? out[to + 1] * s[to + 1] : 1; to >= 0; --to) out[to] = above;
  return out;
}

Dims spatial(const Shape& s) { return Dims(s.begin() + std::min(2, s.size()), s.end()); }

Shape with_spatial(int64_t n, int64_t c, const Dims& size) {
  Shape s{n, c};
  for (int64_t d : size) s.push_back(d);
  return s;
}

int64_t step_count(const SliceAttrs& a) { return a.stop > a.start ? (a.stop - a.start - 1) / a.step + 1 : 0; }

Shape with_dim(Shape s, int dim, int64_t size) {
  s[dim] = size;
  return s;
}

Dims per_axis(const OpDef& op, const Tensor& x, const char* name, const Dims& given, int n) {
  if (given.size() == n) return given;
  if (given.size() != 1) reject(op, {x}, str_cat(name, "=", given, " for ", n, " spatial dimensions"));
  return Dims::filled(n, given[0]);
}

int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, int64_t lo, int64_t hi,
                     bool ceil_mode) {
  const int64_t room = size + lo + hi - dilation * (kernel - 1) - 1 + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  int64_t count = room / stride + 1;
  if (ceil_mode && (count - 1) * stride >= size + lo) --count;
  return count;
}

int64_t weights_work(const Site& s) { return s.result().numel() * (s.operand(1).numel() / s.operand(1).dim(0)); }

Tensor zeros_view(const Meta& m) { return expand(scalar(0, m.dtype, m.device), m.shape); }

Tensor along_channels(const Tensor& v, int rank) {
  Shape s = Dims::filled(rank, 1);
  s[1] = v.numel();
  return reshape(v, s);
}

Dims all_but_channels(int rank) {
  Dims axes{0};
  for (int i = 2; i < rank; ++i) axes.push_back(i);
  return axes;
}

}  // namespace fovea
