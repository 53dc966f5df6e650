// SPDX-License-Identifier: Apache-2.0
// test/data/readers.cpp — readers find what timm's find (test/golden/record/readers.py), and say what is wrong with
// files that are broken on purpose.
#include "data/reader.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/braces.h"
#include "data/cifar.h"
#include "data/csv_images.h"
#include "data/dataset.h"
#include "data/decode.h"
#include "data/folder.h"
#include "data/idx.h"
#include "data/tar_images.h"
#include "data/tar_index.h"
#include "data/web_dataset.h"
#include "test/support/archives.h"
#include "test/support/catch.h"
#include "test/support/sha256.h"
#include "test/weights_tools/files.h"
#include "train/class_map.h"

using namespace fovea;
using namespace fovea::data;
using fovea::test::error_of;
using fovea::test::make_tar;
using fovea::test::mentions;
using fovea::test::Scratch;
using fovea::test::TarFile;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const json& recorded() {
  static const json all = json::parse(std::ifstream(FOVEA_SOURCE_DIR "/test/golden/data/readers.json"));
  return all;
}

void put(const std::string& path, std::string_view content) {
  fs::create_directories(fs::path(path).parent_path());
  test::write_file(path, content);
}

std::string text_of(const Stored& s) { return {reinterpret_cast<const char*>(s.bytes.data()), s.bytes.size()}; }

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

// By number, of {name: number}.
std::vector<std::string> names_in(const json& classes) {
  std::vector<std::string> out(classes.size());
  for (const auto& [name, number] : classes.items()) out.at(number.get<size_t>()) = name;
  return out;
}

// As the script makes them: a name, [name, content], or [name, members].
std::string tar_of(const json& members, const json& pictures = {}) {
  std::vector<TarFile> files;
  for (const json& m : members) {
    if (m.is_string()) {
      files.push_back({.name = m, .content = "x" + m.get<std::string>()});
    } else if (m[1].is_array()) {
      files.push_back({.name = m[0], .content = tar_of(m[1])});
    } else {
      const std::string content = m[1];
      files.push_back({.name = m[0], .content = pictures.contains(content) ? from_hex(pictures[content]) : content});
    }
  }
  return make_tar(files);
}

Suffixes timm_suffixes() { return {".png", ".jpg", ".jpeg"}; }

}  // namespace

TEST_CASE("folders have timm's classes and samples in timm's order", "[data]") {
  for (const json& c : recorded()["folders"]) {
    INFO(c["name"] << " " << c["map"]);
    const Scratch scratch;
    const std::string root = scratch / "images";
    for (const std::string file : c["files"]) put(root + "/" + file, "x");
    ClassMap map;
    const std::string named = c["map"];
    if (!named.empty()) map = train::read_class_map(scratch.file(named, from_hex(c["map_bytes"])));
    const ImageFolder folder(root + "/", map, timm_suffixes());
    std::vector<std::pair<std::string, int64_t>> seen;
    for (size_t i = 0; i < folder.size(); ++i)
      seen.emplace_back(fs::relative(folder.name(i), root).string(), folder.label(i));
    CHECK(json(seen) == c["samples"]);
    if (map.empty()) CHECK(folder.classes() == names_in(c["classes"]));
    else
      for (const auto& [name, number] : c["classes"].items()) CHECK((name.empty() || map.find(name) == number));
  }
}

TEST_CASE("splits are found where timm finds them", "[data]") {
  for (const json& c : recorded()["splits"]) {
    const Scratch scratch;
    for (const std::string folder : c["folders"]) fs::create_directories(scratch / folder);
    const std::string root = scratch / "", split = c["split"], found = c["found"];
    INFO(split << " in " << c["folders"]);
    CHECK(fs::path(split_folder(root, split)) == (found == "." ? fs::path(root) : fs::path(root) / found));
  }
  const Scratch scratch;
  put(scratch / "validation.tar", "");
  CHECK(split_folder(scratch / "", "val").ends_with("validation.tar"));
}

TEST_CASE("class maps are lists or pickled dicts, and nothing else", "[data]") {
  const Scratch scratch;
  using Names = std::vector<std::string>;
  CHECK(read_class_map(scratch.file("a", "class 1\nclass 2\n")).names() == Names{"class 1", "class 2"});
  CHECK(read_class_map(scratch.file("a", "x 1\ny 0\n")).names() == Names{"y", "x"});
  CHECK(read_class_map(scratch.file("a", "x 1\ny 3\n")).names() == Names{"x 1", "y 3"});
  CHECK(read_class_map(scratch.file("a", " x\r\n\ny\n\n\n")).names() == Names{"x", "", "y"});
  CHECK_THROWS_AS(read_class_map(scratch.file("a", "\n \n")), Error);
  CHECK_THROWS_AS(read_class_map(scratch / "missing"), Error);
  const auto map_of = [&](const std::string& pickle) {
    return train::read_class_map(scratch.file("map.pkl", "\x80\x02" + pickle + "."));
  };
  using test::integer;
  using test::unicode;
  const ClassMap map = map_of("}(" + unicode("a") + integer(2) + integer(7) + integer(0) + "u");
  CHECK((map.find("a") == 2 && map.find("7") == 0 && !map.find("b")));
  CHECK(map.names() == Names{"7", "", "a"});
  const auto wrong = [&](const std::string& pickle) { return error_of([&] { map_of(pickle); }); };
  CHECK(mentions(wrong("}(" + unicode("a") + unicode("b") + "u"), "to"));
  CHECK(mentions(wrong("}(" + unicode("a") + integer(-1) + "u"), "-1"));
  CHECK(mentions(wrong("]"), "dict"));
  CHECK(mentions(wrong("}(" + unicode("a") + test::global("os", "system") + "u"), "os"));
  CHECK(mentions(wrong(test::global("os", "system") + "(" + unicode("touch x") + "tR"), "os"));
}

TEST_CASE("whatever is called an image counts, folders are left out and links do not go in circles", "[data]") {
  const Scratch scratch;
  const std::string root = scratch / "images";
  put(root + "/a/1.jpg", "x");
  put(root + "/a/.hidden.jpg", "x");
  put(root + "/.git/3.jpg", "x");
  fs::create_directories(root + "/a/4.jpg");
  fs::create_symlink("nowhere", root + "/a/2.jpg");
  REQUIRE(::mkfifo((root + "/a/3.jpg").c_str(), 0600) == 0);
  fs::create_directory_symlink("../a", root + "/a/again");
  fs::create_directory_symlink("a", root + "/b");
  const ImageFolder folder(root);
  REQUIRE(folder.size() == 6);                     // a link to a folder is another class, as timm has it
  CHECK(folder.classes() == std::vector<std::string>{"a", "b"});
  CHECK(text_of(folder.read(0)) == "x");
  CHECK(mentions(error_of([&] { folder.read(1); }), "No such file"));
  CHECK(mentions(error_of([&] { folder.read(2); }), "no regular file"));
}

TEST_CASE("members of Python's archives lie where Python says", "[data]") {
  if (!can_read_tar()) return;
  for (const auto& [format, members] : recorded()["members"].items()) {
    INFO(format);
    const RegularFile file(str_cat(FOVEA_SOURCE_DIR "/test/golden/data/", format, ".tar"));
    std::vector<std::tuple<std::string, uint64_t, uint64_t>> seen;
    for (const TarMember& m : tar_members(file)) seen.emplace_back(m.name, m.at, m.size);
    CHECK(json(seen) == members);
    for (size_t i = 0; i < seen.size(); ++i)
      for (const std::byte b : file.part(std::get<1>(seen[i]), std::get<2>(seen[i])))
        if (b != static_cast<std::byte>(i)) FAIL("byte " << static_cast<int>(b) << " in member " << i);
  }
}

TEST_CASE("archives have timm's classes and samples in timm's order", "[data]") {
  if (!can_read_tar()) return;
  for (const json& c : recorded()["tars"]) {
    INFO(c["root"]);
    const Scratch scratch;
    const std::string root = scratch / c["root"].get<std::string>();
    for (const auto& [name, members] : c["tars"].items())
      put(root.ends_with(".tar") ? root : root + "/" + name, tar_of(members));
    for (const bool again : {false, true}) {       // the second time by the index
      const TarImages images(root, {.suffixes = timm_suffixes(), .index = true});
      REQUIRE(images.size() == c["samples"].size());
      for (size_t i = 0; i < images.size(); ++i) {
        const json& sample = c["samples"][i];
        INFO(i << ": " << images.name(i) << ", again: " << again);
        CHECK(images.name(i).ends_with("/" + sample[0].get<std::string>()));
        CHECK(images.label(i) == sample[2]);
        CHECK(text_of(images.read(i)) == "x" + sample[0].get<std::string>());
      }
      CHECK(images.classes() == names_in(c["classes"]));
    }
  }
}

TEST_CASE("an archive's index is made anew when it is not of this archive, or damaged", "[data]") {
  if (!can_read_tar()) return;
  const Scratch scratch;
  const std::string path = scratch.file("a.tar", make_tar({{"x/1.jpg", "one"}, {"odd\nname\\.jpg", "two"}}));
  const std::string index = path + ".fovea-index";
  const TarListing fresh = list_tar(path, true);
  const std::string good = test::read_file(index);
  const auto is_fresh = [&] {
    const TarListing l = list_tar(path, true);
    return l.members.size() == 2 && l.members[1].name == "odd\nname\\.jpg" && l.members[1].at == fresh.members[1].at &&
           test::read_file(index) == good;
  };
  CHECK(is_fresh());
  std::string lied = good;
  lied.replace(lied.find("0 512 3"), 7, "0 512 4");
  test::write_file(index, lied);                   // what fits the archive is believed
  CHECK(list_tar(path, true).members[0].size == 4);
  for (size_t cut = 0; cut < good.size(); cut += 5) {
    test::write_file(index, good.substr(0, cut));
    CHECK(is_fresh());
  }
  for (const std::string far : {"0 99999999 3", "0 512 99999999", "0 512 18446744073709551615", "0 x 3"}) {
    lied = good;
    lied.replace(lied.find("0 512 3"), 7, far);
    test::write_file(index, lied);
    CHECK(is_fresh());
  }
  test::write_file(path, make_tar({{"y/1.jpg", "other"}}) + "more");
  CHECK(list_tar(path, true).members.size() == 1);
}

TEST_CASE("archives that are cut off, compressed or none at all are refused", "[data]") {
  if (!can_read_tar()) return;
  const Scratch scratch;
  const std::string whole = make_tar({{"a/1.jpg", std::string(3000, 'x')}, {"a/2.jpg", std::string(3000, 'y')}});
  for (const size_t size : {size_t{100}, size_t{700}, size_t{2000}, size_t{5000}}) {
    INFO(size << " bytes");
    const Error e = error_of([&] { TarImages(scratch.file("cut.tar", whole.substr(0, size))); });
    CHECK(e.kind() == Error::Kind::format);
    CHECK(mentions(e, "cut.tar"));
  }
  CHECK(error_of([&] { TarImages(scratch.file("z.tar", test::gzipped(whole))); }).kind() == Error::Kind::format);
  CHECK(error_of([&] { TarImages(scratch.file("t.tar", "just text, but long enough")); }).kind() ==
        Error::Kind::format);
  CHECK(error_of([&] { TarImages(scratch / "missing.tar"); }).kind() == Error::Kind::not_found);
  REQUIRE(::mkfifo((scratch / "pipe.tar").c_str(), 0600) == 0);
  CHECK(error_of([&] { TarImages(scratch / "pipe.tar"); }).kind() == Error::Kind::io);
  const TarImages links(scratch.file(
      "links.tar", make_tar({{"a/1.jpg", "x"}, {"a/2.jpg", "", '2'}, {"a/3.jpg", "", '1'}, {"a", "", '5'},
                             {"a/._1.jpg", "x"}})));
  CHECK(links.size() == 1);
}

TEST_CASE("shards give the samples that timm's reader gives", "[data]") {
  const json& c = recorded()["shards"];
  for (const auto& [pattern, names] : c["expanded"].items())
    CHECK(json(expand_braces(std::string_view(pattern).substr(0, pattern.find('|')))) == names);
  CHECK_THROWS_AS(expand_braces("{0..9999999}"), Error);
  CHECK_THROWS_AS(expand_braces("{1..2000}{1..2000}"), Error);
  if (!can_read_tar() || !can_decode()) return;
  const Scratch scratch;
  for (const auto& [name, members] : c["shards"].items()) put(scratch / name, tar_of(members, c["pictures"]));
  for (const json& r : c["read"]) {
    INFO(r["split"]);
    const WebDataset web(scratch / "", r["split"]);
    std::vector<int64_t> labels;
    std::vector<std::vector<int>> pixels;
    for (size_t i = 0; i < web.size(); ++i) {
      labels.push_back(web.label(i));
      const Image image = decode(web.read(i).bytes);
      pixels.push_back({image.pixels[0], image.pixels[1], image.pixels[2]});
    }
    CHECK(json(labels) == r["labels"]);
    CHECK(json(pixels) == r["pixels"]);
  }
}

TEST_CASE("shards are named by patterns, lists and folders, labels by fields", "[data]") {
  if (!can_read_tar()) return;
  const Scratch scratch;
  put(scratch / "train-0.tar",
      make_tar({{"a.jpg", "x"},
                {"a.json", R"({"y": 2, "tags": [0, 2], "dense": [0, 1, 1], "in": {"cat": 1, "dog": 0}})"},
                {"b.jpg", "x"},
                {"b.json", R"({"y": -1, "tags": [], "dense": [1, 0, 0], "in": {"cat": 0, "dog": 3}})"}}));
  put(scratch / "_info.json", R"({"splits": {"valid": {"filenames": ["train-0.tar"], "alt_label": "y"}}})");
  const auto read = [&](const std::string& split, const TargetOptions& target, const ClassMap& map = {}) {
    return WebDataset(scratch / "", split, {.class_map = map, .target = target});
  };
  using Labels = std::vector<int64_t>;
  const auto labels = [](const Reader& r, size_t i) { return Labels(r.labels(i).begin(), r.labels(i).end()); };
  const WebDataset one = read("train", {.key = "y"}), listed = read("validation", {});
  CHECK((one.size() == 1 && one.label(0) == 2 && one.classes().size() == 3 && !one.multi_label()));
  CHECK((listed.size() == 1 && listed.label(0) == 2));
  CHECK(one.name(0).ends_with("train-0.tar/a.jpg"));
  const WebDataset tags = read("train-{0..0}.tar|2", {.key = "tags"});
  REQUIRE((tags.size() == 2 && tags.multi_label()));
  CHECK((labels(tags, 0) == Labels{0, 2} && labels(tags, 1).empty()));
  const WebDataset dense = read("train", {.key = "dense", .multihot = true});
  CHECK((labels(dense, 0) == Labels{1, 2} && labels(dense, 1) == Labels{0}));
  const WebDataset fields = read("train", {.key = "in/cat, in/dog"});
  CHECK((labels(fields, 0) == Labels{0} && labels(fields, 1) == Labels{1}));
  CHECK(fields.classes() == std::vector<std::string>{"in/cat", "in/dog"});
  ClassMap map;
  map.add("2", 9);
  CHECK(read("train", {.key = "y"}, map).label(0) == 9);
  map = ClassMap{"other"};
  CHECK_THROWS_AS(read("train", {.key = "y"}, map), Error);
  CHECK(mentions(error_of([&] { read("train", {}); }), "no .cls"));
  CHECK(mentions(error_of([&] { read("train", {.key = "z"}); }), "no field 'z'"));
  CHECK(mentions(error_of([&] { read("train", {.key = "in"}); }), "class"));
  CHECK(mentions(error_of([&] { read("test", {}); }), "no shards"));
  CHECK(mentions(error_of([&] { read("pipe:cat x.tar", {}); }), "address"));
  CHECK_THROWS_AS(read("train", {.key = "a,,b"}), Error);
  put(scratch / "bad-0.tar", make_tar({{"a.jpg", "x"}, {"a.cls", "two"}}));
  CHECK(mentions(error_of([&] { read("bad", {}); }), "'two'"));
  put(scratch / "twice-0.tar", make_tar({{"a.jpg", "x"}, {"a.jpg", "y"}, {"a.cls", "1"}}));
  CHECK(mentions(error_of([&] { read("twice", {}); }), "twice"));
  put(scratch / "json-0.tar", make_tar({{"a.jpg", "x"}, {"a.json", "{"}}));
  CHECK(mentions(error_of([&] { read("json", {.key = "y"}); }), "not JSON"));
}

TEST_CASE("what is stored as MNIST is read as torchvision reads it", "[data]") {
  for (const bool zipped : {false, true}) {
    const Scratch scratch;
    for (const auto& [name, n] : {std::pair{"train", 23u}, std::pair{"t10k", 11u}}) {
      std::string pixels, labels;
      for (uint32_t i = 0; i < n * 28 * 28; ++i) pixels += static_cast<char>(i * 2654435761u >> 24);
      for (uint32_t i = 0; i < n; ++i) labels += static_cast<char>(i * 7 % 10);
      const auto file = [&](const char* what, const std::string& content) {
        put(str_cat(scratch / "FashionMNIST/raw/", name, "-", what, "-ubyte", zipped ? ".gz" : ""),
            zipped ? test::gzipped(content) : content);
      };
      file("images-idx3", test::make_idx({n, 28, 28}, pixels));
      file("labels-idx1", test::make_idx({n}, labels));
    }
    for (const json& c : recorded()["idx"]) {
      const auto reader = open_dataset("torch/Fashion_MNIST", scratch / "", {.split = c["split"]});
      std::vector<int64_t> labels;
      std::string pixels;
      for (size_t i = 0; i < reader->size(); ++i) {
        labels.push_back(reader->label(i));
        const Image image = reader->read(i).pixels;
        REQUIRE((image.width == 28 && image.height == 28 && image.channels == 1));
        pixels.append(image.pixels.begin(), image.pixels.end());
      }
      CHECK(json(labels) == c["labels"]);
      CHECK(json(reader->classes()) == c["classes"]);
      CHECK(sha256(std::as_bytes(std::span(pixels))) == c["sha256"]);
    }
  }
}

TEST_CASE("IDX files that lie or are cut off are refused", "[data]") {
  const Scratch scratch;
  const std::string labels = scratch.file("labels", test::make_idx({2}, "\1\2"));
  const auto wrong = [&](const std::string& images) {
    return error_of([&] { IdxImages({scratch.file("images", images), labels}); });
  };
  CHECK(IdxImages({scratch.file("images", test::make_idx({2, 1, 2}, "abcd")), labels}).size() == 2);
  CHECK(mentions(wrong(test::make_idx({2, 1, 2}, "abc")), "1 bytes too early"));
  CHECK(mentions(wrong(test::make_idx({3, 1, 1}, "abc")), "3 images"));
  CHECK(mentions(wrong(test::make_idx({2, 2}, "abcd")), "begins with"));
  CHECK(mentions(wrong(test::make_idx({2, 0, 2}, "")), "size of 0"));
  CHECK(mentions(wrong(test::make_idx({4000000000u, 4000000000u, 4000000000u}, "")), "size of"));
  CHECK(mentions(wrong(test::make_idx({60000, 1000, 70}, "few")), "too early"));
  CHECK(wrong(test::gzipped(test::make_idx({2, 1, 2}, "abcd")).substr(0, 24)).kind() == Error::Kind::format);
  REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  CHECK(error_of([&] { IdxImages({scratch / "pipe", labels}); }).kind() == Error::Kind::io);
  CHECK(mentions(error_of([&] { find_idx({scratch / "a", scratch / "b"}, true); }), "train-images-idx3-ubyte"));
}

TEST_CASE("CIFAR's records are planes behind their labels", "[data]") {
  const Scratch scratch;
  const auto record = [](int label, int coarse, int seed) {
    std::string s;
    if (coarse >= 0) s += static_cast<char>(coarse);
    s += static_cast<char>(label);
    for (int i = 0; i < 3072; ++i) s += static_cast<char>(i * 7 + seed);
    return s;
  };
  for (int i = 1; i <= 5; ++i)
    put(str_cat(scratch / "cifar-10-batches-bin/data_batch_", i, ".bin"), record(i, -1, i) + record(9 - i, -1, 50 + i));
  put(scratch / "cifar-10-batches-bin/test_batch.bin", record(7, -1, 3));
  put(scratch / "cifar-10-batches-bin/batches.meta.txt", "airplane\nautomobile\n\n");
  const auto train = open_dataset("torch/cifar10", scratch / "", {.split = "training"});
  REQUIRE(train->size() == 10);
  CHECK((train->label(2) == 2 && train->label(3) == 7 && train->classes()[1] == "automobile"));
  const Image image = train->read(4).pixels;
  REQUIRE((image.width == 32 && image.height == 32 && image.channels == 3));
  for (const int at : {0, 33, 1023})
    for (int c = 0; c < 3; ++c)
      CHECK(image.pixels[static_cast<size_t>(3 * at + c)] == static_cast<uint8_t>((c * 1024 + at) * 7 + 3));
  CHECK(open_dataset("torch/cifar10", scratch / "", {.split = "validation"})->label(0) == 7);
  put(scratch / "test.bin", record(99, 4, 1) + record(3, 19, 2));
  const CifarImages hundred(scratch / "", 100, false);
  CHECK((hundred.size() == 2 && hundred.label(0) == 99 && hundred.read(1).pixels.pixels[0] == 2));
  put(scratch / "train.bin", record(100, 4, 1));
  CHECK(mentions(error_of([&] { CifarImages(scratch / "", 100, true); }), "class 100"));
  put(scratch / "train.bin", record(3, 4, 1) + "x");
  CHECK(mentions(error_of([&] { CifarImages(scratch / "", 100, true); }), "3075 bytes"));
  CHECK(mentions(error_of([&] { CifarImages(scratch / "missing", 10, true); }), "data_batch_1.bin"));
}

TEST_CASE("tables name images and their classes", "[data]") {
  const Scratch scratch;
  const auto table = [&](const std::string& text, const CsvOptions& o = {}) {
    return CsvImages(scratch.file("table.csv", text), o);
  };
  using Labels = std::vector<int64_t>;
  const auto labels = [](const Reader& r, size_t i) { return Labels(r.labels(i).begin(), r.labels(i).end()); };
  put(scratch / "b/x,\"1\".jpg", "here");
  const CsvImages plain = table("path,class\r\n\"b/x,\"\"1\"\".jpg\",dog\r\n\na.png,cat10\nc.png,cat9");
  REQUIRE(plain.size() == 3);
  CHECK(plain.classes() == std::vector<std::string>{"cat9", "cat10", "dog"});
  CHECK((plain.label(0) == 2 && plain.label(1) == 1 && plain.label(2) == 0 && !plain.multi_label()));
  CHECK(text_of(plain.read(0)) == "here");
  const CsvImages numbers = table("a.png,3\nb.png,0\n");
  CHECK((numbers.label(0) == 3 && numbers.classes().size() == 4));
  const CsvImages several = table("a.png,red;2\nb.png,\nc.png,red\n");
  REQUIRE(several.multi_label());
  CHECK((labels(several, 0) == Labels{1, 0} && labels(several, 1).empty()));
  const CsvImages hot = table("a.png,0;1;1\n", {.target = {.multihot = true}});
  CHECK(labels(hot, 0) == Labels{1, 2});
  const CsvImages columns = table("file,x,cat,dog\na.png,9,0,1\nb.png,9,2,0.5\n", {.target = {.key = "dog,cat"}});
  CHECK((labels(columns, 0) == Labels{0} && labels(columns, 1) == Labels{0, 1}));
  CHECK(columns.classes() == std::vector<std::string>{"dog", "cat"});
  CHECK(table("file,x,cat\na.png,9,4\n", {.target = {.key = "cat"}}).label(0) == 4);
  CHECK(table("a.png,x\nb.png,y\n", {.class_map = ClassMap{"y"}}).name(0).ends_with("b.png"));
  CHECK(mentions(error_of([&] { table("a.png\n"); }), "line 1 has 1 cells"));
  CHECK(mentions(error_of([&] { table("p,c\n\na.png,\"x\nb.png,y\n"); }), "line 3"));
  CHECK(mentions(error_of([&] { table("a.png,0;2\n", {.target = {.multihot = true}}); }), "by 2"));
  CHECK(mentions(error_of([&] { table("p,c\na.png,x\n", {.target = {.key = "d"}}); }), "no column 'd'"));
  CHECK(mentions(error_of([&] { table("p,c\n"); }), "no images"));
}

TEST_CASE("datasets are opened by timm's names", "[data]") {
  const Scratch scratch;
  put(scratch / "data/training/a/1.jpg", "x");
  put(scratch / "data/val.csv", "training/a/1.jpg,b\n");
  const auto open = [&](const char* name, const char* split, const char* root = "data") {
    return open_dataset(name, scratch / root, {.split = split});
  };
  for (const char* name : {"", "folder", "Folder/x", "torch/ImageNet"}) CHECK(open(name, "train")->size() == 1);
  CHECK(open("csv", "validation")->classes()[0] == "b");
  CHECK(open("", "train", "data/val.csv")->classes()[0] == "b");
  if (can_read_tar()) {
    put(scratch / "tars/val/b.tar", make_tar({{"1.jpg", "x"}}));
    put(scratch / "tars/train.tar", make_tar({{"c/1.jpg", "x"}}));
    CHECK(open("", "eval", "tars")->classes()[0] == "b");
    CHECK(open("torch/image_tar", "train", "tars")->classes()[0] == "c");
    CHECK(open("", "train", "tars/train.tar")->classes()[0] == "c");
  }
  for (const char* name : {"hfds/imagenet-1k", "HFIDS/x", "tfds/mnist", "torch/qmnist", "torch/image_folder"}) {
    const Error e = error_of([&] { open(name, "train"); });
    CHECK(e.kind() == Error::Kind::unsupported);
    CHECK(mentions(e, "is not read"));
  }
  CHECK(error_of([&] { open("torch/svhn", "train"); }).kind() == Error::Kind::argument);
  CHECK(error_of([&] { open("", "train", "nowhere"); }).kind() == Error::Kind::not_found);
}
