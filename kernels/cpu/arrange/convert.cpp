// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/convert.cpp — copies between strides and floating types, for plans that run on converted
// operands.
#include <cstring>

#include "engine/core/strided_copy.h"
#include "kernels/cpu/arrange/walk.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

using Range = void (*)(const void* from, void* to, int64_t n);

Range range_between(DType from, DType to) {
  const Loops& l = loops();
  if (from == DType::bf16 && to == DType::f32) return l.from_bf16;
  if (from == DType::f32 && to == DType::bf16) return l.to_bf16;
  if (from == DType::f16 && to == DType::f32) return l.from_f16;
  if (from == DType::f32 && to == DType::f16) return l.to_f16;
  return nullptr;
}

}  // namespace

void convert(const Meta& from, const std::byte* source, const Meta& to, std::byte* target) {
  const auto read = static_cast<int64_t>(size_of(from.dtype)), written = static_cast<int64_t>(size_of(to.dtype));
  const bool same = from.dtype == to.dtype;
  const Range range = same ? nullptr : range_between(from.dtype, to.dtype);
  if (!same && !range) return copy_strided(from, source, to, target);
  const Walk walk({&to, &from});
  const int64_t to_step = walk.step(0) * written, from_step = walk.step(1) * read;
  const bool runs = to_step == written && from_step == read;
  walk.each([&](const auto& at, int64_t n) {
    const std::byte* x = source + at[1] * read;
    std::byte* y = target + at[0] * written;
    if (runs) return same ? static_cast<void>(std::memcpy(y, x, static_cast<size_t>(n * read))) : range(x, y, n);
    for (int64_t i = 0; i < n; ++i, x += from_step, y += to_step)
      if (same) std::memcpy(y, x, static_cast<size_t>(read));
      else range(x, y, 1);
  });
}

}  // namespace fovea::kernels::cpu
