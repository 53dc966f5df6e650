// SPDX-License-Identifier: Apache-2.0
// kernels/ref/arrange.cpp — elements that only move: copy, cat, pad, unslice, flip, roll.
#include <array>

#include "engine/core/strided_copy.h"
#include "kernels/ref/run.h"
#include "kernels/ref/sources.h"

namespace fovea::ref {
namespace {

void copy(const Run& r) {
  const Target y = r.out();
  copy_strided(r.in(0).meta, r.in(0).data, y.meta, y.data);
}
void cat(const Run& r) {
  const int dim = r.attrs<AxisAttrs>().dim;
  int64_t at = 0;
  for (int i = 0; i < r.inputs(); ++i) {
    const Source x = r.in(i);
    const Target y = r.out().narrowed(dim, at, x.dim(dim));
    copy_strided(x.meta, x.data, y.meta, y.data);
    at += x.dim(dim);
  }
}

// Where result element i of a dimension comes from; -1: from outside, where the fill value is.
int64_t pad_source(PadMode mode, int64_t i, int64_t size) {
  switch (mode) {
    case PadMode::constant: return i < 0 || i >= size ? -1 : i;
    case PadMode::replicate: return i < 0 ? 0 : i >= size ? size - 1 : i;
    case PadMode::circular: return (i % size + size) % size;
    case PadMode::reflect: {
      const int64_t period = size > 1 ? 2 * (size - 1) : 1, at = (i % period + period) % period;
      return at < size ? at : period - at;
    }
  }
  return -1;
}
Sources pad_sources(const PadAttrs& attrs, const Shape& inner, const Shape& outer) {
  Sources s = identity(outer);
  for (int d = 0; d < outer.size(); ++d)
    for (int64_t& i : s[static_cast<size_t>(d)]) i = pad_source(attrs.mode, i - attrs.lo[d], inner[d]);
  return s;
}
void pad(const Run& r) {
  const auto& attrs = r.attrs<PadAttrs>();
  fetch(pad_sources(attrs, r.in(0).shape(), r.out().shape()), r.in(0), r.out(), static_cast<double>(attrs.value));
}
void pad_dx(const Run& r) {
  add_to(pad_sources(r.attrs<PadAttrs>(), r.out().shape(), r.in(0).shape()), r.in(0), r.out());
}

void unslice(const Run& r) {
  const auto& attrs = r.attrs<SliceAttrs>();
  Sources s = identity(r.out().shape());
  for (int64_t& i : s[static_cast<size_t>(attrs.dim)]) {
    const int64_t from = i - attrs.start;
    i = from < 0 || i >= attrs.stop || from % attrs.step != 0 ? -1 : from / attrs.step;
  }
  fetch(s, r.in(0), r.out(), 0);
}

void flip(const Run& r) {
  Sources s = identity(r.out().shape());
  for (int64_t axis : r.attrs<DimsAttrs>().axes)
    for (int64_t& i : s[static_cast<size_t>(axis)]) i = r.in(0).dim(static_cast<int>(axis)) - 1 - i;
  fetch(s, r.in(0), r.out(), 0);
}

void roll(const Run& r) {
  const auto& attrs = r.attrs<DimsAttrs>();
  Sources s = identity(r.out().shape());
  for (int k = 0; k < attrs.axes.size(); ++k) {
    const int64_t size = r.in(0).dim(static_cast<int>(attrs.axes[k]));
    for (int64_t& i : s[static_cast<size_t>(attrs.axes[k])]) i = ((i - attrs.shifts[k]) % size + size) % size;
  }
  fetch(s, r.in(0), r.out(), 0);
}

}  // namespace

std::span<const Kernel> arrange_kernels() {
  static constexpr Kernel table[] = {
      {&ops::copy, any_dtype<copy>}, {&ops::cat, any_dtype<cat>},         {&ops::pad, any_dtype<pad>},
      {&ops::flip, any_dtype<flip>}, {&ops::unslice, any_dtype<unslice>}, {&ops::pad_dx, no_half<pad_dx>},
      {&ops::roll, any_dtype<roll>},
  };
  return table;
}

}  // namespace fovea::ref
