// SPDX-License-Identifier: Apache-2.0
// engine/core/isa.h — the classes of instructions: the most that kernels may ask of a processor, and what this one has.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fovea {

/// Classes of instructions, each with all that came before in its family of processors.
/// x86-64: SSE2 is every processor's. AVX2 comes with FMA and F16C. AVX-512 stands for F, BW, DQ and VL, and for what
/// only processors with those have: BF16, VNNI, AMX. AVX-VNNI, which processors without AVX-512 have too, is allowed
/// where AVX-512 is.
/// AArch64: NEON is every processor's. neon_dot has dot products of bytes (FEAT_DotProd), neon_bf16 those of bf16 and
/// of bytes with and without a sign (FEAT_BF16, FEAT_I8MM).
/// Families without a folder have plain loops.
enum class Isa : uint8_t { plain, sse2, avx2, avx512, neon, neon_dot, neon_bf16 };

/// The class that FOVEA_ISA names, one of known_isas(), else the last of those: the limit, whatever the processor has.
/// Throws Error(argument) where it names none.
Isa isa_limit();
/// May kernels use instructions of this class? Whether the processor has them is another question.
bool isa_allowed(Isa isa);
std::string_view name_of(Isa isa);

/// What `text` names of known_isas(). Throws Error(argument).
Isa parse_isa(std::string_view text);

// Of the family of processors that the library is built for: engine/core/isa/<family>/.

/// Its classes, least first.
std::span<const Isa> known_isas();
/// Has this machine all instructions of the class, and does its system keep their registers?
bool machine_has(Isa isa);
/// Names as in /proc/cpuinfo of what kernels ask for and this machine has.
std::vector<std::string_view> machine_features();
/// Words that are the same only on machines with the same instructions.
std::vector<uint32_t> machine_words();
/// "x86_64", "aarch64" or "plain"
std::string_view machine_family();

}  // namespace fovea
