// SPDX-License-Identifier: Apache-2.0
// test/data/loader.cpp — folders as classes, random crops, and batches that do not depend on who reads them.
#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "data/augment.h"
#include "data/color.h"
#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/support/fill.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::data;
using fovea::test::pattern;
using fovea::test::Scratch;
using fovea::test::write_image_folder;

namespace {

struct Seen {
  std::vector<float> pixels;
  std::vector<int64_t> labels;
  std::vector<size_t> samples;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen all_of(Loader& loader, int64_t epoch, int64_t first = 0) {
  Seen out;
  loader.begin(epoch, first);
  Batch b;
  while (loader.next(b)) {
    const std::span<const float> v = b.images.data<float>();
    const std::span<const int64_t> t = b.targets.data<int64_t>();
    out.pixels.insert(out.pixels.end(), v.begin(), v.end());
    out.labels.insert(out.labels.end(), t.begin(), t.end());
    out.samples.insert(out.samples.end(), b.samples.begin(), b.samples.end());
  }
  return out;
}

LoaderOptions small(int workers) {
  return {.batch = 4, .workers = workers, .seed = 7, .train = TrainConfig{.input_size = {3, 8, 8}}};
}

}  // namespace

TEST_CASE("folders are classes, in natural order", "[data]") {
  const Scratch scratch;
  const std::string root = scratch / "images";
  for (const char* name : {"class10", "class2", "class1/deeper"}) {
    std::filesystem::create_directories(root + "/" + name);
    test::write_file(root + "/" + name + "/b.bmp", test::striped_bmp(4, 0, 1));
    test::write_file(root + "/" + name + "/a.BMP", test::striped_bmp(4, 0, 2));
    test::write_file(root + "/" + name + "/notes.txt", "no image");
    test::write_file(root + "/" + name + "/.hidden.bmp", "no image");
  }
  const ImageFolder folder(root);
  CHECK(folder.classes() == std::vector<std::string>{"class2", "class10", "deeper"});
  REQUIRE(folder.size() == 6);
  CHECK(folder.name(0).ends_with("class1/deeper/a.BMP"));
  CHECK(folder.label(0) == 2);
  CHECK(folder.label(2) == 0);

  const ImageFolder mapped(root, {"deeper", "other", "class2"});
  REQUIRE(mapped.size() == 4);
  CHECK(mapped.label(0) == 0);
  CHECK(mapped.label(3) == 2);
  CHECK_THROWS_AS(ImageFolder(root + "/class2", {"nothing"}), Error);
  CHECK_THROWS_AS(ImageFolder(root + "/missing"), Error);
  CHECK(read_class_map(scratch.file("map.txt", "b 1\na 0\r\n")).names() == std::vector<std::string>{"a", "b"});
  CHECK(read_class_map(scratch.file("list.txt", "x y\nz\n")).names() == std::vector<std::string>{"x y", "z"});
}

TEST_CASE("splits are found under any of their names", "[data]") {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "valid");
  CHECK(split_folder(scratch / "", "validation") == (scratch / "") + "valid");
  CHECK(split_folder(scratch / "", "train") == scratch / "");
}

TEST_CASE("batches are the same whoever reads them, and other ones in each epoch", "[data]") {
  const Scratch scratch;
  write_image_folder(scratch / "images", 3, 7, 12, 5);
  const ImageFolder folder(scratch / "images");
  Loader one(folder, small(1)), four(folder, small(4));
  CHECK(one.batches() == 5);
  const Seen first = all_of(one, 0);
  CHECK(first.labels.size() == 20);                         // the 21st image fills no batch
  CHECK(all_of(four, 0) == first);
  CHECK(all_of(one, 0) == first);
  CHECK(all_of(one, 1).samples != first.samples);
  const Seen later = all_of(four, 0, 3);
  CHECK(later.samples == std::vector<size_t>(first.samples.begin() + 12, first.samples.end()));
  CHECK(std::equal(later.pixels.rbegin(), later.pixels.rend(), first.pixels.rbegin()));
  const std::set<size_t> distinct(first.samples.begin(), first.samples.end());
  CHECK(distinct.size() == 20);

  Loader in_order(folder, {.batch = 4, .workers = 3, .eval = {.input_size = {3, 8, 8}}});
  CHECK(in_order.batches() == 6);
  const Seen all = all_of(in_order, 0);
  REQUIRE(all.samples.size() == 21);
  for (size_t i = 0; i < 21; ++i) CHECK((all.samples[i] == i && all.labels[i] == static_cast<int64_t>(i / 7)));
  CHECK_THROWS_AS(Loader(folder, {.batch = 22, .train = TrainConfig{}}), Error);
}

TEST_CASE("an image that cannot be read gives its place to the next one", "[data]") {
  const Scratch scratch;
  write_image_folder(scratch / "images", 2, 6, 12, 5);
  test::write_file((scratch / "images") + "/class0/3.bmp", "BM, but no more");
  const ImageFolder folder(scratch / "images");
  LoaderOptions o{.batch = 3, .workers = 2, .eval = {.input_size = {3, 8, 8}}};
  Loader loader(folder, o);
  const Seen seen = all_of(loader, 0);
  CHECK(seen.samples == std::vector<size_t>{0, 1, 2, 4, 4, 5, 6, 7, 8, 9, 10, 11});
  REQUIRE(loader.bad().size() == 1);
  CHECK(loader.bad().begin()->first == 3);
  o.most_bad = 0;
  Loader strict(folder, o);
  CHECK_THROWS_AS(all_of(strict, 0), Error);
}

TEST_CASE("random crops keep to area and shape, and mirror as often as asked", "[data]") {
  const Image image = pattern(3, 64, 48, 3);
  const TrainConfig whole{.input_size = {3, 48, 64}, .scale = std::array{1.0, 1.0},
                          .ratio = std::array{64.0 / 48, 64.0 / 48}, .hflip = 0,
                          .interpolation = Filter::bilinear};
  for (uint64_t key = 0; key < 20; ++key) {
    Chance chance(key);
    CHECK(train_crop(image, whole, chance) == image);
  }
  TrainConfig turned = whole;
  turned.hflip = 1;
  Chance chance(1);
  CHECK(train_crop(image, turned, chance) == mirrored(image, true, false));
  CHECK(mirrored(mirrored(image, true, true), true, true) == image);
  turned.hflip = 0.25;
  int mirrors = 0;
  for (uint64_t key = 0; key < 2000; ++key) {
    Chance each(key);
    mirrors += train_crop(image, turned, each) != image;
  }
  CHECK(mirrors > 420);
  CHECK(mirrors < 580);
  const Tensor a = train_transform(image, {.input_size = {3, 8, 8}}, 1),
               b = train_transform(image, {.input_size = {3, 8, 8}}, 2);
  CHECK(a.shape() == Shape{1, 3, 8, 8});
  CHECK(!std::equal(a.data<float>().begin(), a.data<float>().end(), b.data<float>().begin()));
  const Image thin = pattern(4, 3, 200, 3);                 // no shape that is allowed fits: the centre
  Chance other(9);
  CHECK(train_crop(thin, {.input_size = {3, 8, 8}}, other).width == 8);
  CHECK_THROWS_AS(crop(image, 60, 0, 10, 10), Error);
  CHECK(train_crop(image, {.input_size = {1, 8, 8}}, other).channels == 1);
}

TEST_CASE("colours change as Pillow and torchvision change them", "[data]") {
  size_t seen = 0;
  for (const std::string& row : test::golden_rows("colors.tsv")) {
    std::istringstream in(row);
    uint64_t seed;
    int channels, width, height;
    std::string what, want;
    double by;
    in >> seed >> channels >> width >> height >> what >> by >> want;
    INFO(row.substr(0, 80));
    const Image image = pattern(seed, width, height, channels);
    ++seen;
    if (what == "blur") {                                   // sums of products, in another order
      const Image out = blurred(image, by);
      REQUIRE(want.size() == 2 * out.pixels.size());
      for (size_t i = 0; i < out.pixels.size(); ++i)
        CHECK(std::abs(out.pixels[i] - std::stoi(want.substr(2 * i, 2), nullptr, 16)) <= 1);
      continue;
    }
    const Image out = what == "brightness" ? with_brightness(image, by)
                      : what == "contrast" ? with_contrast(image, by)
                                           : with_saturation(image, by);
    CHECK(test::hex(fnv1a(std::string(out.pixels.begin(), out.pixels.end()))) == want);
  }
  CHECK(seen == 132);
}

TEST_CASE("rectangles are erased as often and as large as asked", "[data]") {
  for (const auto fill : {Erasing::Fill::zero, Erasing::Fill::colour, Erasing::Fill::pixel}) {
    int erased = 0;
    double area = 0;
    for (uint64_t key = 0; key < 400; ++key) {
      Tensor image = full({1, 2, 20, 30}, 7);
      Chance chance(key);
      erase(image, {.prob = 0.5, .fill = fill, .most = 1}, chance);
      std::set<float> values;
      int64_t gone = 0;
      for (const float v : image.data<float>())
        if (v != 7) values.insert(v), ++gone;
      erased += gone > 0;
      area += static_cast<double>(gone) / 1200;
      if (gone == 0) continue;
      if (fill == Erasing::Fill::zero) CHECK(values == std::set<float>{0});
      else if (fill == Erasing::Fill::colour) CHECK(values.size() == 2);
      else CHECK(values.size() == static_cast<size_t>(gone));
    }
    CHECK(erased > 160);
    CHECK(erased < 240);
    CHECK(area / erased > 0.10);                            // from 0.02 to 0.33, less what does not fit
    CHECK(area / erased < 0.20);
  }
}

TEST_CASE("mixtures are of two images and of their targets, in the same shares", "[data]") {
  const auto batch = [] {
    std::vector<float> v;
    for (int i = 0; i < 4; ++i) v.insert(v.end(), 3 * 16 * 16, static_cast<float>(i));
    return from<float>(v, {4, 3, 16, 16});
  };
  const Tensor labels = arange(0, 4);
  using Mode = MixConfig::Mode;
  for (const Mode mode : {Mode::batch, Mode::pair, Mode::elem})
    for (const bool cut : {false, true}) {
      double own_sum = 0, apart = 0;
      for (uint64_t key = 0; key < 300; ++key) {
        const MixConfig c{.mixup = cut ? 0.0 : 0.8, .cutmix = cut ? 1.0 : 0.0, .mode = mode, .smoothing = 0.1,
                          .classes = 4};
        Tensor images = batch();
        Chance chance(key);
        const Tensor targets = mix(images, labels, c, chance);
        REQUIRE(targets.shape() == Shape{4, 4});
        std::vector<double> shares;
        for (int i = 0; i < 4; ++i) {
          const std::span<const float> row = targets.data<float>().subspan(static_cast<size_t>(4 * i), 4);
          const double own = (static_cast<double>(row[static_cast<size_t>(i)]) - 0.025) / 0.9;
          CHECK(row[0] + row[1] + row[2] + row[3] == Approx(1));
          const std::span<const float> pixels = images.data<float>().subspan(static_cast<size_t>(768 * i), 768);
          double mean = 0;
          for (const float v : pixels) {
            mean += static_cast<double>(v) / 768;
            if (cut) CHECK((v == static_cast<float>(i) || v == static_cast<float>(3 - i)));
          }
          CHECK(mean == Approx(own * i + (1 - own) * (3 - i)).margin(1e-5));
          shares.push_back(own);
        }
        own_sum += shares[0];
        apart += std::abs(shares[0] - shares[1]) > 1e-6;
        if (mode != Mode::elem) CHECK(shares[0] == Approx(shares[3]).margin(1e-6));
        if (mode == Mode::batch) CHECK(shares[1] == Approx(shares[0]).margin(1e-6));
      }
      CHECK(own_sum / 300 > (cut ? 0.5 : 0.42));            // a cut at the edge takes less
      CHECK(own_sum / 300 < (cut ? 0.75 : 0.58));
      CHECK((apart > 200) == (mode != Mode::batch));
    }
  Chance chance(1);
  Tensor still = batch();
  const Tensor plain = mix(still, labels, {.mixup = 1, .smoothing = 0, .classes = 4}, chance, false);
  CHECK(still.data<float>()[0] == 0);
  CHECK(plain.data<float>()[5] == 1);
  Tensor three = full({3, 1, 2, 2}, 0);
  CHECK_THROWS_AS(mix(three, arange(0, 3), {.mixup = 1, .classes = 4}, chance), Error);
}

TEST_CASE("crops that keep the ratio, and several views of one crop", "[data]") {
  const Image image = pattern(3, 50, 30, 3);
  for (const TrainCrop crop : {TrainCrop::rkrc, TrainCrop::rkrr})
    for (uint64_t key = 0; key < 40; ++key) {
      Chance chance(key);
      const Image out = train_crop(image, {.input_size = {3, 24, 24}, .crop = crop}, chance);
      CHECK((out.width == 24 && out.height == 24));
    }
  const TrainConfig c{.input_size = {3, 16, 16}, .color_jitter = 0.4,
                      .erasing = {.prob = 1, .fill = Erasing::Fill::zero}};
  const std::vector<Tensor> views = train_views(image, c, 5, 3, true);
  REQUIRE(views.size() == 3);
  TrainConfig plain = c;
  plain.color_jitter = 0, plain.erasing.prob = 0;
  const Tensor first = train_transform(image, plain, 5);
  CHECK(std::equal(first.data<float>().begin(), first.data<float>().end(), views[0].data<float>().begin()));
  CHECK(!std::equal(first.data<float>().begin(), first.data<float>().end(), views[1].data<float>().begin()));
  const Scratch scratch;
  write_image_folder(scratch / "images", 2, 4, 12, 5);
  const ImageFolder folder(scratch / "images");
  LoaderOptions o = small(2);
  o.views = 2;
  Loader loader(folder, o);
  loader.begin(0);
  Batch b;
  REQUIRE(loader.next(b));
  CHECK(b.images.dim(0) == 8);
  CHECK(std::equal(b.samples.begin(), b.samples.begin() + 4, b.samples.begin() + 4));
}
