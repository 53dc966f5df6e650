// SPDX-License-Identifier: Apache-2.0
// test/data/sequence_training.cpp — batches of sequences of patches: their sizes, mixtures and erased patches are
// timm's, and they are the same whoever reads them.
#include "data/sequence_training.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "data/encode_png.h"
#include "data/folder.h"
#include "data/loader.h"
#include "data/sequence_schedule.h"
#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/data/replayed.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::data;
using namespace fovea::test;

namespace {

std::array<int, 2> pair_of(const std::string& text, char by) {
  const std::vector<std::string> parts = split(text, by);
  return {std::stoi(parts[0]), std::stoi(parts[1])};
}

Tensor picture(uint64_t seed, int height, int width) {
  const Image image = pattern(seed, width, height, 3);
  std::vector<float> pixels;
  for (size_t k = 0; k < 3; ++k)
    for (size_t p = k; p < image.pixels.size(); p += 3) pixels.push_back(static_cast<float>(image.pixels[p]) / 256);
  return from<float>(pixels, {1, 3, height, width});
}

// Images of several shapes.
void write_shapes(const Scratch& scratch) {
  for (const char* name : {"images/class0", "images/class1"}) std::filesystem::create_directories(scratch / name);
  for (int i = 0; i < 60; ++i) {
    const std::string png = encode_png(pattern(static_cast<uint64_t>(i), 12 + 7 * i % 31, 12 + 5 * i % 23, 3));
    scratch.file(str_cat("images/class", i % 2, "/", i, ".png"), png);
  }
}

LoaderOptions sequences(int workers) {
  LoaderOptions o{.workers = workers, .seed = 5, .train = TrainConfig{.scale = std::array{0.5, 1.0}}};
  o.train->erasing = {.prob = 0.5, .fill = Erasing::Fill::pixel};
  o.mix = MixConfig{.mixup = 0.5, .cutmix = 1, .classes = 2};
  o.sequences = SequenceConfig{.lengths = {4, 8, 16}, .images = 4, .patches = {{4, 4}}};
  return o;
}

std::vector<Batch> all_of(Loader& loader, int64_t epoch, int64_t first = 0) {
  std::vector<Batch> out;
  loader.begin(epoch, first);
  for (Batch b; loader.next(b);) out.push_back(b);
  return out;
}

void check_same(std::span<const Batch> a, std::span<const Batch> b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].samples == b[i].samples);
    CHECK(hash(a[i].images) == hash(b[i].images));
    CHECK(hash(a[i].targets) == hash(b[i].targets));
    CHECK(std::ranges::equal(a[i].coords.data<int64_t>(), b[i].coords.data<int64_t>()));
    CHECK(std::ranges::equal(a[i].valid.data<bool>(), b[i].valid.data<bool>()));
  }
}

}  // namespace

TEST_CASE("batches of sequences are of timm's sizes", "[data][augment]") {
  size_t cases = 0;
  for (const std::string& row : golden_rows("sequence_batches.tsv")) {
    std::istringstream in(row);
    std::string lengths, draws, wanted;
    SequenceConfig c{.lengths = {}};
    int64_t images;
    in >> lengths >> c.images >> images >> draws >> wanted;
    REQUIRE(in);
    INFO(row.substr(0, 100));
    for (const std::string& l : split(lengths, ',')) c.lengths.push_back(std::stoi(l));
    Replayed chance(draws);
    std::string got;
    for (const SequenceSchedule::Batch& b : fill_sequence_batches(c, images, chance))
      got += str_cat(got.empty() ? "" : ",", b.length, ":", b.images);
    CHECK(got == wanted);
    CHECK(chance.all());
    ++cases;
  }
  CHECK(cases >= 35);
}

TEST_CASE("mixtures of images of several sizes, and their targets, are timm's", "[data][augment]") {
  size_t cases = 0;
  for (const std::string& row : golden_rows("sequence_mixtures.tsv")) {
    std::istringstream in(row);
    std::string sizes, labels, draws, targets, sums;
    MixConfig c;
    uint64_t seed;
    int multi;
    in >> c.mixup >> c.cutmix >> c.prob >> c.switch_prob >> c.smoothing >> c.classes >> multi >> seed >> sizes >>
        labels >> draws >> targets >> sums;
    REQUIRE(in);
    INFO(row.substr(0, 200));
    std::vector<Tensor> images;
    for (const std::string& size : split(sizes, ',')) {
      const auto [height, width] = pair_of(size, 'x');
      images.push_back(picture(seed + images.size(), height, width));
    }
    const auto n = static_cast<int64_t>(images.size());
    std::vector<float> dense;
    std::vector<int64_t> classes;
    for (const std::string& l : split(labels, multi ? ';' : ',')) {
      if (multi) for (const char v : l) dense.push_back(static_cast<float>(v - '0'));
      else classes.push_back(std::stoll(l));
    }
    Replayed chance(draws);
    const Tensor got = mix_sequences(images, multi ? from<float>(dense, {n, c.classes}) : from<int64_t>(classes, {n}),
                                     c, chance);
    CHECK(chance.all());
    const std::vector<std::string> want = split(targets, ','), each = split(sums, ';');
    REQUIRE(got.shape() == Shape{n, c.classes});
    for (size_t i = 0; i < want.size(); ++i)
      CHECK(static_cast<double>(got.data<float>()[i]) == Approx(std::stod(want[i])).margin(2e-7));
    for (size_t i = 0; i < each.size(); ++i) {
      const std::vector<std::string> two = split(each[i], ',');
      double plain = 0, placed = 0;
      size_t at = 0;
      for (const float v : images[i].data<float>()) {
        plain += static_cast<double>(v);
        placed += static_cast<double>(v) * static_cast<double>(at++ % 97);
      }
      CHECK(plain == Approx(std::stod(two[0])).epsilon(1e-6));
      CHECK(placed == Approx(std::stod(two[1])).epsilon(1e-6));
    }
    ++cases;
  }
  CHECK(cases >= 60);
  Chance chance(1);
  std::vector<Tensor> two{picture(1, 4, 4), picture(2, 4, 4)};
  CHECK_THROWS_AS(mix_sequences(two, from<int64_t>(std::vector<int64_t>{0}, {1}), {.mixup = 1, .classes = 2}, chance),
                  Error);
  CHECK_THROWS_AS(mix_sequences(two, from<int64_t>(std::vector<int64_t>{0, 1}, {2}), {.classes = 2}, chance), Error);
}

TEST_CASE("patches are erased where timm erases them", "[data][augment]") {
  size_t cases = 0, erased = 0;
  for (const std::string& row : golden_rows("patch_erasing.tsv")) {
    std::istringstream in(row);
    std::string grids, draws, wanted;
    Erasing how{.fill = Erasing::Fill::zero};
    int64_t splits, length;
    in >> how.prob >> how.most >> splits >> length >> grids >> draws >> wanted;
    REQUIRE(in);
    INFO(row.substr(0, 200));
    std::vector<Patches> all;
    for (const std::string& grid : split(grids, ',')) {
      const auto [rows, columns] = pair_of(grid, 'x');
      all.push_back(patchify(full({1, 3, rows * 2, columns * 2}, 1), {2, 2}));
    }
    SequenceBatch batch = collate(all, length);
    std::ranges::fill(batch.patches.mutable_data<float>(), 1.0f);
    Replayed chance(draws);
    const auto n = static_cast<int64_t>(all.size());
    erase_patches(batch, how, {}, chance, splits > 1 ? n / splits : 0);
    CHECK(chance.all());
    std::string got;
    const std::span<const float> v = batch.patches.data<float>();
    for (int64_t i = 0; i < n * length; ++i) {
      if (i > 0 && i % length == 0) got += ';';
      const std::span<const float> patch = v.subspan(static_cast<size_t>(12 * i), 12);
      CHECK(std::ranges::count(patch, patch[0]) == 12);
      got += patch[0] == 0 ? '0' : '1';
    }
    CHECK(got == wanted);
    erased += static_cast<size_t>(std::ranges::count(got, '0'));
    ++cases;
  }
  CHECK(cases >= 60);
  CHECK(erased > 100);
}

TEST_CASE("erased patches have one colour, or noise, in either layout", "[data][augment]") {
  for (const bool last : {true, false})
    for (const auto fill : {Erasing::Fill::colour, Erasing::Fill::pixel}) {
      const std::vector<Patches> one{patchify(full({1, 3, 16, 16}, 7), {4, 4}, last)};
      SequenceBatch batch = collate(one, 20);
      Chance chance(3);
      erase_patches(batch, {.prob = 1, .fill = fill}, {.channels = 3, .channels_last = last}, chance);
      std::map<float, int> colours[3];
      int gone = 0;
      for (size_t i = 0; i < 16; ++i) {
        const std::span<const float> patch = batch.patches.data<float>().subspan(48 * i, 48);
        if (patch[0] == 7) continue;
        ++gone;
        for (size_t k = 0; k < 48; ++k) ++colours[last ? k % 3 : k / 16][patch[k]];
      }
      REQUIRE(gone > 0);
      const auto different = fill == Erasing::Fill::colour ? 1 : 16 * gone;
      for (const auto& of : colours) CHECK(static_cast<int>(of.size()) == different);
      CHECK_THROWS_AS(erase_patches(batch, {.prob = 1}, {.channels = 5}, chance), Error);
    }
}

TEST_CASE("batches of sequences do not depend on who reads them, and go on anywhere", "[data]") {
  const Scratch scratch;
  write_shapes(scratch);
  const ImageFolder folder(scratch / "images");
  REQUIRE(folder.size() == 60);
  Loader none(folder, sequences(0)), four(folder, sequences(4));
  const std::vector<Batch> first = all_of(none, 0), next = all_of(none, 1);
  check_same(all_of(four, 0), first);
  check_same(all_of(four, 0, 2), std::span(first).subspan(2));
  std::multiset<size_t> seen;
  std::multiset<int64_t> lengths, later;
  for (const Batch& b : first) {
    seen.insert(b.samples.begin(), b.samples.end());
    const int64_t n = b.valid.dim(0), length = b.valid.dim(1);
    lengths.insert(length);
    CHECK(b.images.shape() == Shape{n, length, 48});
    CHECK(b.coords.shape() == Shape{n, length, 2});
    CHECK(b.targets.shape() == Shape{n, 2});
    CHECK(n * length <= 64);
    CHECK(b.operands().size() == 4);
    for (int64_t i = 0; i < n; ++i) CHECK(b.valid.data<bool>()[static_cast<size_t>(i * length)]);
  }
  CHECK(none.batches() == static_cast<int64_t>(first.size()));
  CHECK(seen.size() == 60);
  CHECK(std::set<size_t>(seen.begin(), seen.end()).size() == 60);
  REQUIRE(first.size() > 4);
  for (const Batch& b : next) later.insert(b.valid.dim(1));
  CHECK(later == lengths);
  CHECK(first[0].samples != next[0].samples);
}

TEST_CASE("patches of several sizes have dimensions of their own", "[data]") {
  const Scratch scratch;
  write_shapes(scratch);
  const ImageFolder folder(scratch / "images");
  LoaderOptions o = sequences(2);
  o.mix.reset(), o.train->erasing.prob = 0;
  o.sequences->patches = {{4, 4}, {6, 6}, {2, 2}}, o.sequences->weights = {2, 1, 0}, o.sequences->whole_patches = true;
  std::map<int64_t, int> sizes;
  for (const bool last : {true, false}) {
    o.sequences->channels_last = last;
    Loader loader(folder, o);
    for (int64_t epoch = 0; epoch < 20; ++epoch)
      for (const Batch& b : all_of(loader, epoch)) {
        const int64_t side = b.images.dim(3);
        CHECK(b.images.shape() == (last ? Shape{b.valid.dim(0), b.valid.dim(1), side, side, 3}
                                        : Shape{b.valid.dim(0), b.valid.dim(1), 3, side, side}));
        ++sizes[side];
      }
  }
  INFO(sizes[2] << " of 2, " << sizes[4] << " of 4, " << sizes[6] << " of 6");
  CHECK(sizes[2] == 0);
  CHECK(sizes[4] > sizes[6]);
  CHECK(sizes[6] > 0);
  const auto refused = [&](SequenceConfig c) { CHECK_THROWS_AS(SequenceSchedule(std::move(c), 20, 1), Error); };
  refused({.lengths = {}});
  refused({.lengths = {0, 4}});
  refused({.images = 0});
  refused({.patches = {}});
  refused({.patches = {{4, 0}}});
  refused({.patches = {{4, 4}}, .weights = {1, 1}});
  refused({.patches = {{4, 4}, {8, 8}}, .weights = {-1, 2}});
  refused({.patches = {{4, 4}}, .weights = {0}});
  o.views = 2;
  CHECK_THROWS_AS(Loader(folder, o), Error);
}

TEST_CASE("crops of sequences are whole patches, decoded by region or not", "[data]") {
  const Image image = pattern(4, 60, 41, 3);
  const TrainConfig c{.scale = std::array{0.3, 1.0}, .color_jitter = 0.4};
  for (uint64_t key = 0; key < 30; ++key) {
    const SequenceLimits limits{.patch = {4, 8}, .max_seq_len = 20};
    const Tensor view = sequence_view(image, c, limits, key);
    CHECK((view.dim(2) % 4 == 0 && view.dim(3) % 8 == 0 && view.dim(2) / 4 * (view.dim(3) / 8) <= 20));
    const Part part = sequence_part(60, 41, c, limits, key);
    Image around = image;                          // what lies outside of the part does not count
    for (int y = 0; y < 41; ++y)
      for (int x = 0; x < 60; ++x)
        if (y < part.top || y >= part.top + part.height || x < part.left || x >= part.left + part.width)
          std::fill_n(around.row(y) + 3 * x, 3, uint8_t{9});
    CHECK(hash(sequence_view(around, c, limits, key)) == hash(view));
    const Patches cut = patchify(view, limits.patch, key % 2 == 0);
    const std::vector<Patches> one{cut};
    CHECK(hash(unpatchify(collate(one, 25), limits.patch, key % 2 == 0)) == hash(view));
  }
  const SequenceLimits limits{.patch = {4, 4}, .max_seq_len = 30};
  const EvalConfig eval{.interpolation = Filter::bicubic};
  const Tensor still = sequence_view(image, {.augment = false, .interpolation = Filter::bicubic}, limits, 1);
  CHECK(hash(patchify(still, {4, 4}).patches) == hash(sequence_transform(image, eval, limits).patches));
}
