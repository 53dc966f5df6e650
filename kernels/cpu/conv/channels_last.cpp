// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/channels_last.h"

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/transpose.h"

namespace fovea::kernels::cpu {

template <class T>
ChannelsLastConv<T>::ChannelsLastConv(const Site& s, bool turns_x)
    : shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape),
      weights(s.operand(1)),
      on(&processor()),
      finish(s.attrs<ConvAttrs>().epilogue) {
  const bool residual = s.attrs<ConvAttrs>().epilogue.residual;
  turn_x_ = turns_x && !lies_as(s.operand(0), Memory::channels_last);
  turn_y_ = !lies_as(s.result(), Memory::channels_last);
  if (turn_x_) x_at_ = lend(s.operand(0).bytes());
  if (turn_y_) y_at_ = lend(s.result().bytes());
  if (residual && turn_y_) residual_at_ = lend(s.result().bytes());
  residual_operand_ = residual ? static_cast<int>(s.in.size()) - 1 : -1;
}

template <class T>
size_t ChannelsLastConv<T>::lend(int64_t bytes) {
  const size_t at = scratch;
  scratch += aligned(static_cast<size_t>(bytes));
  return at;
}

template <class T>
void ChannelsLastConv<T>::pack(int operand, const std::byte* in, std::byte* out) const {
  if (operand == 1) pack_weights(reinterpret_cast<const T*>(in), out);
  else operands_.pack_bias(in, out);
}

template <class T>
void ChannelsLastConv<T>::run(const Args& a, Stream&) const {
  const auto elements = [](const std::byte* p) { return reinterpret_cast<const T*>(p); };
  const T *x = elements(a.in[0]), *residual = residual_operand_ >= 0 ? elements(a.in[residual_operand_]) : nullptr;
  if (turn_x_) x = turned(shape.channels, shape.in_places(), x, a.scratch + x_at_);
  if (turn_y_ && residual) residual = turned(shape.outputs, shape.out_places(), residual, a.scratch + residual_at_);
  T* const y = reinterpret_cast<T*>(turn_y_ ? a.scratch + y_at_ : a.out[0]);
  const auto pack = [&](const std::byte* in, std::byte* out) { pack_weights(elements(in), out); };
  run_last({x, operands_.weights(a, pack), operands_.bias(a), residual, y, a.scratch});
  if (turn_y_) turned(shape.out_places(), shape.outputs, y, a.out[0]);
}

// Every image [rows][columns] to [columns][rows].
template <class T>
const T* ChannelsLastConv<T>::turned(int64_t rows, int64_t columns, const T* from, std::byte* to) const {
  transpose({shape.batch, rows, columns, rows * columns, columns, rows * columns, rows}, sizeof(T),
            reinterpret_cast<const std::byte*>(from), to);
  return reinterpret_cast<const T*>(to);
}

template class ChannelsLastConv<float>;
template class ChannelsLastConv<bfloat16>;

Unpacked unpacked(const Meta& weights, const float* w) {
  Unpacked u{.w = w, .column = weights.strides[0], .depth = weights.strides[1], .taps = {0, 0, 0}, .sizes = {1, 1, 1}};
  const int n = weights.rank() - 2;
  for (int i = 0; i < n; ++i) {
    u.taps[3 - n + i] = weights.strides[2 + i];
    u.sizes[3 - n + i] = weights.shape[2 + i];
  }
  return u;
}

bool in_known_orders(const Site& s) {
  const Meta &x = s.operand(0), &y = s.result();
  if (!lies_as(x, Memory::channels_last) && !lies_as(x, Memory::contiguous)) return false;
  if (!lies_as(y, Memory::channels_last) && !lies_as(y, Memory::contiguous)) return false;
  if (!s.attrs<ConvAttrs>().epilogue.residual) return true;
  return lies_as(s.in.back(), lies_as(y, Memory::channels_last) ? Memory::channels_last : Memory::contiguous);
}

}  // namespace fovea::kernels::cpu
