// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/assembled.h — loops put together from parts that are compiled apart: all in one file took the
// compiler too long.
#pragma once
#include "kernels/cpu/isa/loops.h"

namespace fovea::kernels::cpu {

/// Each of Fill writes some members; together they write all. Only where the processor has their instructions.
template <void (*... Fill)(Loops& l)>
const Loops* assembled(const char* name) {
  static const Loops loops = [name] {
    Loops l{};
    l.name = l.tiles.name = name;
    (Fill(l), ...);
    return l;
  }();
  return &loops;
}

}  // namespace fovea::kernels::cpu
