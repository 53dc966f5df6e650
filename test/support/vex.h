// SPDX-License-Identifier: Apache-2.0
// test/support/vex.h — an instruction with a VEX prefix that the processor refused, for handlers that carry it out.
#pragma once
#if defined(__x86_64__)
#include <ucontext.h>

#include <cstdint>

namespace fovea::test {

/// One of map 0F38 with W0: VEX prefix of three bytes, opcode, ModRM, and what addresses memory.
struct VexInstruction {
  int prefix = 0, opcode = 0;                      // prefix: 0 none, 1 66, 2 F3, 3 F2
  bool wide = false;                               // 256 bits
  int mod = 0, reg = 0, rm = 0, vvvv = 0;          // registers with their high bits; where mod is 3, rm is one
  uint64_t address = 0, stride = 0;                // of the base, and what the index adds
  int length = 0;
};

/// False for any other, and for what addresses by the instruction pointer.
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2.
bool decode(const ucontext_t& c, VexInstruction& d);

}  // namespace fovea::test
#endif
