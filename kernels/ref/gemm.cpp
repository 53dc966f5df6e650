// SPDX-License-Identifier: Apache-2.0
// kernels/ref/gemm.cpp — the matrix product, in blocks that stay in cache.
#include "kernels/ref/gemm.h"

#include <algorithm>

namespace fovea::ref {

void multiply_add(int64_t m, int64_t n, int64_t k, const double* a, int64_t lda, const double* b, int64_t ldb,
                  double* c, int64_t ldc) {
  constexpr int64_t columns = 256, depth = 64;     // a block of b: 128 KiB
  for (int64_t j = 0; j < n; j += columns)
    for (int64_t p = 0; p < k; p += depth)
      for (int64_t i = 0; i < m; ++i) {
        const int64_t width = std::min(columns, n - j), end = std::min(k, p + depth);
        double* __restrict row = c + i * ldc + j;
        const double* factor = a + i * lda;
        int64_t q = p;
        for (; q + 4 <= end; q += 4) {
          const double f0 = factor[q], f1 = factor[q + 1], f2 = factor[q + 2], f3 = factor[q + 3];
          const double *b0 = b + q * ldb + j, *b1 = b0 + ldb, *b2 = b1 + ldb, *b3 = b2 + ldb;
          for (int64_t x = 0; x < width; ++x) row[x] += f0 * b0[x] + f1 * b1[x] + f2 * b2[x] + f3 * b3[x];
        }
        for (; q < end; ++q) {
          const double f = factor[q], *from = b + q * ldb + j;
          for (int64_t x = 0; x < width; ++x) row[x] += f * from[x];
        }
      }
}

std::vector<double> transposed(const double* a, int64_t rows, int64_t columns, int64_t lda) {
  std::vector<double> out(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) out[static_cast<size_t>(j * rows + i)] = a[i * lda + j];
  return out;
}

}  // namespace fovea::ref
