// SPDX-License-Identifier: Apache-2.0
// nn/layers/pos_embed.cpp — resampling of position embeddings and patch kernels.
#include "nn/layers/pos_embed.h"

#include <cmath>

#include "engine/core/eager.h"
#include "engine/ops/ops.h"
#include "nn/adapted.h"

namespace fovea {
namespace {

// A small dense matrix in double precision.
struct Matrix {
  int rows, cols;
  std::vector<double> v;
  Matrix(int r, int c) : rows(r), cols(c), v(static_cast<size_t>(r) * static_cast<size_t>(c)) {}
  size_t place(int i, int j) const {
    return static_cast<size_t>(i) * static_cast<size_t>(cols) + static_cast<size_t>(j);
  }
  double& at(int i, int j) { return v[place(i, j)]; }
  double at(int i, int j) const { return v[place(i, j)]; }
};

Tensor resized(const Tensor& map, int h, int w, const ResampleOptions& o) {
  const InterpolateOptions options{
      .mode = o.mode, .align_corners = o.align_corners, .antialias = o.antialias, .scale = {}};
  return interpolate(map, {h, w}, options);
}

// What resizing does to one dimension: result[new] = sum over old of m[old][new] x[old].
Matrix resizing(int from, int to, const ResampleOptions& o) {
  Eager now;                                       // the numbers are wanted while a forward is traced, too
  const UseExecutor use(now);
  const Tensor basis = contiguous(resized(reshape(eye(from), {from, 1, 1, from}), 1, to, o));
  Matrix m(from, to);
  for (size_t i = 0; i < m.v.size(); ++i) m.v[i] = static_cast<double>(basis.data<float>()[i]);
  return m;
}

// Solves a x = b in place of b, for a symmetric positive definite a (Cholesky).
void solve(Matrix& a, Matrix& b) {
  const int n = a.rows;
  for (int j = 0; j < n; ++j) {
    for (int k = 0; k < j; ++k)
      for (int i = j; i < n; ++i) a.at(i, j) -= a.at(i, k) * a.at(j, k);
    if (!(a.at(j, j) > 0))
      throw Error(Error::Kind::internal, "resizing of patches loses information and cannot be inverted");
    const double root = std::sqrt(a.at(j, j));
    for (int i = j; i < n; ++i) a.at(i, j) /= root;
  }
  for (int c = 0; c < b.cols; ++c) {
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < i; ++k) b.at(i, c) -= a.at(i, k) * b.at(k, c);
      b.at(i, c) /= a.at(i, i);
    }
    for (int i = n - 1; i >= 0; --i) {
      for (int k = i + 1; k < n; ++k) b.at(i, c) -= a.at(k, i) * b.at(k, c);
      b.at(i, c) /= a.at(i, i);
    }
  }
}

// The pseudo-inverse [to, from] of a full-rank m [from, to]: (m'm)^-1 m' or m' (mm')^-1, whichever product is smaller.
Tensor pseudo_inverse(const Matrix& m) {
  const bool tall = m.rows >= m.cols;
  const int n = tall ? m.cols : m.rows, inner = tall ? m.rows : m.cols;
  Matrix gram(n, n), right(n, inner);
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < inner; ++k) {
      right.at(i, k) = tall ? m.at(k, i) : m.at(i, k);
      for (int j = 0; j < n; ++j) gram.at(i, j) += tall ? m.at(k, i) * m.at(k, j) : m.at(i, k) * m.at(j, k);
    }
  solve(gram, right);
  Tensor out = empty({m.cols, m.rows}, DType::f32);
  const std::span<float> y = out.mutable_data<float>();
  for (int i = 0; i < m.cols; ++i)
    for (int j = 0; j < m.rows; ++j)
      y[static_cast<size_t>(i * m.rows + j)] = static_cast<float>(tall ? right.at(i, j) : right.at(j, i));
  return out;
}

}  // namespace

Tensor resample_positions(const Tensor& positions, Size2 grid, std::optional<Size2> old, int prefix_tokens,
                          const ResampleOptions& o) {
  const int64_t tokens = positions.dim(1) - prefix_tokens, channels = positions.dim(2);
  if (!old) {
    const int side = static_cast<int>(std::sqrt(static_cast<double>(tokens)));
    if (tokens == static_cast<int64_t>(grid.h) * grid.w && grid.h == grid.w) return positions;
    old = Size2(side);
  }
  if (*old == grid && tokens == static_cast<int64_t>(grid.h) * grid.w) return positions;
  if (static_cast<int64_t>(old->h) * old->w != tokens)
    throw Error(Error::Kind::shape,
                str_cat(tokens, " position embeddings do not form a grid of ", old->h, " x ", old->w), current_scope());
  say_adapted(str_cat("position embedding resampled from ", old->h, " x ", old->w, " to ", grid.h, " x ", grid.w));
  const Tensor each = cast(slice(positions, 1, prefix_tokens, positions.dim(1)), DType::f32);
  const Tensor map = resized(permute(reshape(each, {1, old->h, old->w, channels}), {0, 3, 1, 2}), grid.h, grid.w, o);
  const Tensor back = cast(reshape(permute(map, {0, 2, 3, 1}), {1, -1, channels}), positions.dtype());
  return prefix_tokens > 0 ? cat({slice(positions, 1, 0, prefix_tokens), back}, 1) : back;
}

Tensor resample_patch_kernel(const Tensor& kernel, Size2 size, const ResampleOptions& o) {
  const auto h = static_cast<int>(kernel.dim(2)), w = static_cast<int>(kernel.dim(3));
  if (Size2(h, w) == size) return kernel;
  say_adapted(str_cat("patch kernel resampled from ", h, " x ", w, " to ", size.h, " x ", size.w));
  // resizing works on rows and columns one after the other, and so does its inverse
  const Device d = kernel.device();
  const Tensor rows = pseudo_inverse(resizing(h, size.h, o)).to(d),
               columns = pseudo_inverse(resizing(w, size.w, o)).to(d);
  const Tensor out = matmul(matmul(rows, cast(kernel, DType::f32)), transpose(columns, 0, 1));
  return contiguous(cast(out, kernel.dtype()));
}

}  // namespace fovea
