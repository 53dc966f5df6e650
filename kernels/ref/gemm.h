// SPDX-License-Identifier: Apache-2.0
// kernels/ref/gemm.h — the matrix product on doubles that matmul, linear, convolutions and attention end in.
#pragma once
#include <cstdint>
#include <vector>

namespace fovea::ref {

/// c[m, n] += a[m, k] b[k, n]; row-major, lda, ldb, ldc elements from row to row.
void multiply_add(int64_t m, int64_t n, int64_t k, const double* a, int64_t lda, const double* b, int64_t ldb,
                  double* c, int64_t ldc);
std::vector<double> transposed(const double* a, int64_t rows, int64_t columns, int64_t lda);

}  // namespace fovea::ref
