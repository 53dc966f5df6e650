// SPDX-License-Identifier: Apache-2.0
// kernels/ref/view.cpp — the one place where element types are told apart.
#include "kernels/ref/view.h"

#include <algorithm>
#include <cstdlib>

#include "engine/core/error.h"

namespace fovea::ref {
namespace {

template <class Visit>
void with_type(DType t, Visit visit) {
  switch (t) {
    case DType::f32: return visit(float{});
    case DType::f64: return visit(double{});
    case DType::bf16: return visit(bfloat16{});
    case DType::f16: return visit(float16{});
    case DType::i64: return visit(int64_t{});
    case DType::i32: return visit(int32_t{});
    case DType::i8: return visit(int8_t{});
    case DType::u8: return visit(uint8_t{});
    case DType::boolean: return visit(bool{});
    case DType::none: break;
  }
  throw Error(Error::Kind::internal, "an absent operand was read");
}

enum class Byte : uint8_t {};                      // of a bool, which others may have written as any number
template <class T>
T number(Byte v) { return v == Byte{} ? T{0} : T{1}; }
template <class T>
T number(bfloat16 v) { return static_cast<T>(to_float(v)); }
template <class T>
T number(float16 v) { return static_cast<T>(to_float(v)); }
template <class T, class E>
T number(E v) { return static_cast<T>(v); }

int64_t truncated(double v) {                      // out of range and NaN as x86 does it
  return v >= -0x1p63 && v < 0x1p63 ? static_cast<int64_t>(v) : INT64_MIN;
}
int64_t truncated(int64_t v) { return v; }

template <class E, class T>
E element(T v) {
  if constexpr (std::is_same_v<E, bfloat16>) return to_bfloat16(static_cast<float>(v));
  else if constexpr (std::is_same_v<E, float16>) return to_float16(static_cast<float>(v));
  else if constexpr (std::is_same_v<E, bool>) return v != 0;
  else if constexpr (std::is_floating_point_v<E>) return static_cast<E>(v);
  else return static_cast<E>(truncated(v));
}

}  // namespace

template <size_t N>
RowWalk<N>::RowWalk(const Shape& shape, const std::array<Strides, N>& strides, Order order) {
  std::vector<Loop> all;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) empty_ = true;
    if (shape[i] == 1) continue;
    Loop l{shape[i], {}};
    for (size_t k = 0; k < N; ++k) l.steps[k] = strides[k][i];
    all.push_back(l);
  }
  if (order == fastest_first_array)
    std::stable_sort(all.begin(), all.end(),
                     [](const Loop& a, const Loop& b) { return std::abs(a.steps[0]) > std::abs(b.steps[0]); });
  for (const Loop& l : all) {
    bool merges = !loops_.empty();
    for (size_t k = 0; k < N && merges; ++k) merges = loops_.back().steps[k] == l.steps[k] * l.size;
    if (merges) loops_.back() = {loops_.back().size * l.size, l.steps};
    else loops_.push_back(l);
  }
  if (loops_.empty()) loops_.push_back({1, {}});
}
template class RowWalk<1>;
template class RowWalk<2>;
template class RowWalk<3>;
template class RowWalk<4>;
template class RowWalk<5>;

template <class T>
void load_row(DType t, const std::byte* from, int64_t offset, int64_t step, int64_t size, T* to) {
  with_type(t, [&]<class E>(E) {
    using Stored = std::conditional_t<std::is_same_v<E, bool>, Byte, E>;
    const Stored* p = reinterpret_cast<const Stored*>(from) + offset;
    if (step == 1)
      for (int64_t i = 0; i < size; ++i) to[i] = number<T>(p[i]);
    else
      for (int64_t i = 0; i < size; ++i) to[i] = number<T>(p[i * step]);
  });
}

template <class T>
void store_row(DType t, const T* from, std::byte* to, int64_t offset, int64_t step, int64_t size) {
  with_type(t, [&]<class E>(E) {
    E* p = reinterpret_cast<E*>(to) + offset;
    if (step == 1)
      for (int64_t i = 0; i < size; ++i) p[i] = element<E>(from[i]);
    else
      for (int64_t i = 0; i < size; ++i) p[i * step] = element<E>(from[i]);
  });
}

template <class T>
std::vector<T> load(const Source& from) {
  std::vector<T> out(static_cast<size_t>(from.meta.numel()));
  const RowWalk<2> walk(from.shape(), {contiguous_strides(from.shape()), from.meta.strides}, RowWalk<2>::logical);
  walk([&](const auto& at, int64_t size, const auto& step) {
    load_row(from.meta.dtype, from.data, at[1], step[1], size, out.data() + at[0]);
  });
  return out;
}

template <class T>
void store(const T* from, const Target& to) {
  const RowWalk<2> walk(to.shape(), {contiguous_strides(to.shape()), to.meta.strides}, RowWalk<2>::logical);
  walk([&](const auto& at, int64_t size, const auto& step) {
    store_row(to.meta.dtype, from + at[0], to.data, at[1], step[1], size);
  });
}

void fill(const Target& to, double value) {
  std::array<double, kRow> row;
  row.fill(value);
  const RowWalk<1> walk(to.shape(), {to.meta.strides}, RowWalk<1>::fastest_first_array);
  walk([&](const auto& at, int64_t size, const auto& step) {
    store_row(to.meta.dtype, row.data(), to.data, at[0], step[0], size);
  });
}

template void load_row(DType, const std::byte*, int64_t, int64_t, int64_t, double*);
template void load_row(DType, const std::byte*, int64_t, int64_t, int64_t, int64_t*);
template void store_row(DType, const double*, std::byte*, int64_t, int64_t, int64_t);
template void store_row(DType, const int64_t*, std::byte*, int64_t, int64_t, int64_t);
template std::vector<double> load(const Source&);
template std::vector<int64_t> load(const Source&);
template void store(const double*, const Target&);
template void store(const int64_t*, const Target&);

}  // namespace fovea::ref
