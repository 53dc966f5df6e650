// SPDX-License-Identifier: Apache-2.0
// test/data/reading.cpp — batches do not depend on where images lie, on who reads them, on where an epoch is begun,
// or on images that cannot be read.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "data/dataset.h"
#include "data/loader.h"
#include "data/tar_members.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "test/support/archives.h"
#include "test/support/catch.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::data;
using fovea::test::make_tar;
using fovea::test::Scratch;
using fovea::test::TarFile;
namespace fs = std::filesystem;

namespace {

struct Seen {
  std::vector<float> pixels, several;
  std::vector<int64_t> labels;
  std::vector<size_t> samples;
  friend bool operator==(const Seen&, const Seen&) = default;
};

template <class T>
void append(std::vector<T>& out, const Tensor& t) {
  const std::span<const T> v = t.data<T>();
  out.insert(out.end(), v.begin(), v.end());
}

Seen all_of(Loader& loader, int64_t epoch, int64_t first = 0) {
  Seen out;
  loader.begin(epoch, first);
  Batch b;
  while (loader.next(b)) {
    append(out.pixels, b.images);
    if (b.targets.dtype() == DType::i64) append(out.labels, b.targets);
    else append(out.several, b.targets);
    out.samples.insert(out.samples.end(), b.samples.begin(), b.samples.end());
  }
  return out;
}

LoaderOptions training(int workers) {
  return {.batch = 4,
          .workers = workers,
          .seed = 7,
          .train = TrainConfig{.input_size = {3, 8, 8}, .color_jitter = 0.4, .erasing = {.prob = 0.5}},
          .eval = {.input_size = {3, 8, 8}}};
}

using Readers = std::vector<std::pair<std::string, std::unique_ptr<Reader>>>;

// The same images as a folder, a table, an archive, a folder of archives, an archive of archives, and shards.
Readers forms_of_a_folder(const Scratch& scratch) {
  const std::string root = scratch / "folder";
  test::write_image_folder(root, 3, 7, 12, 5);
  const std::vector<TarFile> files = test::files_below(root);
  std::string table;
  std::vector<TarFile> shards[2], inner;
  fs::create_directories(scratch / "tars");
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string label = files[i].name.substr(5, 1);
    table += str_cat("folder/", files[i].name, ",class", label, "\n");
    shards[i / 11].push_back({str_cat(1000 + i, ".bmp"), files[i].content});
    shards[i / 11].push_back({str_cat(1000 + i, ".cls"), label});
  }
  for (size_t c = 0; c < 3; ++c) {
    const auto own = files.begin() + static_cast<ptrdiff_t>(7 * c);
    const std::string tar = make_tar({own, own + 7}), name = str_cat("class", c, ".tar");
    test::write_file(scratch / ("tars/" + name), tar);
    inner.push_back({name, tar});
  }
  Readers out;
  const auto open = [&](const char* name, const std::string& path, const char* split = "train") {
    out.emplace_back(name, open_dataset(name, path, {.split = split}));
  };
  open("folder", root);
  open("csv", scratch.file("table.csv", table));
  if (!can_read_tar()) return out;
  open("tar", scratch.file("one.tar", make_tar(files)));
  open("tar", scratch / "tars");
  open("tar", scratch.file("nested.tar", make_tar(inner)));
  scratch.file("s-0.tar", make_tar(shards[0]));
  scratch.file("s-1.tar", make_tar(shards[1]));
  open("wds", scratch / "", "s-{0..1}.tar");
  return out;
}

// Grey ones, ones in colour, and ones of several labels.
Readers other_forms(const Scratch& scratch) {
  std::string pixels, labels, records;
  for (uint32_t i = 0; i < 21 * 28 * 28; ++i) pixels += static_cast<char>(i * 2654435761u >> 24);
  for (uint32_t i = 0; i < 21; ++i) {
    labels += static_cast<char>(i % 10);
    records += static_cast<char>(i % 10);
    for (uint32_t p = 0; p < 3072; ++p) records += static_cast<char>((i * 3072 + p) * 2654435761u >> 24);
  }
  scratch.file("train-images-idx3-ubyte.gz", test::gzipped(test::make_idx({21, 28, 28}, pixels)));
  scratch.file("train-labels-idx1-ubyte", test::make_idx({21}, labels));
  scratch.file("test_batch.bin", records);
  std::string table;
  for (int i = 0; i < 21; ++i)
    table += str_cat("folder/class", i / 7, "/", i % 7, ".bmp,", i % 3, ";", 3 + i % 2, "\n");
  Readers out;
  out.emplace_back("mnist", open_dataset("torch/mnist", scratch / "", {}));
  out.emplace_back("cifar", open_dataset("torch/cifar10", scratch / "", {.split = "test"}));
  out.emplace_back("labels", open_dataset("csv", scratch.file("several.csv", table), {}));
  return out;
}

}  // namespace

TEST_CASE("the same images give the same batches wherever they lie and whoever reads them", "[data]") {
  const Scratch scratch;
  Readers forms = forms_of_a_folder(scratch);
  Loader reference(*forms[0].second, training(0));
  const Seen first = all_of(reference, 0), second = all_of(reference, 1);
  REQUIRE(first.labels.size() == 20);
  CHECK(first.samples != second.samples);
  for (const auto& [name, reader] : forms)
    for (const int workers : {0, 1, 4}) {
      INFO(name << " of " << reader->name(0) << ", " << workers << " workers");
      Loader loader(*reader, training(workers));
      CHECK(all_of(loader, 0) == first);
      CHECK(all_of(loader, 1) == second);
      LoaderOptions in_order = training(workers);
      in_order.train.reset();
      Loader evaluation(*reader, in_order);
      const Seen all = all_of(evaluation, 0);
      REQUIRE(all.samples.size() == 21);
      for (size_t i = 0; i < 21; ++i) CHECK((all.samples[i] == i && all.labels[i] == static_cast<int64_t>(i / 7)));
    }
}

TEST_CASE("batches of every reader are the same whoever reads them", "[data]") {
  const Scratch scratch;
  test::write_image_folder(scratch / "folder", 3, 7, 12, 5);
  for (const auto& [name, reader] : other_forms(scratch)) {
    INFO(name);
    LoaderOptions o = training(0);
    if (!reader->multi_label()) o.mix = MixConfig{.mixup = 0.8, .cutmix = 1, .classes = 10};
    Loader none(*reader, o);
    const Seen seen = all_of(none, 3);
    CHECK(seen.samples.size() == 20);
    for (const int workers : {1, 4}) {
      o.workers = workers;
      Loader loader(*reader, o);
      CHECK(all_of(loader, 3) == seen);
    }
    if (!reader->multi_label()) continue;
    REQUIRE(seen.several.size() == 20 * 5);
    for (size_t i = 0; i < 20; ++i)
      for (size_t c = 0; c < 5; ++c)
        CHECK((seen.several[5 * i + c] == 1) == (c == seen.samples[i] % 3 || c == 3 + seen.samples[i] % 2));
  }
}

TEST_CASE("an epoch that is begun again goes on with the very next sample", "[data]") {
  const Scratch scratch;
  for (const auto& [name, reader] : forms_of_a_folder(scratch))
    for (const int workers : {0, 1, 4}) {
      INFO(name << ", " << workers << " workers");
      Loader loader(*reader, training(workers));
      const Seen whole = all_of(loader, 2);
      for (int64_t first = 0; first <= loader.batches(); ++first) {
        loader.begin(2);                           // what was read ahead is forgotten
        Batch b;
        for (int64_t i = 0; i < first; ++i) REQUIRE(loader.next(b));
        Loader resumed(*reader, training(workers));
        const Seen rest = all_of(resumed, 2, first);
        const auto from = static_cast<ptrdiff_t>(4 * first);
        CHECK(rest.samples == std::vector<size_t>(whole.samples.begin() + from, whole.samples.end()));
        CHECK(rest.pixels == std::vector<float>(whole.pixels.begin() + from * 192, whole.pixels.end()));
      }
    }
}

namespace {

// 200 images, of which 5 % cannot be read: their numbers.
std::vector<size_t> harm(const std::string& root) {
  const auto path = [&](int label, int i) { return str_cat(root, "/class", label, "/", i, ".bmp"); };
  const auto instead = [&](int label, int i) {
    fs::remove(path(label, i));
    return path(label, i);
  };
  test::write_file(path(0, 3), "BM, but no more");
  test::write_file(path(0, 4), "");
  test::write_file(path(1, 9), test::striped_bmp(12, 1, 1).substr(0, 200));
  REQUIRE(::mkfifo(instead(1, 10).c_str(), 0600) == 0);
  REQUIRE(::mkfifo(instead(3, 49).c_str(), 0600) == 0);
  fs::create_symlink("/nowhere/at/all", instead(2, 0));
  fs::create_symlink("/proc/self/mem", instead(2, 1));
  fs::create_symlink("20.bmp", instead(2, 20));            // to itself
  return {3, 4, 59, 60, 100, 101, 120, 199};
}

}  // namespace

TEST_CASE("one image in twenty that cannot be read changes no other, and is counted once", "[data]") {
  const Scratch scratch;
  const std::string root = scratch / "images";
  test::write_image_folder(root, 4, 50, 12, 5);
  const ImageFolder good(root);
  LoaderOptions o = training(4);
  o.batch = 10;
  Loader unharmed(good, o);
  const Seen wanted = all_of(unharmed, 0);
  REQUIRE(wanted.samples.size() == 200);

  std::vector<size_t> broken = harm(root);
  const ImageFolder folder(root);
  for (const int i : {7, 8}) fs::remove(str_cat(root, "/class3/", i, ".bmp"));         // after it was listed
  broken.insert(broken.end(), {157, 158});
  const std::set<size_t> bad(broken.begin(), broken.end());
  REQUIRE((folder.size() == 200 && bad.size() == 10));
  for (const int workers : {0, 1, 4}) {
    INFO(workers << " workers");
    o.workers = workers;
    o.most_bad = 10;
    Loader loader(folder, o);
    const Seen seen = all_of(loader, 0);
    std::set<size_t> counted;
    for (const auto& [sample, why] : loader.bad()) counted.insert(sample);
    CHECK(counted == bad);
    REQUIRE(seen.samples.size() == 200);
    for (size_t i = 0; i < 200; ++i) {
      size_t sample = wanted.samples[i];
      const bool same = !bad.contains(sample);
      while (bad.contains(sample)) sample = (sample + 1) % 200;
      REQUIRE(seen.samples[i] == sample);
      REQUIRE(seen.labels[i] == static_cast<int64_t>(sample / 50));
      if (same)
        REQUIRE(std::equal(seen.pixels.begin() + static_cast<ptrdiff_t>(192 * i),
                           seen.pixels.begin() + static_cast<ptrdiff_t>(192 * i + 192),
                           wanted.pixels.begin() + static_cast<ptrdiff_t>(192 * i)));
    }
    o.most_bad = 9;
    Loader strict(folder, o);
    const Error e = test::error_of([&] { all_of(strict, 0); });
    CHECK(e.kind() == Error::Kind::io);
    CHECK(test::mentions(e, "10 images could not be read, the limit is 9"));
  }
}

TEST_CASE("what could not be read before an epoch was resumed counts, too, and once", "[data]") {
  const Scratch scratch;
  const std::string root = scratch / "images";
  test::write_image_folder(root, 2, 10, 12, 5);
  for (const int i : {2, 3, 8}) test::write_file(str_cat(root, "/class0/", i, ".bmp"), "no image");
  const ImageFolder folder(root);
  LoaderOptions o = training(2);
  o.most_bad = 3;
  o.train.reset();
  Loader loader(folder, o);
  Batch b;
  loader.begin(0);
  REQUIRE(loader.next(b));                         // with 2, 3
  std::vector<size_t> bad;
  for (const auto& [sample, why] : loader.bad()) bad.push_back(sample);
  CHECK(bad == std::vector<size_t>{2, 3});
  Loader resumed(folder, o);
  resumed.begin(0, 1, bad);
  while (resumed.next(b)) {}
  CHECK(resumed.bad().size() == 3);
  for (int i = 0; i < 10; ++i) test::write_file(str_cat(root, "/class1/", i, ".bmp"), "no image");
  o.most_bad = 100;
  Loader hopeless(folder, o);
  CHECK(test::mentions(test::error_of([&] { all_of(hopeless, 0); }), "10 images in a row"));
}

TEST_CASE("only what a crop needs is decoded, and no value changes", "[data]") {
  if (!can_decode()) return;
  const Scratch scratch;
  fs::create_directories(scratch / "a");
  const std::string photo = FOVEA_SOURCE_DIR "/docs/images/rocket.jpg";
  for (int i = 0; i < 8; ++i) fs::copy_file(photo, str_cat(scratch / "a/", i, ".jpg"));
  const ImageFolder folder(scratch / "");
  const Image whole = read_image(photo);
  LoaderOptions o{.batch = 8, .workers = 2, .seed = 3, .train = TrainConfig{.input_size = {3, 96, 64}},
                  .eval = {.input_size = {3, 96, 64}, .crop_pct = 0.7f}};
  const auto first = [&](const LoaderOptions& options) {
    Loader loader(folder, options);
    loader.begin(0);
    Batch b;
    REQUIRE(loader.next(b));
    return b;
  };
  const Batch crops = first(o);
  o.fast_decode = true;
  const Batch fast = first(o);
  o.train.reset();
  const Batch fast_eval = first(o);
  o.fast_decode = false;
  const Batch eval = first(o);
  const Tensor wanted = eval_transform(whole, o.eval);
  const auto difference = [](std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += std::abs(static_cast<double>(a[i] - b[i]));
    return sum / static_cast<double>(a.size());
  };
  const size_t each = 3 * 96 * 64;
  for (size_t i = 0; i < 8; ++i)
    CHECK(std::ranges::equal(eval.images.data<float>().subspan(i * each, each), wanted.data<float>()));
  const double eval_error = difference(fast_eval.images.data<float>(), eval.images.data<float>()),
               crop_error = difference(fast.images.data<float>(), crops.images.data<float>());
  INFO("off by " << eval_error << " and " << crop_error << " deviations");
  CHECK((eval_error > 0 && eval_error < 0.1));
  CHECK((crop_error > 0 && crop_error < 0.15));
  std::set<float> distinct;
  for (size_t i = 0; i < 8; ++i) distinct.insert(crops.images.data<float>()[i * each + 1000]);
  CHECK(distinct.size() > 4);
}
