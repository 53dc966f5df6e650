// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_arrange.cpp — views, copies, cat, pad, flip, roll, and elements chosen by indices.
#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::values_of;
using fovea::test::Vars;

TEST_CASE("reshape", "[op]") {
  const Shape s = GENERATE(Shape{24}, Shape{4, 6}, Shape{2, 12}, Shape{2, 3, 2, 2}, Shape{-1, 8}, Shape{2, 3, 4, 1, 1},
                           Shape{1, 6, 4});
  check_op([&](Vars& v) { return reshape(v("x", {2, 3, 4}), s) * 2.0; });
  check_op([&](Vars& v) { return reshape(permute(v("x", {2, 3, 4}), {2, 0, 1}), s) * 2.0; });
}

TEST_CASE("reshape copies only where strides force it", "[op]") {
  const Tensor x = contiguous(zeros({2, 6, 4, 5}), Memory::channels_last);
  CHECK(flatten(x, 2).bytes() == x.bytes());
  CHECK(reshape(x, {2, 2, 3, 4, 5}).bytes() == x.bytes());
  CHECK(unsqueeze(x, 1).bytes() == x.bytes());
  CHECK(flatten(x).bytes() != x.bytes());
  const Tensor y = slice(zeros({4, 6}), 0, 1, 3);
  CHECK(flatten(y).bytes() == y.bytes());
  CHECK(flatten(transpose(y, 0, 1)).bytes() != y.bytes());
  CHECK(flatten(slice(zeros({4, 6}), 1, 1, 3)).meta().is_contiguous());
  CHECK(reshape(zeros({0, 3}), {3, 0, 2}).numel() == 0);
  CHECK_THROWS_AS(reshape(zeros({2, 3}), {4}), Error);
  CHECK_THROWS_AS(reshape(zeros({2, 3}), {-1, -1}), Error);
  CHECK_THROWS_AS(reshape(zeros({2, 3}), {-1, 4}), Error);
}

TEST_CASE("sizes whose product wraps around are no sizes", "[op]") {
  const Tensor x = zeros({8});
  const int64_t half = int64_t{1} << 32;           // half * half is 0 to who does not look
  CHECK_THROWS_WITH(reshape(x, {half, half}), contains_text("more elements than any memory"));
  CHECK_THROWS_WITH(reshape(x, {-1, half, half / 8}), contains_text("more elements than any memory"));
  CHECK_THROWS_WITH(repeat(x, {half, half}), contains_text("more elements than any memory"));
  CHECK_THROWS_WITH(expand(reshape(x, {8, 1}), {8, half / 4 * half}) + 1.0, contains_text("more elements"));
  CHECK_THROWS_WITH(pixel_shuffle(zeros({1, 4, 2, 2}), half), contains_text("pixel_shuffle by 4294967296"));
}

TEST_CASE("permute, transpose, squeeze, unsqueeze, flatten, unflatten", "[op]") {
  check_op([](Vars& v) {
    const Tensor x = v("x", {2, 1, 3, 4});
    return Tensors{permute(x, {3, 0, 2, 1}) * 1.5, transpose(x, 0, -1) + 1.0, squeeze(x, 1) * 2.0,
                   unsqueeze(x, -1) * 2.0,         flatten(x, 1, 2) * 2.0,    unflatten(x, 3, {2, -1}) * 2.0};
  });
  CHECK_THROWS_AS(permute(zeros({2, 3}), {0, 0}), Error);
  CHECK_THROWS_AS(permute(zeros({2, 3}), {0}), Error);
  CHECK_THROWS_AS(squeeze(zeros({2, 3}), 0), Error);
}

TEST_CASE("slice, narrow, select", "[op]") {
  check_op([](Vars& v) {
    const Tensor x = v("x", {5, 6, 7});
    return Tensors{slice(x, 0, 1, 4) * 2.0,     slice(x, 1, -4, 100, 2) * 2.0,
                   slice(x, 2, 0, -1, 3) * 2.0, narrow(x, -1, 2, 3) * 2.0,
                   select(x, 1, -2) * 2.0,      slice(slice(x, 0, 1, 5), 2, 1, 7, 2) * 2.0};
  });
  CHECK(slice(zeros({5}), 0, 4, 2).numel() == 0);
  CHECK(slice(zeros({5}), 0, INT64_MIN, INT64_MAX, INT64_MAX).numel() == 1);
  CHECK_THROWS_AS(narrow(zeros({5}), 0, 2, INT64_MAX), Error);
  CHECK_THROWS_AS(narrow(zeros({5}), 0, 3, 3), Error);
  CHECK_THROWS_AS(select(zeros({5}), 0, 5), Error);
  CHECK_THROWS_AS(slice(zeros({5}), 0, 4, 2, -1), Error);
}

TEST_CASE("unslice undoes slice", "[op]") {
  check_op([](Vars& v) { return call1(ops::unslice, {v("x", {2, 3, 4})}, SliceAttrs{1, 1, 6, 2, 7}); });
  CHECK_THROWS_AS(call1(ops::unslice, {zeros({2, 3})}, SliceAttrs{1, 0, 5, 1, 7}), Error);
}

TEST_CASE("expand and repeat", "[op]") {
  check_op([](Vars& v) {
    const Tensor x = v("x", {3, 1, 4});
    return Tensors{expand(x, {2, 3, 5, -1}) * 2.0, expand_as(v("y", {1}), x) * 2.0, repeat(x, {2, 1, 3, 2}),
                   repeat_interleave(x, 3, 2)};
  });
  CHECK(values_of(repeat(from({1.f, 2.f}), {2})) == std::vector<double>{1, 2, 1, 2});
  CHECK(values_of(repeat_interleave(from({1.f, 2.f}), 2, 0)) == std::vector<double>{1, 1, 2, 2});
  CHECK_THROWS_AS(expand(zeros({2, 3}), {2, 4}), Error);
  CHECK_THROWS_AS(expand(zeros({2, 3}), {3}), Error);
}

TEST_CASE("copies in another memory order", "[op]") {
  check_op([](Vars& v) {
    return Tensors{contiguous(v("x", {2, 3, 4, 5}), Memory::channels_last),
                   contiguous(transpose(v("y", {3, 4}), 0, 1))};
  });
  const Tensor x = zeros({2, 3, 4, 5});
  CHECK(contiguous(x).same(x));
  const Tensor last = contiguous(x, Memory::channels_last);
  CHECK(last.meta().is_channels_last());
  CHECK(contiguous(last, Memory::channels_last).same(last));
  CHECK(contiguous(zeros({2, 3}), Memory::channels_last).meta().is_contiguous());
  CHECK(contiguous(zeros({2, 1, 4, 5}), Memory::channels_last).meta().is_channels_last());
}

TEST_CASE("split, chunk, unbind, cat, stack", "[op]") {
  check_op([](Vars& v) {
    const Tensor x = v("x", {7, 3, 4}), y = v("y", {2, 3, 4});
    const std::vector<Tensor> parts = split(x, 3, 0);
    return Tensors{
        cat({x, y, x}, 0),      stack({y, y * 2.0}, -1), cat({parts[2], parts[0]}, 0),
        stack(unbind(x, 0), 1), cat(chunk(x, 3, 0), 0),  cat({split(x, std::vector<int64_t>{1, 2}, 1)[1], x}, 1)};
  });
  CHECK(chunk(zeros({7}), 3, 0).size() == 3);
  CHECK(chunk(zeros({7}), 3, 0)[2].dim(0) == 1);
  CHECK_THROWS_AS(cat({zeros({2, 3}), zeros({2, 4})}, 0), Error);
  CHECK_THROWS_AS(split(zeros({5}), std::vector<int64_t>{2, 2}, 0), Error);
}

TEST_CASE("pad", "[op]") {
  struct Amounts {
    PadMode mode;
    Dims lo, hi;
  };
  const auto a = GENERATE(
      Amounts{PadMode::constant, {0, 1, 2, 0}, {0, 0, 1, 3}}, Amounts{PadMode::constant, {0, -1, 2, -2}, {0, 1, -1, 0}},
      Amounts{PadMode::reflect, {0, 0, 2, 3}, {0, 0, 3, 1}}, Amounts{PadMode::replicate, {0, 0, 2, 5}, {0, 0, 3, 1}},
      Amounts{PadMode::circular, {0, 0, 2, 5}, {0, 0, 4, 1}});
  INFO(name_of(a.mode));
  check_op([&](Vars& v) { return pad(v("x", {2, 3, 4, 5}), a.lo, a.hi, a.mode, 0.5f); });
}

TEST_CASE("pad refuses what does not fit", "[op]") {
  CHECK_THROWS_AS(pad(zeros({3}), {3}, {0}, PadMode::reflect), Error);
  CHECK_THROWS_AS(pad(zeros({3}), {4}, {0}, PadMode::circular), Error);
  CHECK_THROWS_AS(pad(zeros({3}), {-1}, {0}, PadMode::reflect), Error);
  CHECK_THROWS_AS(pad(zeros({3}), {-2}, {-2}), Error);
  CHECK_THROWS_AS(pad(zeros({3}), {1, 1}, {0, 0}), Error);
  CHECK(pad_last(zeros({2, 3}), {1, 2, 3, 4}).shape() == Shape{9, 6});
}

TEST_CASE("flip and roll", "[op]") {
  check_op([](Vars& v) {
    const Tensor x = v("x", {3, 4, 5});
    return Tensors{flip(x, {0, 2}), flip(x, {-2}), roll(x, {1, -2}, {0, 2}), roll(x, {7}, {1})};
  });
  CHECK(values_of(roll(arange(0, 5), {2}, {0})) == std::vector<double>{3, 4, 0, 1, 2});
}

TEST_CASE("gather and scatter_add", "[op]") {
  const int dim = GENERATE(0, 1, 2);
  check_op([&](Vars& v) { return gather(v("x", {4, 5, 6}), dim, v.index("i", {4, 3, 2}, 4)); });
  check_op([&](Vars& v) {
    return scatter_add(v("x", {4, 5, 6}), dim, v.index("i", {4, 3, 2}, 4), v("src", {4, 3, 2}));
  });
}

TEST_CASE("index_select and index_add", "[op]") {
  const int dim = GENERATE(0, 1, -1);
  check_op([&](Vars& v) { return index_select(v("x", {4, 5, 6}), dim, v.index("i", {7}, 4)); });
  check_op([&](Vars& v) { return index_select(v("x", {4, 5, 6}), dim, v.index("i", {2, 3}, 4)); });
  check_op([&](Vars& v) { return index_add(v("x", {4, 4, 4}), dim, v.index("i", {4}, 3), 5); });
}

TEST_CASE("indices are checked", "[op]") {
  CHECK_THROWS_AS(index_select(zeros({3, 2}), 0, from(std::span<const int64_t>(std::vector<int64_t>{0, 3}), {2})),
                  Error);
  CHECK_THROWS_AS(index_select(zeros({3, 2}), 0, from(std::span<const int64_t>(std::vector<int64_t>{-1}), {1})), Error);
  CHECK_THROWS_AS(index_select(zeros({3, 2}), 0, zeros({1})), Error);
  CHECK_THROWS_AS(gather(zeros({3, 2}), 0, zeros({3, 3}, DType::i64)), Error);
  CHECK_THROWS_AS(index_add(zeros({3, 2}), 0, zeros({2}, DType::i64), 4), Error);
}

TEST_CASE("one_hot, pixel_shuffle", "[op]") {
  CHECK(values_of(one_hot(arange(0, 2), 3)) == std::vector<double>{1, 0, 0, 0, 1, 0});
  check_op([](Vars& v) { return pixel_shuffle(v("x", {2, 12, 3, 2}), 2); });
  check_op([](Vars& v) { return pixel_unshuffle(v("x", {2, 3, 4, 6}), 2); });
  CHECK_THROWS_AS(pixel_shuffle(zeros({1, 3, 2, 2}), 2), Error);
}
