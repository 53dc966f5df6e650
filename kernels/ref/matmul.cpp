// SPDX-License-Identifier: Apache-2.0
// kernels/ref/matmul.cpp — batched matrix products, and the linear layer with its epilogue.
#include "engine/ops/lowered/quant.h"
#include "kernels/ref/epilogue.h"
#include "kernels/ref/functions.h"
#include "kernels/ref/gemm.h"

namespace fovea::ref {

void finish(const Run& r, const Epilogue& e, std::vector<double>& y) {
  if (e.residual) {
    const std::vector<double> residual = load<double>(r.in(3).expanded(r.out().shape()));
    for (size_t i = 0; i < y.size(); ++i) y[i] += residual[i];
  }
  apply(e.act, static_cast<double>(e.a), static_cast<double>(e.b), y.data(), static_cast<int64_t>(y.size()));
  store(y.data(), r.out());
}

namespace {

Shape with_batch(const Shape& batch, const Source& m) {
  Shape s = batch;
  s.push_back(m.dim(m.rank() - 2));
  s.push_back(m.dim(m.rank() - 1));
  return s;
}

void matmul(const Run& r) {
  const auto& attrs = r.attrs<MatmulAttrs>();
  const Target y = r.out();
  const int lead = y.rank() - 2;
  const Shape batch(y.shape().begin(), y.shape().begin() + lead);
  Source a = r.in(0).expanded(with_batch(batch, r.in(0))), b = r.in(1).expanded(with_batch(batch, r.in(1)));
  if (attrs.transpose_a) a = a.swapped(lead, lead + 1);
  if (attrs.transpose_b) b = b.swapped(lead, lead + 1);
  const int64_t m = y.dim(lead), n = y.dim(lead + 1), k = a.dim(lead + 1);
  const auto front = [&](const Strides& s) { return Strides(s.begin(), s.begin() + lead); };
  const RowWalk<3> walk(batch, {front(y.meta.strides), front(a.meta.strides), front(b.meta.strides)},
                        RowWalk<3>::logical);
  walk([&](const auto& at, int64_t size, const auto& step) {
    for (int64_t i = 0; i < size; ++i) {
      const std::vector<double> left = load<double>(a.trailing(lead).advanced(at[1] + i * step[1]));
      const std::vector<double> right = load<double>(b.trailing(lead).advanced(at[2] + i * step[2]));
      std::vector<double> out(static_cast<size_t>(m * n));
      multiply_add(m, n, k, left.data(), k, right.data(), n, out.data(), n);
      for (double& v : out) v *= static_cast<double>(attrs.scale);
      store(out.data(), y.trailing(lead).advanced(at[0] + i * step[0]));
    }
  });
}

void linear(const Run& r) {
  const Source x = r.in(0), w = r.in(1);
  const int64_t n = w.dim(0), k = w.dim(1), m = n ? r.out().meta.numel() / n : 0;
  const std::vector<double> rows = load<double>(x), columns = load<double>(w.swapped(0, 1));
  std::vector<double> y(static_cast<size_t>(m * n));
  if (r.has(2)) y = load<double>(r.in(2).expanded(r.out().shape()));
  multiply_add(m, n, k, rows.data(), k, columns.data(), n, y.data(), n);
  finish(r, r.attrs<LinearAttrs>().epilogue, y);
}

}  // namespace

std::span<const Kernel> matmul_kernels() {
  static constexpr Kernel table[] = {
      {&ops::matmul, no_half<matmul>},
      {&ops::linear, no_half<linear>, any_epilogue},
      {&ops::half_linear, any_dtype<linear>},
  };
  return table;
}

}  // namespace fovea::ref
