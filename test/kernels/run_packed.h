// SPDX-License-Identifier: Apache-2.0
// test/kernels/run_packed.h — runs one plan as a session does: constants that it wants packed are packed first.
#pragma once
#include <initializer_list>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/tensor.h"
#include "kernels/cpu/allocator.h"

namespace fovea::test {

/// Of a plan with one result. Operands that are empty tensors are absent; constants: a bit each, as Site has them.
inline Tensor run_packed(const Plan& plan, std::initializer_list<Tensor> in, uint32_t constants, const Meta& out) {
  std::vector<decltype(kernels::cpu::allocate(0, {}))> packed;
  std::vector<const std::byte*> operands;
  for (const Tensor& t : in) {
    const auto i = static_cast<int>(operands.size());
    operands.push_back(t ? t.bytes() : nullptr);
    const size_t bytes = t && (constants >> i & 1u) ? plan.packed_bytes(i) : 0;
    if (bytes == 0) continue;
    packed.push_back(kernels::cpu::allocate(bytes, {}));
    plan.pack(i, t.bytes(), packed.back()->data);
    operands.back() = packed.back()->data;
  }
  const auto scratch = kernels::cpu::allocate(plan.scratch, {});
  const Tensor y = empty(out);
  std::byte* results[] = {y.bytes()};
  Stream stream;
  plan.run({operands.data(), results, scratch->data}, stream);
  return y;
}

}  // namespace fovea::test
