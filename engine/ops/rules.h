// SPDX-License-Identifier: Apache-2.0
// engine/ops/rules.h — what only the op files share: axes, layouts, window arithmetic, pieces of gradients.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>

#include "engine/ops/ops.h"

namespace fovea {

/// Fails as the op's own infer would, for what only the public function can see.
[[noreturn]] void reject(const OpDef& op, std::initializer_list<Tensor> in, const std::string& what);

// Axes as attributes want them: not negative, in range; a set of axes is sorted, without repeats, all when empty.
int axis_of(const OpDef& op, const Tensor& x, int64_t dim, int extra = 0);
Dims axes_of(const OpDef& op, const Tensor& x, const Dims& dims);

/// The strides under which x's own bytes have this shape, if there are any.
std::optional<Strides> reshape_strides(const Meta& x, const Shape& s);

Dims spatial(const Shape& s);                      // what follows N and C
Shape with_spatial(int64_t n, int64_t c, const Dims& size);
int64_t step_count(const SliceAttrs& a);            // how many elements a slice takes
Shape with_dim(Shape s, int dim, int64_t size);
/// One entry for each of n spatial dimensions, from n entries or from a single one.
Dims per_axis(const OpDef& op, const Tensor& x, const char* name, const Dims& given, int n);
/// How many windows start inside size + lo + hi; not positive when none fits.
int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, int64_t lo, int64_t hi,
                     bool ceil_mode = false);

int64_t weights_work(const Site& s);               // OpDef::work of results that weights (operand 1) give, a row each

Tensor zeros_view(const Meta& m);                  // zeros of this shape and dtype that take the room of one element
Tensor along_channels(const Tensor& v, int rank);  // [C] -> [1, C, 1, ...]
Dims all_but_channels(int rank);                   // every axis but 1
Tensor unary_second(const Tensor& x, Unary fn, float a);             // fn''(x); absent where that is zero

}  // namespace fovea
