// SPDX-License-Identifier: Apache-2.0
// kernels/ref/functions.h — the pointwise functions on rows of doubles: for the op itself and for epilogues.
#pragma once
#include "engine/core/epilogue.h"

namespace fovea::ref {

void apply(Unary fn, double a, double b, double* x, int64_t size);               // x = fn(x)
void apply(Unary fn, double a, double b, int64_t* x, int64_t size);              // for integers and bool
void multiply_slope(Unary fn, double a, double b, const double* x, double* g, int64_t size);     // g = g * fn'(x)

}  // namespace fovea::ref
