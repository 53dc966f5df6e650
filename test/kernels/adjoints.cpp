// SPDX-License-Identifier: Apache-2.0
// test/kernels/adjoints.cpp — what gradients are made of, cpu against ref: slices, pads, indices, pools, resizes,
// windows.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/kernels/against_ref.h"
#include "test/support/catch.h"

using namespace fovea;
using fovea::test::check_against_ref;
using fovea::test::filled;
using fovea::test::values_of;

namespace {

Tensor last(const Tensor& x) { return contiguous(x, Memory::channels_last); }

// f(x) for images as they come and channels-last.
template <class F>
void in_both_orders(const Tensor& x, const F& f, double tolerance = 1e-6) {
  check_against_ref([&] { return Tensors{f(x), f(last(x))}; }, tolerance);
}

// The gradient of f with respect to x, from a gradient that lies as f's result does.
template <class F>
Tensor slope(const F& f, const Tensor& x) {
  Tensor leaf = x.detach();
  leaf.set_requires_grad();
  const Tensor y = f(leaf);
  Tensor g = filled("g", y.shape());
  if (y.meta().is_channels_last()) g = last(g);
  return grad(std::span(&y, 1), std::span(&leaf, 1), std::span(&g, 1))[0];
}

Tensor indices(const Shape& s, int64_t bound) {
  std::vector<int64_t> v(static_cast<size_t>(numel(s)));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int64_t>(i * 2654435761u >> 7) % bound;
  return from(std::span<const int64_t>(v), s);
}

}  // namespace

TEST_CASE("cpu: unslice, flip and the gradient of padding", "[cpu]") {
  const Tensor x = filled("x", {2, 19, 9, 11});
  for (int dim = 0; dim < 4; ++dim) {
    const int64_t n = x.dim(dim);
    in_both_orders(x, [&](const Tensor& t) {
      return call1(ops::unslice, {t}, SliceAttrs{dim, 3, 3 + 2 * n - 1, 2, 2 * n + 5});
    }, 0);
    in_both_orders(x, [&](const Tensor& t) { return flip(t, {dim}); }, 0);
  }
  in_both_orders(x, [](const Tensor& t) { return flip(t, {1, 2, 3}); }, 0);
  in_both_orders(x, [](const Tensor& t) { return flip(t, {0, 3}); }, 0);
  for (const PadAttrs& a : {PadAttrs{{0, 0, 2, 3}, {0, 0, 1, 0}}, PadAttrs{{0, -1, 2, -2}, {0, 1, -1, 0}},
                            PadAttrs{{1, 2, 0, 0}, {0, 3, 0, 0}}})
    in_both_orders(
        x, [&](const Tensor& t) { return slope([&](const Tensor& v) { return pad(v, a.lo, a.hi); }, t); }, 0);
  for (const PadMode mode : {PadMode::reflect, PadMode::replicate, PadMode::circular})
    in_both_orders(x, [&](const Tensor& t) {
      return slope([&](const Tensor& v) { return pad(v, {0, 0, 2, 3}, {0, 0, 4, 0}, mode); }, t);
    });
  for (const DType t : {DType::bf16, DType::i64, DType::boolean}) {
    const Tensor y = cast(x * 50.0, t);
    check_against_ref(
        [&] { return Tensors{flip(y, {1, 3}), call1(ops::unslice, {y}, SliceAttrs{1, 2, 21, 1, 25})}; }, 0);
  }
}

TEST_CASE("cpu: gather, index_select and the sums that undo them", "[cpu]") {
  const Tensor x = filled("x", {7, 20, 33});
  for (int dim = 0; dim < 3; ++dim) {
    INFO("dim " << dim);
    const Tensor i = indices({5, 17, 21}, x.dim(dim)), row = indices({50}, x.dim(dim)), src = filled("s", {5, 17, 21});
    check_against_ref([&] {
      return Tensors{gather(x, dim, i), index_select(x, dim, row), gather(cast(x, DType::bf16), dim, i),
                     index_select(cast(x * 9.0, DType::i64), dim, row)};
    }, 0);
    check_against_ref([&] {
      return Tensors{scatter_add(x, dim, i, src), scatter_add(transpose(filled("x", {33, 20, 7}), 0, 2), dim, i, src),
                     index_add(index_select(x, dim, row), dim, row, 33),
                     scatter_add(cast(x * 9.0, DType::i64), dim, i, cast(src * 9.0, DType::i64))};
    });
  }
  // hundreds of numbers a sum, which is in f32
  const Tensor wide = filled("w", {3, 300}), few = indices({1000}, 3);
  check_against_ref([&] { return Tensors{index_add(index_select(wide, 0, few), 0, few, 4)}; }, 5e-6);
}

TEST_CASE("cpu: indices outside a dimension are told from inside of threads", "[cpu]") {
  const UseBackend cpu("cpu");
  const UseThreads three(3);
  const Tensor x = filled("x", {4, 5000}), i = indices({4, 5000}, 5), below = reshape(from({-1.f, 0.f, 1.f}), {3});
  for (const auto& f : {+[](const Tensor& t, const Tensor& at) { return gather(t, 0, at); },
                        +[](const Tensor& t, const Tensor& at) { return scatter_add(t, 0, at, t); }})
    CHECK_THROWS_WITH(f(x, i), contains_text("index 4 is outside dimension 0 of size 4"));
  CHECK_THROWS_WITH(index_select(x, 1, cast(below, DType::i64)), contains_text("index -1 is outside dimension 1"));
}

TEST_CASE("cpu: gradients of pools", "[cpu]") {
  const Tensor x = filled("x", {2, 21, 23, 17});
  for (const PoolOptions& o :
       {PoolOptions{.kernel = {2}}, PoolOptions{.kernel = {3}, .stride = {2}, .pad = {1}},
        PoolOptions{.kernel = {3}, .stride = {2}, .pad = {1}, .count_include_pad = false},
        PoolOptions{.kernel = {3, 2}, .stride = {1, 3}, .pad = {1, 0}, .ceil_mode = true, .count_include_pad = false},
        PoolOptions{.kernel = {4}, .stride = {3}, .ceil_mode = true, .divisor = 5},
        PoolOptions{.kernel = {2}, .stride = {3}}, PoolOptions{.kernel = {3}, .stride = {2}, .same = true}}) {
    in_both_orders(x, [&](const Tensor& t) { return slope([&](const Tensor& v) { return avg_pool(v, o); }, t); });
    in_both_orders(x, [&](const Tensor& t) { return slope([&](const Tensor& v) { return max_pool(v, o); }, t); });
  }
  for (const Dims& size : {Dims{1, 1}, Dims{5, 3}, Dims{23, 17}, Dims{30, 4}}) {
    in_both_orders(x, [&](const Tensor& t) {
      return slope([&](const Tensor& v) { return adaptive_avg_pool(v, size); }, t);
    });
    in_both_orders(x, [&](const Tensor& t) {
      return slope([&](const Tensor& v) { return adaptive_max_pool(v, size); }, t);
    });
  }
  const Tensor line = filled("l", {3, 5, 40});
  check_against_ref([&] {
    return Tensors{slope([](const Tensor& v) { return avg_pool(v, {.kernel = {3}, .stride = {2}, .pad = {1}}); }, line),
                   slope([](const Tensor& v) { return adaptive_avg_pool(v, {7}); }, line)};
  });
}

TEST_CASE("cpu: the gradient of max pooling lies as the images do", "[cpu]") {
  const UseBackend cpu("cpu");
  const Tensor x = last(filled("x", {2, 21, 23, 17}));
  const Tensor g = slope([](const Tensor& v) { return max_pool(v, {.kernel = {3}, .stride = {2}, .pad = {1}}); }, x);
  CHECK(g.meta().is_channels_last());
}

TEST_CASE("cpu: antialiased resizing and the gradients of resizing", "[cpu]") {
  const Tensor x = filled("x", {2, 19, 13, 9});
  for (const Dims& size : {Dims{5, 20}, Dims{26, 18}, Dims{1, 1}, Dims{13, 9}})
    for (const InterpolateOptions& o :
         {InterpolateOptions{}, InterpolateOptions{.mode = Interpolation::linear},
          InterpolateOptions{.mode = Interpolation::linear, .align_corners = true},
          InterpolateOptions{.mode = Interpolation::cubic},
          InterpolateOptions{.mode = Interpolation::cubic, .align_corners = true},
          InterpolateOptions{.mode = Interpolation::linear, .antialias = true},
          InterpolateOptions{.mode = Interpolation::cubic, .antialias = true}}) {
      INFO(name_of(o.mode) << (o.antialias ? ", antialiased" : "") << (o.align_corners ? ", corners" : ""));
      const auto f = [&](const Tensor& v) { return interpolate(v, size, o); };
      in_both_orders(x, f, 2e-6);
      in_both_orders(x, [&](const Tensor& t) { return slope(f, t); }, 2e-6);
    }
  const auto wide = [](const Tensor& v) { return interpolate(v, {31}, {.mode = Interpolation::linear}); };
  const Tensor line = filled("l", {3, 5, 20});
  check_against_ref([&] { return Tensors{wide(line), slope(wide, line)}; });
}

TEST_CASE("cpu: bf16 gradients of pools and resizing round once", "[cpu]") {
  const Tensor g = cast(last(filled("g", {2, 19, 6, 4})), DType::bf16);
  const PoolAttrs a{.kernel = {3, 3}, .stride = {2, 2}, .pad_lo = {1, 1}, .pad_hi = {1, 1}, .dilation = {1, 1},
                    .size = {11, 8}};
  const InterpolateAttrs i{.mode = Interpolation::linear, .size = {3, 9}};
  for (const bool planes : {false, true}) {
    const Tensor gy = planes ? contiguous(g) : g;
    check_against_ref([&] {
      return Tensors{call1(ops::avg_pool_dx, {gy}, a), call1(ops::interpolate_dx, {gy}, i)};
    }, 3e-3);
    const UseBackend cpu("cpu");
    for (const Tensor& t : {call1(ops::avg_pool_dx, {gy}, a), call1(ops::interpolate_dx, {gy}, i)})
      CHECK(t.dtype() == DType::bf16);
  }
}

TEST_CASE("cpu: unfold and fold", "[cpu]") {
  const Tensor x = filled("x", {2, 5, 17, 14});
  for (const UnfoldAttrs& a :
       {UnfoldAttrs{{3, 3}, {1, 1}, {1, 1}, {1, 1}}, UnfoldAttrs{{2, 3}, {2, 3}, {1, 0}, {2, 1}},
        UnfoldAttrs{{8, 8}, {8, 6}, {0, 0}, {1, 1}}, UnfoldAttrs{{1, 5}, {3, 2}, {0, 4}, {1, 3}}}) {
    in_both_orders(x, [&](const Tensor& t) { return unfold(t, a); }, 0);
    in_both_orders(x, [&](const Tensor& t) { return slope([&](const Tensor& v) { return unfold(v, a); }, t); });
  }
}
