// SPDX-License-Identifier: Apache-2.0
// engine/ops/lowered/fused.h — ops that passes put in the place of several, which users call one by one.
#pragma once
#include "engine/ops/ops.h"

namespace fovea {

struct ScaleShiftAttrs {
  Epilogue epilogue;                               // without a residual
};
FOVEA_ATTRS(ScaleShiftAttrs, epilogue)

namespace ops {
/// act(x gain[c] + shift[c]), where x is what follows shift, joined along the channels.
extern const OpDef scale_shift;
}  // namespace ops

}  // namespace fovea
