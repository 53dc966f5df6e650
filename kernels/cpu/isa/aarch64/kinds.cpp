// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/kinds.cpp — the kinds of AArch64 processors, and how to tell whether this is one.
#include "engine/core/isa.h"
#include "kernels/cpu/isa/aarch64/sets.h"
#include "kernels/cpu/isa/assembled.h"
#include "kernels/cpu/isa/processor.h"

namespace fovea::kernels::cpu {
namespace {

template <Isa kIsa>
bool is() {
  return isa_allowed(kIsa) && machine_has(kIsa);
}

// Depthwise convolutions and functions take the loops in f32.
constexpr Bf16Loops kBf16{.name = "neon_bf16",
                          .stepped_tile = bf16_stepped_tile,
                          .pack_keys = neon_bf16_attention::pack_keys,
                          .pack_values = neon_bf16_attention::pack_values,
                          .weights = neon_bf16_attention::weights,
                          .share = neon_bf16_attention::share};

// Each kind is the one before it, and more.
Processor neon() {
  return {.name = "neon",
          .f32 = assembled<neon::fill_products, neon::fill_depthwise, neon::fill_depthwise_u8, neon::fill_functions,
                           neon::fill_reductions>("neon"),
          .halves = &halves_neon,
          .u8_tiles = &quant_neon,
          .u8 = &quant_loops_neon,
          .vendor = false,                         // oneDNN was not tried here
          .costs = kUsualCosts};
}
Processor neon_dot() {
  Processor p = neon();
  p.name = "neon_dot";
  p.u8_tiles = &quant_dot;
  return p;
}
Processor neon_bf16() {
  Processor p = neon_dot();
  p.name = "neon_bf16";
  p.f32 = assembled<neon::fill_products, neon_bf16::fill_depthwise, neon::fill_depthwise_u8, neon_bf16::fill_functions,
                    neon_bf16::fill_reductions>("neon");
  p.bf16_tiles = &bf16_neon;
  p.bf16 = &kBf16;
  p.u8_tiles = &quant_i8mm;
  return p;
}

constexpr Kind kKinds[] = {{is<Isa::neon_bf16>, neon_bf16}, {is<Isa::neon_dot>, neon_dot}, {is<Isa::neon>, neon}};

}  // namespace

std::span<const Kind> known_kinds() { return kKinds; }

}  // namespace fovea::kernels::cpu
