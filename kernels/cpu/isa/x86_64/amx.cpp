// SPDX-License-Identifier: Apache-2.0
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#include "kernels/cpu/isa/x86_64/amx.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "engine/core/isa.h"
#include "kernels/cpu/isa/target.h"

namespace fovea::kernels::cpu {

bool amx_supported() {
  static const bool supported = [] {
    if (!isa_allowed(Isa::avx512)) return false;
    // Clang's __builtin_cpu_supports() does not know AMX.
    constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25, kWanted = kBf16 | kTile | kInt8;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kWanted) != kWanted) return false;
    for (const bool has : {__builtin_cpu_supports("avx512f") > 0, __builtin_cpu_supports("avx512bw") > 0,
                           __builtin_cpu_supports("avx512dq") > 0, __builtin_cpu_supports("avx512vl") > 0,
                           __builtin_cpu_supports("avx512bf16") > 0,
                           __builtin_cpu_supports("avx512vnni") > 0})
      if (!has) return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;   // of arch_prctl, for all threads of the process
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return supported;
}

namespace {
// Intel's manual: LDTILECFG.
struct alignas(64) Shapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(Shapes) == 64);
}  // namespace

FOVEA_TARGET("amx-tile")
namespace avx512_amx {

static void begin(const Shapes& shapes) {
  asm volatile("" : : "r"(&shapes) : "memory");    // to GCC 12 the intrinsic reads eight bytes
  _tile_loadconfig(&shapes);
}
static void end() { _tile_release(); }

}  // namespace avx512_amx
FOVEA_TARGET_END

// Which tile is what: simd/amx.inc.
void amx_begin(int rows) {
  const int upper = std::min(rows, 16), lower = rows > 16 ? rows - 16 : rows;
  const int of[8] = {upper, upper, lower, lower, upper, lower, 16, 16};
  Shapes s;
  for (int i = 0; i < 8; ++i) {
    s.row_bytes[i] = 64;
    s.rows[i] = static_cast<uint8_t>(of[i]);
  }
  avx512_amx::begin(s);
}

void amx_end() { avx512_amx::end(); }

}  // namespace fovea::kernels::cpu
