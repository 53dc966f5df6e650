// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/operands.h — the packed weights of a convolution or linear layer and its bias in f32: made once
// where they are constant, in scratch otherwise.
#pragma once
#include <type_traits>

#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {

/// T: of the layer's operands; float's bias is read where it lies.
template <class T>
class Operands {
 public:
  void reserve(const Site& s, size_t weight_bytes, size_t& scratch);
  size_t packed_bytes(int operand) const;
  void pack_bias(const std::byte* in, std::byte* out) const;
  const float* bias(const Args& a) const;          // null where there is none
  template <class Pack>
  const std::byte* weights(const Args& a, const Pack& pack) const {
    if (weights_packed_) return a.in[1];
    pack(a.in[1], a.scratch + weights_at_);
    return a.scratch + weights_at_;
  }

 private:
  static constexpr bool kWidens = !std::is_same_v<T, float>;
  size_t weight_bytes_ = 0;
  int64_t bias_ = 0;                               // elements that are widened; 0: none
  bool weights_packed_ = false, bias_packed_ = false;
  size_t weights_at_ = 0, bias_at_ = 0;
};

extern template class Operands<float>;
extern template class Operands<bfloat16>;

}  // namespace fovea::kernels::cpu
