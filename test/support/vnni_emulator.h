// SPDX-License-Identifier: Apache-2.0
// test/support/vnni_emulator.h — AVX-VNNI for processors that lack it, to test what uses it.
#pragma once
#include <optional>

#include "kernels/cpu/isa/processor.h"

namespace fovea::test {

/// While alive, VPDPBUSD of 256 bits with a VEX prefix is carried out by a handler of SIGILL where the processor
/// refuses it, on every thread. Any other refused instruction ends the program, as without it.
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volumes 1 (chapter 13) and 2.
class VnniEmulator {
 public:
  VnniEmulator();
  ~VnniEmulator();
  VnniEmulator(const VnniEmulator&) = delete;
  VnniEmulator& operator=(const VnniEmulator&) = delete;
  /// Instructions that were carried out so far; 0 where the processor has them.
  static long carried_out();
};

/// The kind of processors with AVX-VNNI, where this one has AVX2.
std::optional<kernels::cpu::Processor> emulated_avx2_vnni();

}  // namespace fovea::test
