// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_conv.cpp — convolutions of one to three dimensions, their adjoints, im2col.
#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::values_of;
using fovea::test::Vars;

TEST_CASE("conv", "[op]") {
  const int64_t groups = GENERATE(1, 2, 4), stride = GENERATE(1, 2), k = GENERATE(1, 3);
  INFO("groups " << groups << " stride " << stride << " kernel " << k);
  check_op([=](Vars& v) {
    return conv(v("x", {2, 4, 9, 7}), v("w", {8, 4 / groups, k, k}), v("b", {8}),
                {.stride = {stride}, .pad = {k / 2}, .groups = groups});
  });
}

TEST_CASE("conv with uneven options", "[op]") {
  check_op([](Vars& v) {
    return conv(v("x", {2, 3, 9, 8}), v("w", {4, 3, 3, 2}), {},
                {.stride = {2, 1}, .dilation = {1, 3}, .pad = {0, 2}, .pad_hi = {3, 1}});
  });
  check_op([](Vars& v) {
    return conv(v("x", {1, 6, 8, 8}), v("w", {6, 1, 3, 3}), v("b", {6}),
                {.stride = {2}, .dilation = {2}, .pad = {2}, .groups = 6});
  });
  check_op([](Vars& v) { return conv(v("x", {1, 2, 7, 7}), v("w", {3, 2, 7, 7}), v("b", {3})); });
  check_op([](Vars& v) { return conv(v("x", {1, 3, 16, 16}), v("w", {5, 3, 4, 4}), v("b", {5}), {.stride = {4}}); });
}

TEST_CASE("conv with TensorFlow's SAME padding", "[op]") {
  const int64_t stride = GENERATE(1, 2, 3), k = GENERATE(2, 3, 5);
  check_op([=](Vars& v) {
    return conv(v("x", {1, 2, 8, 7}), v("w", {3, 2, k, k}), {}, {.stride = {stride}, .same = true});
  });
  const Tensor y = conv(zeros({1, 2, 8, 7}), zeros({3, 2, k, k}), {}, {.stride = {stride}, .same = true});
  CHECK(y.shape() == Shape{1, 3, (8 + stride - 1) / stride, (7 + stride - 1) / stride});
  CHECK(same_padding(8, 3, 2, 1) == std::pair<int64_t, int64_t>{0, 1});
  CHECK(same_padding(7, 3, 2, 1) == std::pair<int64_t, int64_t>{1, 1});
  CHECK(same_padding(7, 1, 2, 1) == std::pair<int64_t, int64_t>{0, 0});
}

TEST_CASE("conv of one and of three dimensions", "[op]") {
  check_op([](Vars& v) {
    return conv(v("x", {2, 4, 11}), v("w", {6, 2, 3}), v("b", {6}), {.stride = {2}, .pad = {1}, .groups = 2});
  });
  check_op([](Vars& v) {
    return conv(v("x", {1, 2, 4, 5, 3}), v("w", {3, 2, 2, 3, 2}), v("b", {3}), {.stride = {1, 2, 1}, .pad = {1, 0, 1}});
  });
}

TEST_CASE("conv_transpose", "[op]") {
  const int64_t groups = GENERATE(1, 2);
  check_op([=](Vars& v) {
    return conv_transpose(v("x", {2, 4, 3, 4}), v("w", {4, 6 / groups, 3, 2}), v("b", {6}),
                          {.stride = {2, 3}, .pad = {1, 0}, .output_pad = {1, 0}, .groups = groups});
  });
  check_op([](Vars& v) {
    return conv_transpose(v("x", {2, 3, 4}), v("w", {3, 2, 4}), {}, {.stride = {2}, .dilation = {2}});
  });
  CHECK(conv_transpose(zeros({1, 4, 3, 3}), zeros({4, 2, 2, 2}), {}, {.stride = {2}}).shape() == Shape{1, 2, 6, 6});
}

TEST_CASE("unfold and fold", "[op]") {
  const UnfoldAttrs a{.kernel = {3, 2}, .stride = {2, 1}, .pad = {1, 0}, .dilation = {1, 2}};
  check_op([&](Vars& v) { return unfold(v("x", {2, 3, 7, 6}), a); });
  UnfoldAttrs f = a;
  f.size = {7, 6};
  check_op([&](Vars& v) { return fold(v("x", {2, 18, 16}), f); });
  CHECK_THROWS_AS(fold(zeros({2, 18, 15}), f), Error);
  CHECK_THROWS_AS(fold(zeros({2, 17, 16}), f), Error);
}

TEST_CASE("conv follows the memory order of x", "[op]") {
  const Tensor x = contiguous(zeros({1, 4, 5, 5}), Memory::channels_last);
  CHECK(conv(x, zeros({2, 4, 3, 3})).meta().is_channels_last());
  CHECK(conv(zeros({1, 4, 5, 5}), zeros({2, 4, 3, 3})).meta().is_contiguous());
}

TEST_CASE("errors of conv name the values", "[op]") {
  const auto message = [](auto f) -> std::string {
    try {
      f();
    } catch (const Error& e) { return e.summary(); }
    return "";
  };
  CHECK(message([] {
          conv(zeros({1, 64, 56, 56}), zeros({128, 32, 3, 3}));
        }) == "conv: x has 64 channels, but w [128, 32, 3, 3] with groups=1 takes 32");
  CHECK(message([] {
          conv(zeros({1, 4, 5, 5}), zeros({3, 2, 3, 3}), {}, {.groups = 2});
        }) == "conv: w [3, 2, 3, 3] gives 3 channels, which groups=2 does not divide");
  CHECK(message([] {
          conv(zeros({1, 4, 5, 5}), zeros({3, 4, 7, 7}));
        }) == "conv: a kernel of 7 with dilation=1 does not fit into 5 elements padded by 0 and 0");
  CHECK(message([] {
          conv(zeros({1, 4, 5, 5}), zeros({3, 4, 3}));
        }) == "conv: w must have rank 4, not shape [3, 4, 3]");
  CHECK(message([] {
          conv(zeros({1, 4, 5, 5}), zeros({3, 4, 3, 3}), zeros({4}));
        }) == "conv: b has shape [4], w [3, 4, 3, 3] gives 3 channels");
  CHECK(message([] {
          conv(zeros({1, 4, 5, 5}), zeros({3, 4, 3, 3}), {}, {.stride = {0}});
        }) == "conv: stride=[0, 0], dilation=[1, 1]: both must be positive");
  CHECK(message([] {
          conv(zeros({1, 4, 5, 5}), zeros({3, 4, 3, 3}), {}, {.stride = {1, 1, 1}});
        }) == "conv: stride=[1, 1, 1] for 2 spatial dimensions");
  CHECK(message([] {
          conv(zeros({4, 5}), zeros({3, 4}));
        }) == "conv: x must have 1 to 3 spatial dimensions, not shape [4, 5]");
}
