// SPDX-License-Identifier: Apache-2.0
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#include "kernels/cpu/isa/x86_64/amx.h"

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "engine/core/isa.h"
#include "engine/core/isa/x86_64/features.h"
#include "kernels/cpu/isa/target.h"

namespace fovea::kernels::cpu {

using x86_64::Feature;

bool amx_supported() {
  static const bool supported = [] {
    if (!isa_allowed(Isa::avx512)) return false;
    if (!machine_has(Isa::avx512)) return false;
    for (const auto f : {Feature::amx_tile, Feature::amx_bf16, Feature::amx_int8, Feature::avx512bf16,
                         Feature::avx512vnni})
      if (!x86_64::has(f)) return false;
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
