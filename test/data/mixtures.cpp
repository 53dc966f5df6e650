// SPDX-License-Identifier: Apache-2.0
// test/data/mixtures.cpp — Mixup and CutMix as timm draws them and adds up, and epochs with repeated images.
#include <algorithm>
#include <sstream>

#include "data/folder.h"
#include "data/loader.h"
#include "data/mix.h"
#include "data/repeats.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "test/data/pattern.h"
#include "test/data/replayed.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::data;
using namespace fovea::test;

TEST_CASE("mixtures and their targets are timm's", "[data][augment]") {
  size_t cases = 0;
  for (const std::string& row : augment_rows("mixtures.tsv")) {
    std::istringstream in(row);
    std::string mode, minmax, labels, draws, want_targets, want_images;
    MixConfig c;
    uint64_t seed;
    int images, height, width, multi;
    in >> mode >> c.mixup >> c.cutmix >> minmax >> c.prob >> c.switch_prob >> c.smoothing >> c.classes >> multi >>
        seed >> images >> height >> width >> labels >> draws >> want_targets >> want_images;
    REQUIRE(in);
    INFO(row);
    c.mode = parse_mix_mode(mode);
    if (minmax != "-") c.cutmix_minmax = {std::stod(split(minmax, ',')[0]), std::stod(split(minmax, ',')[1])};
    std::vector<float> pixels, dense;
    for (int i = 0; i < images; ++i) {
      const Image image = pattern(seed + static_cast<uint64_t>(i), width, height, 3);
      for (size_t k = 0; k < 3; ++k)
        for (size_t p = k; p < image.pixels.size(); p += 3) pixels.push_back(static_cast<float>(image.pixels[p]) / 256);
    }
    std::vector<int64_t> classes;
    for (const std::string& l : split(labels, multi ? ';' : ',')) {
      if (multi) for (const char v : l) dense.push_back(static_cast<float>(v - '0'));
      else classes.push_back(std::stoll(l));
    }
    Tensor batch = from<float>(pixels, {images, 3, height, width});
    Replayed chance(draws);
    const Tensor targets = multi ? mix(batch, from<float>(dense, {images, c.classes}), c, chance)
                                 : mix(batch, from<int64_t>(classes, {images}), c, chance);
    CHECK(chance.all());
    CHECK(hash(targets) == want_targets);
    CHECK(batch.dim(0) == (mode == "half" ? images / 2 : images));
    if (mode != "half") CHECK(hash(batch) == want_images);
    ++cases;
  }
  CHECK(cases >= 60);
}

TEST_CASE("repeated images have other crops, and epochs are whole 256s", "[data][augment]") {
  std::vector<size_t> order(600);
  for (size_t i = 0; i < order.size(); ++i) order[i] = 599 - i;
  const std::vector<size_t> thrice = repeated(order, 3), some = repeated(order, 1.5);
  REQUIRE(thrice.size() == 512);                            // as RepeatAugSampler(range(600), 1, 0, num_repeats=3)
  for (size_t i = 0; i < 512; ++i) CHECK(thrice[i] == 599 - i / 3);
  CHECK(std::vector<size_t>(some.begin(), some.begin() + 6) == std::vector<size_t>{599, 599, 598, 597, 597, 596});
  CHECK(repeated(std::vector<size_t>{4, 2, 9}, 2) == std::vector<size_t>{4, 4, 2});
  CHECK_THROWS_AS(repeated(order, 0.5), Error);

  const Scratch scratch;
  write_image_folder(scratch / "images", 2, 6, 12, 5);
  const ImageFolder folder(scratch / "images");
  Loader loader(folder, {.batch = 6, .seed = 3, .train = TrainConfig{.input_size = {3, 8, 8}}, .repeats = 2});
  CHECK(loader.batches() == 2);
  loader.begin(0);
  Batch b;
  REQUIRE(loader.next(b));
  CHECK(b.samples[0] == b.samples[1]);
  CHECK(b.samples[1] != b.samples[2]);
  const std::span<const float> v = b.images.data<float>();
  CHECK_FALSE(std::equal(v.begin(), v.begin() + 192, v.begin() + 192));
}

TEST_CASE("mixtures are erased, and half of a batch is left of halves", "[data][augment]") {
  const Scratch scratch;
  write_image_folder(scratch / "images", 2, 8, 12, 5);
  const ImageFolder folder(scratch / "images");
  LoaderOptions o{.batch = 8, .seed = 3, .train = TrainConfig{.input_size = {3, 16, 16}, .mean = {0}, .std = {1}}};
  o.train->erasing = {.prob = 1, .fill = Erasing::Fill::zero};
  o.mix = MixConfig{.mixup = 1, .mode = MixConfig::Mode::half, .classes = 2};
  Loader loader(folder, o);
  loader.begin(0);
  Batch b;
  REQUIRE(loader.next(b));
  CHECK(b.images.shape() == Shape{4, 3, 16, 16});
  CHECK(b.targets.shape() == Shape{4, 2});
  CHECK(b.samples.size() == 4);
  for (size_t i = 0; i < 4; ++i) {                          // mixtures of erased images would be grey there
    const std::span<const float> one = b.images.data<float>().subspan(768 * i, 768);
    const auto black = std::count(one.begin(), one.end(), 0.0f);
    CHECK(black >= 12);
    CHECK(black < 300);
  }
}
