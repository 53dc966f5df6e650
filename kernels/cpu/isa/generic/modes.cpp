// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/modes.cpp — a processor of which nothing is known is told nothing.
#include "kernels/cpu/isa/modes.h"

namespace fovea::kernels::cpu {

void relax() {}

unsigned flush_denormals() { return 0; }
void restore_denormals(unsigned) {}

}  // namespace fovea::kernels::cpu
