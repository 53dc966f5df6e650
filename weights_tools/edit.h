// SPDX-License-Identifier: Apache-2.0
// weights_tools/edit.h — small changes to a StateDict that rows of names cannot say.
#pragma once
#include <string_view>

#include "engine/core/state_dict.h"
#include "engine/ops/ops.h"
#include "weights_tools/rename.h"

namespace fovea {

/// Whether a name begins so.
bool any_below(const StateDict& weights, std::string_view prefix);

/// The tensor of that name, if there is one, becomes f(tensor).
template <class F>
void change(StateDict& weights, std::string_view name, F f) {
  if (const Tensor* t = weights.find(name)) weights.set(name, contiguous(f(*t)));
}

}  // namespace fovea
