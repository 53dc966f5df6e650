// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_norm.cpp — batch, layer, RMS, group and instance normalisation.
#include "engine/ops/lowered/fused.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::CheckOptions;
using fovea::test::filled;
using fovea::test::values_of;
using fovea::test::Vars;

namespace {
// Gradients of normalised values are small differences of large ones: bf16 results say less about them.
constexpr CheckOptions kLoose{.f32 = 1e-5, .bf16 = 4e-2};
}  // namespace

TEST_CASE("batch_norm in training", "[op]") {
  const Shape s = GENERATE(Shape{4, 3, 5, 2}, Shape{6, 3}, Shape{4, 3, 7});
  const bool affine = GENERATE(true, false);
  check_op(
      [&](Vars& v) {
        const Tensor w = affine ? v("w", {3}) : Tensor(), b = affine ? v("b", {3}) : Tensor();
        return batch_norm_train(v("x", s), w, b, 1e-2).y;
      },
      kLoose);
}

TEST_CASE("the moments of batch_norm carry gradients", "[op]") {
  check_op(
      [](Vars& v) {
        const BatchNormResult r = batch_norm_train(v("x", {4, 3, 5, 2}), v("w", {3}), v("b", {3}), 1e-3);
        return Tensors{r.y, r.mean, r.var};
      },
      {.half = false, .f32 = 1e-5});
  const BatchNormResult r = batch_norm_train(reshape(from({1.f, 2.f, 3.f, 6.f}), {4, 1}), {}, {}, 1e-3);
  CHECK(r.mean.item() == Approx(3));
  CHECK(r.var.item() == Approx(3.5));
}

TEST_CASE("scale_shift joins, scales, shifts and maps", "[op]") {
  const auto all = [](DType t) {
    const Tensor gain = filled("gain", {5}, t), shift = filled("shift", {5}, t);
    const Tensor x = filled("x", {2, 3, 4, 2}, t), z = filled("z", {2, 2, 4, 2}, t);
    const Tensor y = call1(ops::scale_shift, {gain, shift, x, z}, ScaleShiftAttrs{{.act = Unary::relu}});
    const Tensor want = relu(cat({x, z}, 1) * reshape(gain, {5, 1, 1}) + reshape(shift, {5, 1, 1}));
    CHECK(test::relative_error(values_of(y), values_of(want)) < 1e-6);
  };
  all(DType::f64);
  all(DType::f32);
  const Tensor x = zeros({1, 2, 3}), five = zeros({5});
  CHECK_THROWS_AS(call1(ops::scale_shift, {five, five}, ScaleShiftAttrs{}), Error);
  CHECK_THROWS_AS(call1(ops::scale_shift, {five, five, x, x}, ScaleShiftAttrs{}), Error);
  CHECK_THROWS_AS(call1(ops::scale_shift, {five, five, x, zeros({1, 3, 4})}, ScaleShiftAttrs{}), Error);
  CHECK_THROWS_AS(call1(ops::scale_shift, {zeros({2}), zeros({2}), x}, ScaleShiftAttrs{{.residual = true}}), Error);
}

TEST_CASE("batch_norm with given moments", "[op]") {
  const Shape s = GENERATE(Shape{2, 3, 4, 5}, Shape{4, 3});
  check_op(
      [&](Vars& v) {
        return batch_norm(v("x", s), v("w", {3}), v("b", {3}), v("mean", {3}), v("var", {3}, {0.5, 2}), 1e-3);
      },
      kLoose);
  check_op(
      [&](Vars& v) {
        return batch_norm(v("x", s), {}, {}, v("mean", {3}), v("var", {3}, {0.5, 2}), 1e-3);
      },
      kLoose);
}

TEST_CASE("layer_norm", "[op]") {
  const int dims = GENERATE(1, 2);
  const bool affine = GENERATE(true, false);
  check_op(
      [&](Vars& v) {
        const Shape block = dims == 1 ? Shape{6} : Shape{5, 6};
        return layer_norm(v("x", {2, 3, 5, 6}), affine ? v("w", block) : Tensor(), affine ? v("b", block) : Tensor(),
                          1e-3, dims);
      },
      kLoose);
}

TEST_CASE("rms_norm", "[op]") {
  check_op([](Vars& v) { return rms_norm(v("x", {2, 3, 6}), v("w", {6}), 1e-3); }, kLoose);
  check_op([](Vars& v) { return rms_norm(v("x", {2, 3, 6}), {}, 1e-3, 2); }, kLoose);
}

TEST_CASE("group_norm and instance_norm", "[op]") {
  const int groups = GENERATE(1, 2, 6);
  check_op([&](Vars& v) { return group_norm(v("x", {2, 6, 3, 4}), v("w", {6}), v("b", {6}), groups, 1e-3); }, kLoose);
  check_op([&](Vars& v) { return group_norm(v("x", {2, 6, 5}), {}, {}, groups, 1e-3); }, kLoose);
  check_op([](Vars& v) { return instance_norm(v("x", {2, 3, 4, 5}), v("w", {3}), {}, 1e-3); }, kLoose);
}

TEST_CASE("norms take f32 factors beside 16-bit values", "[op]") {
  const Tensor x = cast(test::filled("x", {2, 4, 3}), DType::bf16), w = test::filled("w", {4}),
               wide = test::filled("v", {3});
  CHECK(batch_norm_train(x, w, w, 1e-5).y.dtype() == DType::bf16);
  CHECK(batch_norm_train(x, w, w, 1e-5).mean.dtype() == DType::f32);
  CHECK(batch_norm(x, w, w, w, square(w), 1e-5).dtype() == DType::bf16);
  CHECK(layer_norm(x, wide, wide, 1e-5).dtype() == DType::bf16);
  CHECK(group_norm(x, w, w, 2, 1e-5).dtype() == DType::bf16);
}

TEST_CASE("errors of norms", "[op]") {
  CHECK_THROWS_AS(group_norm(zeros({2, 6, 3}), {}, {}, 4, 1e-5), Error);
  CHECK_THROWS_AS(layer_norm(zeros({2, 6}), zeros({5}), {}, 1e-5), Error);
  CHECK_THROWS_AS(layer_norm(zeros({2, 6}), {}, {}, 1e-5, 3), Error);
  CHECK_THROWS_AS(batch_norm(zeros({2, 6}), {}, {}, zeros({5}), zeros({6}), 1e-5), Error);
  CHECK_THROWS_AS(batch_norm_train(zeros({6}), {}, {}, 1e-5), Error);
  CHECK_THROWS_AS(batch_norm_train(zeros({0, 6}), {}, {}, 1e-5), Error);
  // the statistics of a single value would hide it
  CHECK_THROWS_WITH(batch_norm_train(ones({1, 6}), {}, {}, 1e-5),
                    contains_text("[1, 6]") && contains_text("a channel"));
  CHECK_THROWS_AS(batch_norm_train(ones({1, 6, 1, 1}), {}, {}, 1e-5), Error);
  CHECK_NOTHROW(batch_norm_train(ones({2, 6, 1, 1}), {}, {}, 1e-5));
  CHECK_NOTHROW(batch_norm(ones({1, 6}), {}, {}, zeros({6}), ones({6}), 1e-5));
  CHECK_THROWS_AS(instance_norm(ones({2, 6, 1, 1}), {}, {}, 1e-5), Error);
  CHECK_THROWS_AS(group_norm(ones({1, 6, 1, 1}), {}, {}, 6, 1e-5), Error);
  CHECK_NOTHROW(group_norm(ones({1, 6, 1, 1}), {}, {}, 3, 1e-5));
}
