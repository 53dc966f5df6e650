// SPDX-License-Identifier: Apache-2.0
// engine/ops/gradients.h — ops that gradients are made of where nobody will differentiate them again: one pass over
// memory for what public ops would take many for.
#pragma once
#include "engine/core/op.h"

namespace fovea::ops {

/// Of batch_norm() by its x, w and b: from the gradient of y, x, w, and the mean and invstd that it gave.
extern const OpDef batch_norm_dx;
/// Of layer_norm() by its x, w and b: from the gradient of y, x and w.
extern const OpDef layer_norm_dx;

}  // namespace fovea::ops
