// SPDX-License-Identifier: Apache-2.0
// test/real/quantize.cpp — EfficientNet-Lite in 8-bit integers, with real weights: crops of photos are seen as in f32.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "data/decode.h"
#include "data/transform.h"
#include "engine/graph/calibration.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "zoo/zoo.h"

using namespace fovea;

namespace {

// A quarter of the photo, its corner moving in a raster.
Tensor crop(const data::Image& image, const zoo::ImageModel& m, int i) {
  const auto w = static_cast<float>(image.width) * 0.6f, h = static_cast<float>(image.height) * 0.6f;
  const float left = w / 0.6f * 0.08f * static_cast<float>(i % 5), top = h / 0.6f * 0.08f * static_cast<float>(i / 5);
  const auto [channels, height, width] = m.input_size();
  (void)channels;
  const zoo::PretrainedCfg& c = m.pretrained_cfg();
  const std::vector<float> mean(c.mean.begin(), c.mean.end()), std(c.std.begin(), c.std.end());
  return data::to_tensor(data::resize(image, width, height, data::Filter::bicubic, {left, top, left + w, top + h}),
                         mean, std);
}

}  // namespace

TEST_CASE("EfficientNet-Lite in 8-bit integers sees what it sees in f32", "[.real]") {
  const char* folder = std::getenv("FOVEA_LITE_WEIGHTS");
  REQUIRE(folder != nullptr);
  const int which = GENERATE(0, 1, 2);
  const auto model = zoo::create(str_cat("tf_efficientnet_lite", which));
  zoo::load_weights(*model, str_cat(folder, "/lite", which, ".safetensors"));
  std::vector<data::Image> photos;
  for (const char* name : {"chelsea.png", "coffee.png", "rocket.jpg"})
    photos.push_back(data::read_image(std::string(FOVEA_SOURCE_DIR "/docs/images/") + name));
  zoo::CompileOptions o;
  Calibrator seen(zoo::trace(*model, o));
  for (const data::Image& photo : photos)
    for (int i = 0; i < 25; i += 2) seen.observe(crop(photo, *model, i));
  Session f32 = zoo::compile(*model, o);
  o.target.calibration = std::make_shared<Calibration>(seen.result());
  Session int8 = zoo::compile(*model, o);
  int clear = 0, same = 0;
  for (const data::Image& photo : photos)
    for (int i = 1; i < 25; i += 4) {
      const Tensor x = crop(photo, *model, i), want = f32.run(x), got = int8.run(x);
      CHECK(test::relative_error(test::values_of(got), test::values_of(want)) < 0.2);
      const auto [probs, best] = topk(softmax(want, 1), 2, 1);
      if (probs.data<float>()[0] - probs.data<float>()[1] < 0.05f) continue;
      ++clear;
      same += argmax(got, 1).data<int64_t>()[0] == best.data<int64_t>()[0];
    }
  CHECK(clear >= 9);
  CHECK(same == clear);
}
