// SPDX-License-Identifier: Apache-2.0
// test/data/sizes.cpp — epochs of batches of several sizes of images.
#include "data/sizes.h"

#include <algorithm>

#include "data/loader.h"
#include "engine/core/error.h"
#include "test/support/catch.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::data;

TEST_CASE("sizes are as probable as timm's schedule has them", "[data]") {
  const SizeConfig grows{.sizes = {8, 12, 16}, .batches = {8, 4, 2}, .weights = {1, 2, 1}, .progressive = true,
                         .epochs = 5};
  const SizeSchedule schedule(grows, 100, 1);
  const double second[] = {0.32424013451910516, 0.615146935704877, 0.06061292977601794};
  for (size_t i = 0; i < 3; ++i) CHECK(schedule.weights(1)[i] == Approx(second[i]).epsilon(1e-12));
  SizeConfig without = grows;
  without.weights = {1, 1, 0};
  const double last[] = {0.07512309001463101, 0.924876909985369, 0.0};
  for (size_t i = 0; i < 3; ++i) CHECK(SizeSchedule(without, 100, 1).weights(4)[i] == Approx(last[i]).epsilon(1e-12));
  CHECK(schedule.batches() == static_cast<int64_t>(100 / schedule.average_batch()));
  const auto of_size = [&](int64_t epoch, int size) {
    int64_t n = 0;
    for (uint64_t seed = 0; seed < 40; ++seed)
      for (const SizeSchedule::Batch& b : SizeSchedule(grows, 100, seed).epoch(epoch)) n += b.size == size;
    return n;
  };
  CHECK(of_size(0, 0) > 5 * of_size(0, 2));
  CHECK(of_size(4, 2) > 5 * of_size(4, 0));
}

TEST_CASE("batches of several sizes take each image once, in another order each epoch", "[data]") {
  const SizeConfig both{.sizes = {8, 16}, .batches = {4, 2}};
  const SizeSchedule schedule(both, 101, 3);
  const auto images = [](const std::vector<SizeSchedule::Batch>& all) {
    int64_t n = 0;
    for (const SizeSchedule::Batch& b : all) n += b.images;
    return n;
  };
  const auto sizes = [](const std::vector<SizeSchedule::Batch>& all) {
    std::vector<int> out;
    for (const SizeSchedule::Batch& b : all) out.push_back(b.size);
    return out;
  };
  CHECK(images(schedule.epoch(0)) == 100);                  // one fills no batch
  CHECK(images(schedule.epoch(7)) == 100);
  CHECK(sizes(schedule.epoch(0)) == sizes(SizeSchedule(both, 101, 3).epoch(0)));
  CHECK(sizes(schedule.epoch(0)) != sizes(schedule.epoch(1)));
  CHECK_THROWS_AS(SizeSchedule({.sizes = {8}, .batches = {4, 2}}, 100, 0), Error);
  CHECK_THROWS_AS(SizeSchedule({.sizes = {8}, .batches = {4}, .weights = {0}}, 100, 0), Error);
  CHECK_THROWS_AS(SizeSchedule({.sizes = {8}, .batches = {4}}, 3, 0), Error);

  const test::Scratch scratch;
  test::write_image_folder(scratch / "images", 3, 7, 12, 5);
  const ImageFolder folder(scratch / "images");
  LoaderOptions o{.workers = 2, .seed = 7, .train = TrainConfig{}, .sizes = both};
  o.sizes->batches_an_epoch = 12;                           // more than there are images for
  Loader loader(folder, o);
  CHECK(loader.batches() == 12);
  loader.begin(0);
  Batch b;
  std::vector<int> seen(21);
  int64_t count = 0, large = 0;
  while (loader.next(b)) {
    ++count;
    large += b.images.dim(2) == 16;
    CHECK((b.images.shape() == Shape{4, 3, 8, 8} || b.images.shape() == Shape{2, 3, 16, 16}));
    for (const size_t s : b.samples) ++seen[s];
  }
  CHECK(count == 12);
  CHECK((large > 0 && large < 12));
  CHECK(*std::ranges::max_element(seen) - *std::ranges::min_element(seen) <= 1);
}
