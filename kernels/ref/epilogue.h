// SPDX-License-Identifier: Apache-2.0
// kernels/ref/epilogue.h — act(y + residual), as convolutions and linear end.
#pragma once
#include <vector>

#include "kernels/ref/run.h"

namespace fovea::ref {

inline bool any_epilogue(const Site& s, const Epilogue&) { return !has_half(s); }
/// Stores act(y + residual). y: the dense result so far; operand 3 is the residual.
void finish(const Run& r, const Epilogue& e, std::vector<double>& y);

}  // namespace fovea::ref
