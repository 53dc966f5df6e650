// SPDX-License-Identifier: Apache-2.0
// engine/core/isa.h — the most that kernels may ask of an x86-64 processor.
#pragma once
#include <cstdint>
#include <string_view>

namespace fovea {

/// Classes of instructions, each with all that came before. SSE2 is every x86-64 processor's. AVX2 comes with FMA and
/// F16C. AVX-512 stands for F, BW, DQ and VL, and for what only processors with those have: BF16, VNNI, AMX.
/// AVX-VNNI, which processors without AVX-512 have too, is allowed where AVX-512 is.
enum class Isa : uint8_t { sse2, avx2, avx512 };

/// The class that FOVEA_ISA names (sse2, avx2 or avx512), else avx512: the limit, whatever the processor has. Throws
/// Error(argument) where it names none.
Isa isa_limit();
/// May kernels use instructions of this class? Whether the processor has them is another question.
bool isa_allowed(Isa isa);
std::string_view name_of(Isa isa);

/// What `text` names. Throws Error(argument).
Isa parse_isa(std::string_view text);

}  // namespace fovea
