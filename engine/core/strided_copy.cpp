// SPDX-License-Identifier: Apache-2.0
#include "engine/core/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/core/error.h"

namespace fovea {
namespace {

struct Loop {
  int64_t size, from, to;                          // strides in elements
};

// Dimensions from slowest to fastest in the target, neighbours merged where both sides step alike.
std::vector<Loop> plan_loops(const Meta& from, const Meta& to) {
  std::vector<Loop> loops;
  for (int i = 0; i < to.rank(); ++i)
    if (to.shape[i] != 1) loops.push_back({to.shape[i], from.strides[i], to.strides[i]});
  std::stable_sort(loops.begin(), loops.end(), [](const Loop& a, const Loop& b) { return a.to > b.to; });
  std::vector<Loop> merged;
  for (const Loop& l : loops) {
    if (!merged.empty() && merged.back().from == l.from * l.size && merged.back().to == l.to * l.size)
      merged.back() = {merged.back().size * l.size, l.from, l.to};
    else
      merged.push_back(l);
  }
  if (merged.empty()) merged.push_back({1, 1, 1});
  return merged;
}

template <class Row>
void for_each_row(const std::vector<Loop>& loops, Row row) {
  std::vector<int64_t> at(loops.size() - 1, 0);
  int64_t from = 0, to = 0;
  for (;;) {
    row(from, to);
    size_t d = at.size();
    while (d-- > 0) {
      from += loops[d].from;
      to += loops[d].to;
      if (++at[d] < loops[d].size) break;
      from -= loops[d].from * loops[d].size;
      to -= loops[d].to * loops[d].size;
      at[d] = 0;
    }
    if (d == static_cast<size_t>(-1)) return;
  }
}

template <class From, class To, class Convert>
void move(const std::vector<Loop>& loops, const std::byte* source, std::byte* target, Convert convert) {
  const From* s = reinterpret_cast<const From*>(source);
  To* t = reinterpret_cast<To*>(target);
  const Loop inner = loops.back();
  for_each_row(loops, [&](int64_t from, int64_t to) {
    if (inner.from == 1 && inner.to == 1)
      for (int64_t i = 0; i < inner.size; ++i) t[to + i] = convert(s[from + i]);
    else
      for (int64_t i = 0; i < inner.size; ++i) t[to + i * inner.to] = convert(s[from + i * inner.from]);
  });
}

template <class T>
void move_bytes(const std::vector<Loop>& loops, const std::byte* source, std::byte* target) {
  move<T, T>(loops, source, target, [](T v) { return v; });
}

template <class To, class Convert>
void convert_to(const std::vector<Loop>& loops, DType from, const std::byte* source, std::byte* target,
                Convert convert) {
  switch (from) {
    case DType::f32: return move<float, To>(loops, source, target, [&](float v) { return convert(v); });
    case DType::f64: return move<double, To>(loops, source, target, [&](double v) { return convert(v); });
    case DType::bf16:
      return move<bfloat16, To>(loops, source, target, [&](bfloat16 v) { return convert(to_float(v)); });
    case DType::f16: return move<float16, To>(loops, source, target, [&](float16 v) { return convert(to_float(v)); });
    default:
      throw Error(Error::Kind::internal, str_cat("copy_strided converts floating dtypes only, not ", name_of(from)));
  }
}

}  // namespace

void copy_strided(const Meta& from, const std::byte* source, const Meta& to, std::byte* target) {
  if (to.numel() == 0) return;
  const std::vector<Loop> loops = plan_loops(from, to);
  if (from.dtype == to.dtype) {
    switch (size_of(to.dtype)) {
      case 1: return move_bytes<uint8_t>(loops, source, target);
      case 2: return move_bytes<uint16_t>(loops, source, target);
      case 4: return move_bytes<uint32_t>(loops, source, target);
      default: return move_bytes<uint64_t>(loops, source, target);
    }
  }
  switch (to.dtype) {
    case DType::f32:
      return convert_to<float>(loops, from.dtype, source, target, [](auto v) { return static_cast<float>(v); });
    case DType::f64:
      return convert_to<double>(loops, from.dtype, source, target, [](auto v) { return static_cast<double>(v); });
    case DType::bf16:
      return convert_to<bfloat16>(loops, from.dtype, source, target,
                                  [](auto v) { return to_bfloat16(static_cast<float>(v)); });
    case DType::f16:
      return convert_to<float16>(loops, from.dtype, source, target,
                                 [](auto v) { return to_float16(static_cast<float>(v)); });
    default:
      throw Error(Error::Kind::internal,
                  str_cat("copy_strided converts floating dtypes only, not to ", name_of(to.dtype)));
  }
}

}  // namespace fovea
