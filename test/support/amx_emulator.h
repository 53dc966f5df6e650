// SPDX-License-Identifier: Apache-2.0
// test/support/amx_emulator.h — Intel's AMX for processors that lack it: slow, and exact enough to test what uses it.
#pragma once
#include <optional>

#include "kernels/cpu/isa/processor.h"

namespace fovea::test {

/// While alive, tile instructions (AMX-TILE, AMX-BF16, AMX-INT8) that the processor refuses are carried out by a
/// handler of SIGILL, on every thread; products of bf16 with the help of AVX-512. Any other refused instruction ends
/// the program, as without it.
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volumes 1 (chapter 18) and 2.
class AmxEmulator {
 public:
  AmxEmulator();
  ~AmxEmulator();
  AmxEmulator(const AmxEmulator&) = delete;
  AmxEmulator& operator=(const AmxEmulator&) = delete;
  /// Instructions that were carried out so far; 0 where the processor has them.
  static long carried_out();
};

/// The kind of processors with AMX, where this one is the kind before: only its tiles' instructions are to be emulated.
std::optional<kernels::cpu::Processor> emulated_amx();

}  // namespace fovea::test
