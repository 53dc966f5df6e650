// SPDX-License-Identifier: Apache-2.0
// kernels/ref/conv.cpp — convolution and its gradients as matrix products with columns; unfold, fold: columns alone.
#include <algorithm>

#include "kernels/ref/epilogue.h"
#include "kernels/ref/gemm.h"
#include "kernels/ref/window.h"

namespace fovea::ref {
namespace {

Dims spatial(const Shape& s) { return Dims(s.begin() + 2, s.end()); }

struct Convolution {
  Window window;
  int64_t batch, groups, channels, outputs;        // channels and outputs of one group
  int64_t depth() const { return channels * window.taps(); }
  // How many lines of places have columns at once: as many as fill about 8 MiB.
  int64_t lines_at_once() const {
    return std::max<int64_t>(1, (int64_t{1} << 20) / std::max<int64_t>(1, depth() * window.out[2]));
  }
};

Convolution convolution(const ConvAttrs& a, const Shape& x, const Shape& w, const Shape& y) {
  const Window window{triple(spatial(x), 1), triple(spatial(y), 1),   triple(spatial(w), 1),
                      triple(a.stride, 1),   triple(a.dilation, 1), triple(a.pad_lo, 0)};
  return {window, x[0], a.groups, x[1] / a.groups, y[1] / a.groups};
}

// Calls block(image, group, from, to): image counts images times groups, lines from .. to of places.
template <class Block>
void for_each_block(const Convolution& c, Block block) {
  const int64_t lines = c.lines_at_once();
  for (int64_t i = 0; i < c.batch * c.groups; ++i)
    for (int64_t from = 0; from < c.window.lines(); from += lines)
      block(i, i % c.groups, from, std::min(c.window.lines(), from + lines));
}
std::vector<double> columns_of(const Convolution& c) {
  const int64_t lines = std::min(c.lines_at_once(), c.window.lines());
  return std::vector<double>(static_cast<size_t>(c.depth() * lines * c.window.out[2]));
}

void conv(const Run& r) {
  const auto& attrs = r.attrs<ConvAttrs>();
  const Convolution c = convolution(attrs, r.in(0).shape(), r.in(1).shape(), r.out().shape());
  const std::vector<double> x = load<double>(r.in(0)), w = load<double>(r.in(1));
  std::vector<double> y(static_cast<size_t>(r.out().meta.numel())), columns = columns_of(c);
  if (r.has(2)) {
    Source b = r.in(2);
    for (int i = 0; i < r.out().rank() - 2; ++i) {
      b.meta.shape.push_back(1);
      b.meta.strides.push_back(0);
    }
    y = load<double>(b.expanded(r.out().shape()));
  }
  const int64_t width = c.window.out[2], places = c.window.places();
  for_each_block(c, [&](int64_t image, int64_t group, int64_t from, int64_t to) {
    const int64_t count = (to - from) * width;
    gather_columns(c.window, c.channels, from, to, x.data() + image * c.channels * c.window.pixels(), columns.data());
    multiply_add(c.outputs, count, c.depth(), w.data() + group * c.outputs * c.depth(), c.depth(), columns.data(),
                 count, y.data() + image * c.outputs * places + from * width, places);
  });
  finish(r, attrs.epilogue, y);
}

void conv_dx(const Run& r) {
  const Convolution c = convolution(r.attrs<ConvAttrs>(), r.out().shape(), r.in(1).shape(), r.in(0).shape());
  const std::vector<double> gy = load<double>(r.in(0)), w = load<double>(r.in(1));
  std::vector<double> gx(static_cast<size_t>(r.out().meta.numel())), columns = columns_of(c);
  const int64_t width = c.window.out[2], places = c.window.places();
  for_each_block(c, [&](int64_t image, int64_t group, int64_t from, int64_t to) {
    const int64_t count = (to - from) * width;
    const double* filters = w.data() + group * c.outputs * c.depth();
    const std::vector<double> across = transposed(filters, c.outputs, c.depth(), c.depth());
    std::fill_n(columns.data(), c.depth() * count, 0.0);
    multiply_add(c.depth(), count, c.outputs, across.data(), c.outputs,
                 gy.data() + image * c.outputs * places + from * width, places, columns.data(), count);
    scatter_columns(c.window, c.channels, from, to, columns.data(), gx.data() + image * c.channels * c.window.pixels());
  });
  store(gx.data(), r.out());
}

// Summed as [group, channels and taps, outputs], because the outputs of one tap then lie side by side.
void conv_dw(const Run& r) {
  const Convolution c = convolution(r.attrs<ConvAttrs>(), r.in(1).shape(), r.out().shape(), r.in(0).shape());
  const std::vector<double> gy = load<double>(r.in(0)), x = load<double>(r.in(1));
  std::vector<double> sums(static_cast<size_t>(r.out().meta.numel())), columns = columns_of(c), gw;
  const int64_t width = c.window.out[2], places = c.window.places(), weights = c.outputs * c.depth();
  for_each_block(c, [&](int64_t image, int64_t group, int64_t from, int64_t to) {
    const int64_t count = (to - from) * width;
    gather_columns(c.window, c.channels, from, to, x.data() + image * c.channels * c.window.pixels(), columns.data());
    const double* slopes = gy.data() + image * c.outputs * places + from * width;
    const std::vector<double> across = transposed(slopes, c.outputs, count, places);
    multiply_add(c.depth(), c.outputs, count, columns.data(), count, across.data(), c.outputs,
                 sums.data() + group * weights, c.outputs);
  });
  for (int64_t g = 0; g < c.groups; ++g) {
    const std::vector<double> one = transposed(sums.data() + g * weights, c.depth(), c.outputs, c.outputs);
    gw.insert(gw.end(), one.begin(), one.end());
  }
  store(gw.data(), r.out());
}

Window unfolding(const UnfoldAttrs& a, const Shape& image) {
  Window w{triple(spatial(image), 1), {1, 1, 1},             triple(a.kernel, 1),
           triple(a.stride, 1),       triple(a.dilation, 1), triple(a.pad, 0)};
  for (size_t i = 0; i < 3; ++i) {
    const int64_t reach = w.dilation[i] * (w.kernel[i] - 1) + 1;
    w.out[i] = (w.size[i] + 2 * w.pad[i] - reach) / w.stride[i] + 1;
  }
  return w;
}

void unfold(const Run& r) {
  const Source x = r.in(0);
  const Window w = unfolding(r.attrs<UnfoldAttrs>(), x.shape());
  const std::vector<double> image = load<double>(x);
  std::vector<double> columns(static_cast<size_t>(r.out().meta.numel()));
  gather_columns(w, x.dim(0) * x.dim(1), 0, w.lines(), image.data(), columns.data());
  store(columns.data(), r.out());
}

void fold(const Run& r) {
  const Target y = r.out();
  const Window w = unfolding(r.attrs<UnfoldAttrs>(), y.shape());
  const std::vector<double> columns = load<double>(r.in(0));
  std::vector<double> image(static_cast<size_t>(y.meta.numel()));
  scatter_columns(w, y.dim(0) * y.dim(1), 0, w.lines(), columns.data(), image.data());
  store(image.data(), y);
}

}  // namespace

std::span<const Kernel> conv_kernels() {
  static constexpr Kernel table[] = {
      {&ops::conv, no_half<conv>, any_epilogue}, {&ops::conv_dx, no_half<conv_dx>}, {&ops::conv_dw, no_half<conv_dw>},
      {&ops::unfold, no_half<unfold>},           {&ops::fold, no_half<fold>},
  };
  return table;
}

}  // namespace fovea::ref
