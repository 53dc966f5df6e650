// SPDX-License-Identifier: Apache-2.0
// test/kernels/instruction_sets.h — runs something with every set of inner loops and of register tiles.
#pragma once
#include <initializer_list>
#include <optional>

#include "engine/core/backend.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/product/bf16_product.h"
#include "kernels/cpu/product/quant_tile.h"
#include "test/support/amx_emulator.h"
#include "test/support/catch.h"

namespace fovea::test {

/// f(name) with all loops that this machine has, and with AVX-512's once for each of `sets` of products, where the
/// processor has the instructions of the first one: AMX's are emulated.
template <class Set, class F>
void with_sets(std::initializer_list<const Set*> sets, const F& f) {
  for (const kernels::cpu::Loops* loops : kernels::cpu::supported_loops()) {
    const kernels::cpu::UseLoops use(*loops);
    if (loops->lanes < 16 || !(*sets.begin())->supported()) {
      INFO(loops->name);
      clear_plan_cache();
      f(loops->name);
      continue;
    }
    for (const Set* set : sets) {
      INFO(set->name);
      std::optional<AmxEmulator> emulator;
      if (!set->supported()) emulator.emplace();
      const kernels::cpu::UseSet<Set> use_set(*set);
      clear_plan_cache();
      f(set->name);
    }
  }
  clear_plan_cache();
}
template <class F>
void with_bf16_sets(const F& f) {
  with_sets({&kernels::cpu::bf16_avx512, &kernels::cpu::bf16_amx}, f);
}
template <class F>
void with_quant_sets(const F& f) {
  with_sets({&kernels::cpu::quant_vnni, &kernels::cpu::quant_amx}, f);
}

/// f(integers) with all loops; with AVX-512's twice where bytes may be multiplied as integers, without that and with.
template <class F>
void with_depthwise_sets(const F& f) {
  for (const kernels::cpu::Loops* loops : kernels::cpu::supported_loops()) {
    const kernels::cpu::UseLoops use(*loops);
    for (const bool integers : {false, true}) {
      if (integers && &kernels::cpu::quant_set() == &kernels::cpu::quant_plain) continue;
      const kernels::cpu::UseQuantSet set(integers ? kernels::cpu::quant_set() : kernels::cpu::quant_plain);
      INFO(loops->name << (integers ? ", integers" : ""));
      clear_plan_cache();
      f(integers);
    }
  }
  clear_plan_cache();
}

}  // namespace fovea::test
