// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/modes.h — what a thread tells its processor: that it waits, and that it has no use for numbers too
// small to be normal.
#pragma once

namespace fovea::kernels::cpu {

/// Between two looks at what another thread is to write.
void relax();

/// Numbers too small to be normal are read and written as zero on this thread; returns what was before, for
/// restore_denormals().
unsigned flush_denormals();
void restore_denormals(unsigned before);

}  // namespace fovea::kernels::cpu
