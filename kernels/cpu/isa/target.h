// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/target.h — instructions that a part of a file may use beyond those of the whole build, in GCC's and
// Clang's words.
#pragma once

#define FOVEA_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FOVEA_TARGET(instructions) \
  FOVEA_PRAGMA(clang attribute push(__attribute__((target(instructions))), apply_to = function))
#define FOVEA_TARGET_END FOVEA_PRAGMA(clang attribute pop)
#else
#define FOVEA_TARGET(instructions) FOVEA_PRAGMA(GCC push_options) FOVEA_PRAGMA(GCC target(instructions))
#define FOVEA_TARGET_END FOVEA_PRAGMA(GCC pop_options)
#endif
