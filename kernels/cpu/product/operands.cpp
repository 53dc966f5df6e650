// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/product/operands.h"

#include "kernels/cpu/isa/processor.h"

namespace fovea::kernels::cpu {

template <class T>
void Operands<T>::reserve(const Site& s, size_t weight_bytes, size_t& scratch) {
  weight_bytes_ = weight_bytes;
  bias_ = kWidens && s.has(2) ? s.operand(2).numel() : 0;
  weights_packed_ = s.is_constant(1);
  bias_packed_ = s.is_constant(2);
  const auto lend = [&](size_t bytes) {
    const size_t at = scratch;
    scratch += aligned(bytes);
    return at;
  };
  if (!weights_packed_) weights_at_ = lend(weight_bytes);
  if (bias_ && !bias_packed_) bias_at_ = lend(static_cast<size_t>(bias_) * sizeof(float));
}

template <class T>
size_t Operands<T>::packed_bytes(int operand) const {
  return operand == 1 ? weight_bytes_ : operand == 2 ? static_cast<size_t>(bias_) * sizeof(float) : 0;
}

template <class T>
void Operands<T>::pack_bias(const std::byte* in, std::byte* out) const {
  loops().from_bf16(in, out, bias_);
}

template <class T>
const float* Operands<T>::bias(const Args& a) const {
  if (!kWidens) return floats(a.in[2]);
  if (!bias_) return nullptr;
  if (bias_packed_) return floats(a.in[2]);
  pack_bias(a.in[2], a.scratch + bias_at_);
  return floats(a.scratch + bias_at_);
}

template class Operands<float>;
template class Operands<bfloat16>;

}  // namespace fovea::kernels::cpu
