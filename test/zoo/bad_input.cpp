// SPDX-License-Identifier: Apache-2.0
// test/zoo/bad_input.cpp — models that are given what they cannot take say which module, which values, and what helps.
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "zoo/zoo.h"

using namespace fovea;

namespace {

template <class F>
std::string message(F f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("models refuse images of a wrong shape", "[zoo]") {
  const auto net = zoo::create("test_efficientnet"), vit = zoo::create("test_vit");
  for (const auto& m : {net.get(), vit.get()}) {
    m->materialise();
    m->eval();
  }
  const auto give = [](zoo::ImageModel& m, const Shape& s, DType t = DType::f32) {
    return message([&] { m(zeros(s, t)); });
  };
  CHECK(give(*net, {1, 4, 64, 64}) ==
        "conv: x has 4 channels, but w [24, 3, 3, 3] with groups=1 takes 3\n"
        "  at conv_stem   x: f32[1, 4, 64, 64] cpu   w: f32[24, 3, 3, 3] cpu");
  CHECK_THAT(give(*net, {3, 64, 64}), contains_text("w must have rank 3") && contains_text("at conv_stem"));
  CHECK_THAT(give(*net, {1, 3, 64, 64}, DType::u8), contains_text("x must be floating, not u8"));
  CHECK_THAT(give(*net, {1, 3, 0, 64}), contains_text("does not fit into 0 elements"));
  CHECK(give(*vit, {1, 3, 64, 60}) == "an image of 64 x 60 does not divide into patches of 16 x 16\n  patch_embed");
  CHECK_THAT(message([&] { (*net)(Tensor()); }), contains_text("an absent tensor"));
  CHECK_THAT(message([&] { net->forward_head(zeros({1, 7, 2, 2})); }), contains_text("x has 7 features, but w"));
  CHECK_THAT(message([&] {
               net->forward_intermediates(zeros({1, 3, 64, 64}), {.indices = {9}});
             }),
             contains_text("feature level 9 of test_efficientnet"));
  CHECK_THAT(message([] {
               (*zoo::create("test_efficientnet"))(zeros({1, 3, 64, 64}));
             }),
             contains_text("has no values at conv_stem") && contains_text("load() weights or materialise()"));

  Session session = zoo::compile(*net, {.batch = 2, .height = 64, .width = 64});
  CHECK(message([&] {
          session.run(zeros({1, 3, 64, 64}));
        }) ==
        "run(): image is f32[1, 3, 64, 64], the graph was compiled for f32[2, 3, 64, 64]\n"
        "  compile again for another shape");
  CHECK_THAT(message([&] { session.run(zeros({2, 3, 64, 64}, DType::f64)); }), contains_text("image is f64[2"));
}

TEST_CASE("models refuse options that make none", "[zoo]") {
  const auto make = [](const zoo::ModelOptions& o) { return message([&] { zoo::create("test_efficientnet", o); }); };
  CHECK(make({.num_classes = -2}) == "num_classes is -2\n  0 leaves out the classifier");
  CHECK_THAT(make({.in_chans = 0}), contains_text("in_chans is 0"));
  CHECK_THAT(make({.output_stride = 7}), contains_text("output_stride is 7") && contains_text("2, 4, 8, 16 or 32"));
  CHECK_THAT(make({.global_pool = "mean"}), contains_text("no global pooling 'mean'") && contains_text("avgmax"));
  CHECK_THAT(message([] {
               zoo::create("test_vit", {.img_size = std::array<int, 2>{7, 7}});
             }),
             contains_text("an image of 7 x 7 has no patches of 16 x 16"));
}
