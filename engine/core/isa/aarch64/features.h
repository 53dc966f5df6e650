// SPDX-License-Identifier: Apache-2.0
// engine/core/isa/aarch64/features.h — what an AArch64 processor can have beyond NEON, as the system tells.
#pragma once
#include <cstdint>

namespace fovea::aarch64 {

enum class Feature : uint8_t {
  sha2,                                            // FEAT_SHA256
  dot,                                             // FEAT_DotProd: SDOT, UDOT
  i8mm,                                            // FEAT_I8MM: USDOT
  bf16,                                            // FEAT_BF16: BFDOT, BFCVT
};

/// Has this machine the feature?
bool has(Feature f);

}  // namespace fovea::aarch64
