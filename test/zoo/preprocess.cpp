// SPDX-License-Identifier: Apache-2.0
// test/zoo/preprocess.cpp — images as models want them: all that their rows of the catalogue say, crop modes too.
#include "api/preprocess.h"

#include <set>

#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using test::values_of;

}  // namespace

TEST_CASE("preprocess() takes all that a row says", "[zoo]") {
  const data::Image image = test::pattern(1, 100, 60, 3);
  std::set<std::string> tried;  // a model for each family and crop mode
  for (const PretrainedCfg& row : catalogue()) {
    if (!is_model(row.architecture) || !tried.insert(str_cat(row.module, " ", row.crop_mode)).second) continue;
    CAPTURE(row.name());
    const auto m = create(row.name());
    const data::EvalConfig c = eval_config(*m);
    CHECK(c.input_size == row.input_size);
    CHECK(c.interpolation == data::parse_filter(row.interpolation));
    CHECK(c.crop_pct == row.crop_pct);
    CHECK(data::name_of(c.crop_mode) == row.crop_mode);
    CHECK(std::equal(c.mean.begin(), c.mean.end(), row.mean.begin(), row.mean.end()));
    CHECK(std::equal(c.std.begin(), c.std.end(), row.std.begin(), row.std.end()));
    const Tensor x = preprocess(*m, image);
    CHECK(x.shape() == Shape{1, row.input_size[0], row.input_size[1], row.input_size[2]});
    CHECK(values_of(x) == values_of(data::eval_transform(image, c)));
  }
}

TEST_CASE("crop modes and sizes make a difference", "[zoo]") {
  const data::Image image = test::pattern(1, 100, 60, 3);
  const auto m = create("test_efficientnet");
  data::EvalConfig c = eval_config(*m);
  const std::vector<double> center = values_of(preprocess(*m, image));
  for (const data::CropMode mode : {data::CropMode::squash, data::CropMode::border}) {
    c.crop_mode = mode;
    CHECK(values_of(data::eval_transform(image, c)) != center);
  }
  if (!is_model("test_vit")) return;
  const auto other = create("test_vit", {.img_size = std::array<int, 2>{96, 128}});
  CHECK(preprocess(*other, image).shape() == Shape{1, 3, 96, 128});
  CHECK_THROWS_AS(preprocess(*create("test_efficientnet", {.in_chans = 1}), image), Error);
}

}  // namespace fovea::zoo
