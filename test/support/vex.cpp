// SPDX-License-Identifier: Apache-2.0
#include "test/support/vex.h"

#if defined(__x86_64__)
#include <cstring>

namespace fovea::test {
namespace {

uint64_t general(const ucontext_t& c, int number) {
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uint64_t>(c.uc_mcontext.gregs[kOrder[number]]);
}

uint64_t extended(int64_t displacement) { return static_cast<uint64_t>(displacement); }

}  // namespace

bool decode(const ucontext_t& c, VexInstruction& d) {
  const auto* const start = reinterpret_cast<const uint8_t*>(c.uc_mcontext.gregs[REG_RIP]);
  const uint8_t* p = start;
  if (*p++ != 0xc4) return false;
  const int first = *p++, second = *p++;
  if ((first & 0x1f) != 2 || (second & 0x80) != 0) return false;
  const int reg_high = first & 0x80 ? 0 : 8, index_high = first & 0x40 ? 0 : 8, base_high = first & 0x20 ? 0 : 8;
  d.vvvv = ~(second >> 3) & 15;
  d.wide = second & 4;
  d.prefix = second & 3;
  d.opcode = *p++;
  const int modrm = *p++, rm = modrm & 7;
  d.mod = modrm >> 6, d.reg = (modrm >> 3 & 7) | reg_high, d.rm = rm;
  if (d.mod == 3) {
    d.rm |= base_high;
  } else {
    int base = rm;
    bool has_base = true;
    if (rm == 4) {
      const int sib = *p++, index = (sib >> 3 & 7) | index_high;
      base = sib & 7;
      if (index != 4) d.stride = general(c, index) << (sib >> 6);
      has_base = base != 5 || d.mod != 0;
    } else if (rm == 5 && d.mod == 0) {
      return false;
    }
    if (has_base) d.address = general(c, base | base_high);
    if (d.mod == 1) d.address += extended(static_cast<int8_t>(*p++));
    if (d.mod == 2 || !has_base) {
      int32_t displacement;
      std::memcpy(&displacement, p, sizeof displacement);
      d.address += extended(displacement);
      p += 4;
    }
  }
  d.length = static_cast<int>(p - start);
  return true;
}

}  // namespace fovea::test
#endif
