// SPDX-License-Identifier: Apache-2.0
// engine/core/finite.h — are all values numbers? What follows from one NaN is no answer, though it may look like one.
#pragma once
#include <optional>
#include <string>

#include "engine/core/tensor.h"

namespace fovea {

/// Neither NaN nor infinite, every one of them. Integers always are.
bool all_finite(const Tensor& t);
/// The first value, in row-major order, that is not: "nan at [3, 0, 1, 2], 27 such values in all".
std::optional<std::string> first_not_finite(const Tensor& t);

}  // namespace fovea
