// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/kinds.cpp — the kinds of x86-64 processors, and how to tell whether this is one.
// FOVEA_AVX2 and FOVEA_AVX512 are defined where -Dinstructions has them.
#include "engine/core/isa.h"
#include "engine/core/isa/x86_64/features.h"
#include "kernels/cpu/isa/assembled.h"
#include "kernels/cpu/isa/generic/sets.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/isa/x86_64/amx.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {
namespace {

using x86_64::Feature;
using x86_64::has;

bool is_sse2() { return true; }
bool is_sse41() { return isa_allowed(Isa::avx2) && has(Feature::sse41); }
#ifdef FOVEA_AVX2
bool is_avx2() { return isa_allowed(Isa::avx2) && machine_has(Isa::avx2); }
// Newer than AVX2, so that what FOVEA_ISA=avx2 chooses is the same everywhere.
bool is_avx2_vnni() { return isa_allowed(Isa::avx512) && is_avx2() && has(Feature::avxvnni); }
#endif
#ifdef FOVEA_AVX512
bool is_avx512() { return isa_allowed(Isa::avx512) && machine_has(Isa::avx512); }
bool is_avx512_vnni() { return is_avx512() && has(Feature::avx512vnni); }
bool is_avx512_bf16() { return is_avx512_vnni() && has(Feature::avx512bf16); }
bool is_amx() { return is_avx512_bf16() && amx_supported(); }

constexpr Bf16Loops kBf16{.name = "avx512_bf16",
                          .stepped_tile = bf16_stepped_tile,
                          .depthwise = bf16_depthwise,
                          .map = bf16_map,
                          .map_to_bytes = bf16_map_to_bytes,
                          .pack_keys = avx512_bf16_attention::pack_keys,
                          .pack_values = avx512_bf16_attention::pack_values,
                          .weights = avx512_bf16_attention::weights,
                          .share = avx512_bf16_attention::share};
#endif

// Each kind is one before it, and more.
Processor sse2() {
  return {.name = "sse2",
          .f32 = assembled<sse2::fill_products, sse2::fill_depthwise, sse2::fill_depthwise_u8, sse2::fill_functions,
                           sse2::fill_reductions>("sse2"),
          .halves = &halves_plain,
          .u8_tiles = &quant_plain,
          .u8 = &quant_loops_plain,
          .vendor = false,                         // oneDNN is compiled for SSE4.1 and looks no further
          .costs = kUsualCosts};
}
Processor sse41() {
  Processor p = sse2();
  p.name = "sse4.1";
  p.vendor = true;
  return p;
}
#ifdef FOVEA_AVX2
Processor avx2() {
  Processor p = sse41();
  p.name = "avx2";
  p.f32 = assembled<avx2::fill_products, avx2::fill_depthwise, avx2::fill_depthwise_u8, avx2::fill_functions,
                    avx2::fill_reductions>("avx2");
  p.halves = &halves_avx2;
  p.u8_tiles = &quant_avx2;
  p.u8 = &quant_loops_avx2;
  p.u8_winograd = &quant_winograd_avx2;
  return p;
}
Processor avx2_vnni() {
  Processor p = avx2();
  p.name = "avx2_vnni";
  p.u8_tiles = &quant_avxvnni;
  p.u8_winograd = nullptr;
  return p;
}
#endif
#ifdef FOVEA_AVX512
Processor avx512() {
  Processor p = sse41();
  p.name = "avx512";
  p.f32 = assembled<avx512::fill_products, avx512::fill_depthwise, avx512::fill_depthwise_u8, avx512::fill_functions,
                    avx512::fill_reductions>("avx512");
  p.halves = &halves_avx512;
  p.u8_tiles = &quant_avx512;
  p.u8 = &quant_loops_avx512;
  p.u8_winograd = &quant_winograd_avx512;
  return p;
}
Processor avx512_vnni() {
  Processor p = avx512();
  p.name = "avx512_vnni";
  p.u8_tiles = &quant_vnni;
  p.u8 = &quant_loops_vnni;
  p.u8_winograd = nullptr;
  return p;
}
Processor avx512_bf16() {
  Processor p = avx512_vnni();
  p.name = "avx512_bf16";
  p.f32 = assembled<avx512::fill_products, avx512_bf16::fill_depthwise, avx512::fill_depthwise_u8,
                    avx512_bf16::fill_functions, avx512_bf16::fill_reductions>("avx512");
  p.bf16_tiles = &bf16_avx512;
  p.bf16 = &kBf16;
  return p;
}
Processor amx() {
  Processor p = avx512_bf16();
  p.name = "amx";
  p.bf16_tiles = &bf16_amx;
  p.u8_tiles = &quant_amx;
  return p;
}
#endif

constexpr Kind kKinds[] = {
#ifdef FOVEA_AVX512
    {is_amx, amx},
    {is_avx512_bf16, avx512_bf16},
    {is_avx512_vnni, avx512_vnni},
    {is_avx512, avx512},
#endif
#ifdef FOVEA_AVX2
    {is_avx2_vnni, avx2_vnni},
    {is_avx2, avx2},
#endif
    {is_sse41, sse41},
    {is_sse2, sse2}};

}  // namespace

std::span<const Kind> known_kinds() { return kKinds; }

}  // namespace fovea::kernels::cpu
