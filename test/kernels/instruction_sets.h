// SPDX-License-Identifier: Apache-2.0
// test/kernels/instruction_sets.h — runs something as on every kind of processor that this machine is.
#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "engine/core/backend.h"
#include "kernels/cpu/isa/processor.h"
#include "test/support/amx_emulator.h"
#include "test/support/catch.h"

namespace fovea::test {

/// Of several kinds that are the same as others, the best.
template <class Same>
std::vector<const kernels::cpu::Processor*> processors_but(const Same& same) {
  std::vector<const kernels::cpu::Processor*> found;
  for (const kernels::cpu::Processor& p : kernels::cpu::supported_processors())
    if (std::none_of(found.begin(), found.end(), [&](const auto* other) { return same(*other, p); }))
      found.push_back(&p);
  return found;
}
/// One kind for each set of loops in f32, best first.
inline std::vector<const kernels::cpu::Processor*> processors_by_loops() {
  using kernels::cpu::Processor;
  return processors_but([](const Processor& a, const Processor& b) { return a.f32 == b.f32; });
}

/// f(processor) as each of `kinds`, and as AMX where it can be emulated.
template <class F>
void with_processors(const std::vector<const kernels::cpu::Processor*>& kinds, const F& f) {
  const auto as = [&](const kernels::cpu::Processor& p) {
    INFO(p.name);
    const kernels::cpu::UseProcessor use(p);
    clear_plan_cache();
    f(p);
    clear_plan_cache();
  };
  for (const kernels::cpu::Processor* p : kinds) as(*p);
  if (const std::optional<kernels::cpu::Processor> amx = emulated_amx()) {
    const AmxEmulator emulator;
    as(*amx);
  }
}

/// f(name of the register tiles of products, or of the loops where there are none in bf16)
template <class F>
void with_bf16_sets(const F& f) {
  with_processors(processors_by_loops(), [&](const kernels::cpu::Processor& p) {
    f(p.bf16_tiles ? p.bf16_tiles->name : p.f32->name);
  });
}

/// f(processor), one for each set of loops in f32 with each of those of integers
template <class F>
void with_quant_sets(const F& f) {
  using kernels::cpu::Processor;
  with_processors(processors_but([](const Processor& a, const Processor& b) {
                    return a.f32 == b.f32 && a.u8_tiles == b.u8_tiles && a.u8 == b.u8;
                  }),
                  f);
}

/// The same with f(integers): may bytes of depthwise convolutions be multiplied as integers?
template <class F>
void with_depthwise_sets(const F& f) {
  with_quant_sets([&](const kernels::cpu::Processor& p) { f(p.u8->depthwise != nullptr); });
}

}  // namespace fovea::test
