// SPDX-License-Identifier: Apache-2.0
// test/zoo/stages.cpp — what convolutional families share: dilation, drop-path rates, pooling of stems and shortcuts.
#include "zoo/blocks/stages.h"

#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "test/support/catch.h"
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"

namespace fovea::zoo {

TEST_CASE("strides become dilation behind the output stride", "[zoo]") {
  for (const int limit : {32, 16, 8}) {
    Dilator d{.reached = 4, .limit = limit};
    int reached = 4, dilation = 1;
    for (int stage = 0; stage < 4; ++stage) {
      const int wanted = stage == 0 ? 1 : 2;
      const Dilator::Step step = d.next(wanted);
      CAPTURE(limit, stage);
      REQUIRE(step.first_dilation == dilation);
      REQUIRE(step.stride * step.dilation / step.first_dilation == wanted);
      reached *= step.stride;
      dilation = step.dilation;
      REQUIRE(reached <= limit);
    }
    REQUIRE(reached == limit);
    REQUIRE(dilation == 32 / limit);
  }
}

TEST_CASE("drop-path rates grow from zero to the rate", "[zoo]") {
  DropPathRamp ramp(0.3, 4);
  for (int i = 0; i < 4; ++i) REQUIRE(ramp.next() == Approx(0.1 * i));
  DropPathRamp one(0.3, 1);
  REQUIRE(one.next() == 0);
}

TEST_CASE("shortcuts pool what their blocks stride", "[zoo]") {
  const Tensor x = reshape(from({1, 2, 3, 4, 5, 6, 7, 8, 9}), {1, 1, 3, 3});
  const auto values = [&](int stride, int dilation) {
    const Tensor y = (*shortcut_pool(stride, dilation))(x);
    const std::span<const float> v = y.data<float>();
    return std::vector<float>(v.begin(), v.end());
  };
  REQUIRE(values(1, 1) == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  // windows over the edge are smaller
  REQUIRE(values(2, 1) == std::vector<float>{3, 4.5f, 7.5f, 9});
  // zeros at the end count
  REQUIRE(values(1, 2) == std::vector<float>{3, 4, 2.25f, 6, 7, 3.75f, 3.75f, 4.25f, 2.25f});
}

TEST_CASE("stems pool to half the size, with or without blur", "[zoo]") {
  const Tensor x = zeros({2, 8, 17, 32});
  const auto pool = [&](const char* kind) { return (*stem_pool(kind, 8))(x).shape(); };
  REQUIRE(pool("") == Shape{2, 8, 9, 16});
  REQUIRE(pool("blur") == Shape{2, 8, 9, 16});
  REQUIRE(pool("avg") == Shape{2, 8, 8, 16});
  REQUIRE_THROWS_AS(stem_pool("haze", 8), Error);
}

TEST_CASE("He's first values count what they are told to", "[zoo]") {
  Conv2d conv(8, 16, 3, {.groups = 4, .bias = true});
  const auto deviation = [&](Fan fan) {
    he_normal_convs(conv, fan);
    return conv.weight.slot().init.b;
  };
  REQUIRE(deviation(Fan::in) == Approx(std::sqrt(2.0 / 18)));
  REQUIRE(deviation(Fan::out) == Approx(std::sqrt(2.0 / 144)));
  REQUIRE(deviation(Fan::group_out) == Approx(std::sqrt(2.0 / 36)));
  zero_biases(conv);
  REQUIRE(conv.bias.slot().init == init::zeros());
  BatchNorm2d norm(4);
  zero_norm_weight(norm);
  REQUIRE(norm.weight.slot().init == init::zeros());
  REQUIRE(norm.bias.slot().init == init::zeros());
  REQUIRE(norm.running_var.slot().init == init::ones());
}

}  // namespace fovea::zoo
