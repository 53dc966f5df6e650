// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/pointwise/coarse_map.h"

namespace fovea::kernels::cpu {
namespace {

// In place; rows that lie side by side in one call, for short ones cost as much to call for as to map.
template <class Map>
void map_in_place(const Loops& l, const Map& m) {
  const bool dense = m.x_step == m.columns;
  const int64_t rows = dense ? 1 : m.rows, columns = dense ? m.rows * m.columns : m.columns;
  for (int64_t r = 0; r < rows; ++r) {
    float* const x = m.x + r * m.x_step;
    l.unary(m.e.act, m.e.a, m.e.b, x, x, columns);
  }
}

}  // namespace

void map_to_bytes(const Processor& on, const ByteMap& m) {
  if (on.bf16 && on.bf16->map_to_bytes && on.bf16->map_to_bytes(m)) return;
  map_in_place(*on.f32, m);
  for (int64_t r = 0; r < m.rows; ++r)
    on.u8->quantize(m.x + r * m.x_step, m.inverse, m.zero, m.y + r * m.y_step, m.columns);
}

void map_to_bf16(const Processor& on, const Bf16Map& m) {
  if (on.bf16 && on.bf16->map && on.bf16->map(m)) return;
  map_in_place(*on.f32, m);
  for (int64_t r = 0; r < m.rows; ++r) on.f32->to_bf16(m.x + r * m.x_step, m.y + r * m.y_step, m.columns);
}

}  // namespace fovea::kernels::cpu
