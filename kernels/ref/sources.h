// SPDX-License-Identifier: Apache-2.0
// kernels/ref/sources.h — moving elements by tables that say, for each dimension, where index i comes from.
#pragma once
#include <vector>

#include "kernels/ref/view.h"

namespace fovea::ref {

/// [dimension][index on the side that is walked] -> index on the other side; -1: none.
using Sources = std::vector<std::vector<int64_t>>;
Sources identity(const Shape& s);

/// y[i, j, ...] = x[s[0][i], s[1][j], ...], or `outside` where an index is -1.
void fetch(const Sources& s, const Source& x, const Target& y, double outside);
/// The adjoint: y = 0, then y[s[0][i], s[1][j], ...] += x[i, j, ...].
void add_to(const Sources& s, const Source& x, const Target& y);

}  // namespace fovea::ref
