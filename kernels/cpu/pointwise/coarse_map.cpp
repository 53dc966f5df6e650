// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/pointwise/coarse_map.h"

namespace fovea::kernels::cpu {

void map_to_bytes(const Processor& on, const ByteMap& m) {
  if (on.bf16 && on.bf16->map_to_bytes(m)) return;
  for (int64_t r = 0; r < m.rows; ++r) {
    float* const x = m.x + r * m.x_step;
    on.f32->unary(m.e.act, m.e.a, m.e.b, x, x, m.columns);
    on.u8->quantize(x, m.inverse, m.zero, m.y + r * m.y_step, m.columns);
  }
}

void map_to_bf16(const Processor& on, const Bf16Map& m) {
  if (on.bf16 && on.bf16->map(m)) return;
  for (int64_t r = 0; r < m.rows; ++r) {
    float* const x = m.x + r * m.x_step;
    on.f32->unary(m.e.act, m.e.a, m.e.b, x, x, m.columns);
    on.f32->to_bf16(x, m.y + r * m.y_step, m.columns);
  }
}

}  // namespace fovea::kernels::cpu
