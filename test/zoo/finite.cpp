// SPDX-License-Identifier: Apache-2.0
// test/zoo/finite.cpp — when an answer is no number, the tensor or the layer that began it is named.
#include "zoo/finite.h"

#include <limits>

#include "engine/core/finite.h"
#include "engine/graph/calibration.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/weights_tools/files.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

// test_resnet with one number changed.
std::unique_ptr<ImageModel> model_with(const std::string& tensor, size_t at, float value) {
  auto model = create("test_resnet");
  model->materialise(1);
  for (const NamedParameter& p : model->named_state())
    if (p.name == tensor) p.tensor().mutable_data<float>()[at] = value;
  return model;
}

Tensor image(const ImageModel& m) { return test::filled("image", {1, 3, m.input_size()[1], m.input_size()[2]}); }

std::string why(ImageModel& m) {
  Session s = compile(m);
  const Tensor x = image(m);
  CHECK_FALSE(all_finite(s.run(x)));
  return why_not_finite(m, x).what();
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("weights that are not finite are named with the value and its place", "[zoo][finite]") {
  for (const char* name : {"conv1.0.weight", "layer2.0.conv2.weight", "layer4.0.bn1.running_mean", "fc.bias"}) {
    INFO(name);
    const auto broken = model_with(name, 3, kNaN);
    const std::string text = why(*broken);
    CHECK(text.find(str_cat("the weights of ", broken->full_name(), " are not finite: ", name, " f32[")) == 0);
    CHECK(text.find("holds nan at [") != std::string::npos);
    const Error e = test::error_of([&] { want_finite_weights(*broken); });
    CHECK(e.kind() == Error::Kind::weights);
    CHECK(test::mentions(e, name));
  }
  const auto sound = model_with("fc.bias", 0, 1);
  CHECK_NOTHROW(want_finite_weights(*sound));
}

TEST_CASE("the first layer that overflows is named", "[zoo][finite]") {
  const auto model = model_with("fc.bias", 0, 0);
  for (const NamedParameter& p : model->named_state())
    if (p.name == "layer3.0.bn1.weight" || p.name == "layer3.0.bn1.bias")
      for (float& v : p.tensor().mutable_data<float>()) v = 3e38f;
  const std::string text = why(*model);
  INFO(text);
  CHECK(text.find("the weights of ") == std::string::npos);
  CHECK(text.find("layer3.0") == 0);
  CHECK(text.find("the first that is not finite") != std::string::npos);
}

TEST_CASE("images that are not finite are named, and what only compiled sums lose", "[zoo][finite]") {
  const auto model = model_with("fc.bias", 0, 0);
  Tensor x = image(*model);
  x.mutable_data<float>()[5] = kNaN;
  CHECK(test::mentions(why_not_finite(*model, x), "the images f32[1, 3,"));
  CHECK(test::mentions(why_not_finite(*model, image(*model)), "op by op all of them are"));
  const auto empty = create("test_resnet");
  CHECK(test::error_of([&] { throw why_not_finite(*empty, image(*empty)); }).kind() == Error::Kind::argument);
}

TEST_CASE("weights that are not finite do not become integers", "[zoo][finite]") {
  const auto model = model_with("fc.bias", 0, 0);
  Calibrator seen(trace(*model));
  seen.observe(image(*model));
  CompileOptions o;
  o.target.calibration = std::make_shared<Calibration>(seen.result());
  CHECK_NOTHROW(compile(*model, o));
  const auto broken = model_with("layer2.0.conv2.weight", 3, kNaN);
  const Error e = test::error_of([&] { compile(*broken, o); });
  CHECK(e.kind() == Error::Kind::weights);
  CHECK(test::mentions(e, "layer2.0.conv2"));
  CHECK(test::mentions(e, "nan at ["));
  Calibrator lost(trace(*broken));
  lost.observe(image(*broken));
  CHECK(test::mentions(test::error_of([&] { (void)lost.result(); }), "are not finite: they have no range"));
}

}  // namespace fovea::zoo
