// SPDX-License-Identifier: Apache-2.0
// test/data/decode.cpp — images of all formats decode to Pillow's bytes; broken files end in an Error.
#include "data/decode.h"

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "data/transform.h"
#include "engine/core/error.h"
#include "test/data/pattern.h"
#include "test/support/sha256.h"

using namespace fovea;
using namespace fovea::data;
using namespace fovea::test;

namespace {

struct Packed {
  std::string name;
  std::vector<std::byte> bytes;
  int width, height;
  uint64_t hash;
};

/// The layout that test/golden/record/images.py writes.
std::vector<Packed> unpack(const std::string& file) {
  const std::vector<uint8_t> all = golden_bytes(file);
  const auto word = [&](size_t at) {
    uint32_t v;
    std::memcpy(&v, all.data() + at, sizeof v);
    return v;
  };
  std::vector<Packed> files;
  for (size_t i = 0, at = 4; i < word(0); ++i, at += 64) {
    const std::byte* start = reinterpret_cast<const std::byte*>(all.data()) + word(at + 40);
    uint64_t hash;
    std::memcpy(&hash, all.data() + at + 56, sizeof hash);
    files.push_back({reinterpret_cast<const char*>(all.data()) + at,
                     {start, start + word(at + 44)},
                     static_cast<int>(word(at + 48)),
                     static_cast<int>(word(at + 52)),
                     hash});
  }
  return files;
}

const char* const kPacks[] = {"jpegs.bin", "pngs.bin", "webps.bin"};
const char* const kMorePacks[] = {"jpegs.bin", "pngs.bin", "webps.bin", "gifs.bin", "bmps.bin", "tiffs.bin"};
bool lacks(std::string_view pack) { return pack == "webps.bin" && !can_decode(Format::webp); }

std::string photo(const std::string& name) { return FOVEA_SOURCE_DIR "/docs/images/" + name; }

std::string decode_error(std::string_view bytes, const DecodeOptions& options = {}) {
  return error_of([&] { decode(std::as_bytes(std::span(bytes)), options, "it"); });
}

/// Whether the bytes decode; anything but success or an Error fails the test.
bool decodes(std::span<const std::byte> bytes, const DecodeOptions& options = {.max_pixels = 1 << 20}) {
  try {
    check(decode(bytes, options));
    return true;
  } catch (const Error&) { return false; }
}

/// The recorded size and pixels, or, where there is no size, an Error.
void check_like_pillow(const Packed& file) {
  try {
    const Image image = decode(file.bytes);
    CHECK(image.width == file.width);
    CHECK(image.height == file.height);
    CHECK(hex(fnv1a(image.pixels)) == hex(file.hash));
  } catch (const Error& e) {
    INFO(e.what());
    CHECK(file.width == 0);
  }
}

}  // namespace

TEST_CASE("files decode to Pillow's bytes", "[data]") {
  if (!can_decode()) return;
  size_t count = 0;
  for (const char* pack : kPacks)
    for (const Packed& file : lacks(pack) ? std::vector<Packed>() : unpack(pack)) {
      INFO(pack << ": " << file.name);
      const Image image = decode(file.bytes);
      CHECK(image.width == file.width);
      CHECK(image.height == file.height);
      CHECK(image.channels == 3);
      CHECK(hex(fnv1a(image.pixels)) == hex(file.hash));
      const ImageInfo info = probe(file.bytes);
      CHECK(info.width == file.width);
      CHECK(info.height == file.height);
      ++count;
    }
  if (!lacks("webps.bin")) CHECK(count == 280);
  CHECK(count > 100);
}

TEST_CASE("GIF, BMP and TIFF decode to Pillow's bytes, and what Pillow refuses is refused", "[data]") {
  struct Row {
    const char* pack;
    Format format;
    size_t refused;
  };
  for (const Row& row :
       {Row{"gifs.bin", Format::gif, 1}, Row{"bmps.bin", Format::bmp, 12}, Row{"tiffs.bin", Format::tiff, 28}}) {
    if (!can_decode(row.format)) continue;
    size_t refused = 0;
    for (const Packed& file : unpack(row.pack)) {
      INFO(row.pack << ": " << file.name);
      refused += file.width == 0;
      check_like_pillow(file);
      if (file.width > 0 && file.name != "no screen") CHECK(probe(file.bytes).format == row.format);
    }
    CHECK(refused == row.refused);
  }
}

TEST_CASE("damaged PNGs and JPEGs are read or refused as Pillow does", "[data]") {
  if (!can_decode()) return;
  size_t read = 0, refused = 0;
  for (const Packed& file : unpack("damaged.bin")) {
    INFO(file.name);
    check_like_pillow(file);
    ++(file.width ? read : refused);
  }
  CHECK(read == 193);
  CHECK(refused == 163);
}

TEST_CASE("images that no library here reads are named", "[data]") {
  CHECK(decode_error(std::string("\0\0\0\x1c"
                                 "ftypavif",
                                 12))
            .find("an AVIF image") != std::string::npos);
  if (!can_decode(Format::webp) && can_decode())
    CHECK(decode_error(std::string("RIFF\0\0\0\0WEBPVP8 ", 16)).find("-Dwebp=enabled") != std::string::npos);
  if (!can_decode(Format::gif)) CHECK(decode_error("GIF89a......").find("-Dgif=enabled") != std::string::npos);
  if (!can_decode(Format::tiff))
    CHECK(decode_error(std::string("II*\0....", 8)).find("-Dtiff=enabled") != std::string::npos);
}

TEST_CASE("names of images", "[data]") {
  for (const char* name :
       {"a.jpg", "photos/b.JPEG", "c.d.Png", "x.webp", "y.jfif", "z.JPE", "a.gif", "b.bmp", "c.tif", "d.TIFF"})
    CHECK(has_image_suffix(name));
  for (const char* name : {"", "jpg", ".jpg", "a.jpg.txt", "a.jp", "Thumbs.db", "ajpg", "a.avif"})
    CHECK_FALSE(has_image_suffix(name));
  CHECK_FALSE(image_suffixes().empty());
}

TEST_CASE("photos give timm's pixels and crops", "[data]") {
  if (!can_decode()) return;
  const std::vector<std::string> rows = golden_rows("photos.tsv");
  CHECK(rows.size() == 9);
  for (const std::string& row : rows) {
    std::istringstream in(row);
    std::string name, decoded, filter, crop;
    int width, height, size;
    EvalConfig config;
    in >> name >> width >> height >> decoded >> size >> config.crop_pct >> filter >> crop;
    REQUIRE(in);
    config.input_size = {3, size, size};
    config.interpolation = parse_filter(filter);
    INFO(row);
    const Image image = read_image(photo(name));
    CHECK(image.width == width);
    CHECK(image.height == height);
    CHECK(sha256(image.pixels) == decoded);
    CHECK(sha256(eval_crop(image, config).pixels) == crop);
    CHECK(probe_image(photo(name)).width == width);
  }
}

TEST_CASE("what is no image is called by its name", "[data]") {
  CHECK(decode_error("").starts_with("it is not an image fovea reads: it is empty\n  these are read: JPEG, PNG, WebP"));
  CHECK(decode_error("<html><body>404").find("an HTML page") != std::string::npos);
  CHECK(decode_error("hello, this is text").find("'hello, this is t'") != std::string::npos);
  CHECK(decode_error("\x01\x02\xfe").find("01 02 fe") != std::string::npos);
  CHECK(error_of([] { read_image("/no/such/file.jpg"); }) ==
        "cannot read image /no/such/file.jpg: No such file or directory");
  CHECK(error_of([] { read_image("/"); }) == "cannot read image /: Is a directory");
  try {
    read_image(FOVEA_SOURCE_DIR "/meson.build");
    FAIL("a text file was read as an image");
  } catch (const Error& e) {
    CHECK(e.kind() == Error::Kind::format);
    CHECK(e.summary().find("meson.build is not an image fovea reads") != std::string::npos);
  }
}

TEST_CASE("huge images are refused by their headers", "[data]") {
  if (!can_decode()) return;
  for (const char* pack : kPacks) {
    if (lacks(pack)) continue;
    const Packed file = unpack(pack).back();
    CHECK(error_of([&] {
            decode(file.bytes, {.max_pixels = int64_t{file.width} * file.height - 1});
          }).find("more than the limit") != std::string::npos);
    CHECK(decodes(file.bytes, {.max_pixels = int64_t{file.width} * file.height}));
  }
  // 60000 x 60000 with nothing behind the header
  std::string png("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0", 29);
  png += std::string("\x0f\xb0\xe2\x15", 4);
  CHECK(decode_error(png) ==
        "it says that it is 60000x60000 pixels, more than the limit of 178956970\n"
        "  it may be meant to exhaust memory; raise max_pixels to read it nevertheless");
  CHECK(probe(std::as_bytes(std::span(png))).width == 60000);
}

TEST_CASE("cut-off images are truncated, and can be read as far as they go", "[data]") {
  if (!can_decode()) return;
  std::ifstream in(photo("rocket.jpg"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const std::string half = whole.substr(0, whole.size() / 2);
  CHECK(decode_error(half) == str_cat("it is a truncated JPEG image: it ends after ", half.size(),
                                      " bytes, before the last row\n  allow_truncated keeps the part that is there"));
  const Image full = read_image(photo("rocket.jpg"));
  const Image part = decode(std::as_bytes(std::span(half)), {.allow_truncated = true});
  REQUIRE(part.pixels.size() == full.pixels.size());
  CHECK(std::equal(part.pixels.begin(), part.pixels.begin() + static_cast<std::ptrdiff_t>(full.pitch() * 100),
                   full.pixels.begin()));
  CHECK(part != full);
}

TEST_CASE("truncated files are errors at every length", "[data]") {
  if (!can_decode()) return;
  int cases = 0;
  for (const char* pack : kPacks) {
    const std::vector<Packed> files = unpack(pack);
    for (size_t i = 0; i < files.size(); i += files.size() / 10) {
      const std::span<const std::byte> bytes = files[i].bytes;
      for (size_t k = 0; k < 12; ++k, ++cases) {
        const std::span<const std::byte> cut = bytes.first(bytes.size() * k / 14);
        INFO(pack << ": " << files[i].name << " cut to " << cut.size());
        CHECK_FALSE(decodes(cut));
        decodes(cut, {.max_pixels = 1 << 20, .allow_truncated = true});
      }
    }
  }
  CHECK(cases == 360);
}

TEST_CASE("flipped bytes never crash", "[data]") {
  if (!can_decode()) return;
  uint32_t random = 12345;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  int refused = 0;
  for (const char* pack : kMorePacks) {
    const std::vector<Packed> files = unpack(pack);
    for (int k = 0; k < 300; ++k) {
      std::vector<std::byte> bytes = files[next() % files.size()].bytes;
      for (uint32_t flips = 1 + next() % 6; flips > 0; --flips) {
        const size_t at = next() >> 4;
        bytes[at % (next() % 2 ? bytes.size() : std::min<size_t>(bytes.size(), 64))] ^=
            static_cast<std::byte>(1 + next() % 255);
      }
      refused += !decodes(bytes);
      decodes(bytes, {.max_pixels = 1 << 20, .allow_truncated = true});
      error_of([&] { probe(bytes); });
    }
  }
  CHECK(refused > 100);
}

namespace {

// Is the part what the whole has there?
bool same_part(const Image& whole, const Image& out, const Part& p) {
  if (out.width != whole.width || out.height != whole.height || out.channels != whole.channels) return false;
  const size_t from = 3 * static_cast<size_t>(p.left), count = 3 * static_cast<size_t>(p.width);
  for (int y = p.top; y < p.top + p.height; ++y)
    if (!std::equal(whole.row(y) + from, whole.row(y) + from + count, out.row(y) + from)) return false;
  return true;
}

}  // namespace

TEST_CASE("part of an image has the bytes that it has in the whole", "[data]") {
  if (!can_decode()) return;
  uint32_t random = 99;
  const auto below = [&](int n) { return static_cast<int>((random = random * 1664525 + 1013904223) >> 8) % n; };
  std::vector<Packed> files = unpack("jpegs.bin");
  const std::vector<uint8_t> rocket = golden_bytes("../../../docs/images/rocket.jpg");
  const std::byte* start = reinterpret_cast<const std::byte*>(rocket.data());
  files.push_back({"rocket", {start, start + rocket.size()}, 0, 0, 0});
  Image out;                                       // what an earlier image leaves must not show
  size_t parts = 0;
  for (const Packed& f : files) {
    Image whole;
    try {
      whole = decode(f.bytes);
    } catch (const Error&) { continue; }
    for (int k = 0; k < 60; ++k, ++parts) {
      Part p{below(whole.width), below(whole.height), 0, 0};
      p.width = 1 + below(whole.width - p.left), p.height = 1 + below(whole.height - p.top);
      INFO(f.name << ": " << p.width << "x" << p.height << " from " << p.left << "," << p.top << " of " << whole.width
                  << "x" << whole.height);
      decode_part(f.bytes, {whole.width, whole.height, p}, out);
      REQUIRE(same_part(whole, out, p));
    }
    decode_part(f.bytes, {whole.width + 1, whole.height, {0, 0, 1, 1}}, out);          // of another size than was said
    CHECK(out == whole);
    decode_part(f.bytes, {}, out);
    CHECK(out == whole);
  }
  CHECK(parts > 2000);
}

TEST_CASE("a part of a damaged image is refused where the whole is", "[data]") {
  if (!can_decode()) return;
  uint32_t random = 5;
  const auto next = [&] { return (random = random * 1664525 + 1013904223) >> 4; };
  const std::vector<Packed> files = unpack("jpegs.bin");
  size_t refused = 0;
  Image out;
  for (int k = 0; k < 3000; ++k) {
    std::vector<std::byte> bytes = files[next() % files.size()].bytes;
    if (k % 2) bytes.resize(next() % bytes.size());
    for (uint32_t flips = next() % 3; flips > 0 && !bytes.empty(); --flips)
      bytes[next() % bytes.size()] ^= static_cast<std::byte>(1 + next() % 255);
    Image whole;
    const std::string why = error_of([&] { whole = decode(bytes); });
    ImageInfo info;
    if (!error_of([&] { info = probe(bytes); }).empty()) continue;
    const Part p{0, 0, info.width, 1 + info.height / 3};
    INFO("file " << k << ": " << why);
    CHECK(error_of([&] { decode_part(bytes, {info.width, info.height, p}, out); }) == why);
    refused += !why.empty();
    if (why.empty() && whole.width == info.width && whole.height == info.height) CHECK(same_part(whole, out, p));
  }
  CHECK(refused > 500);
}

TEST_CASE("JPEGs are reduced by leaving out coefficients", "[data]") {
  if (!can_decode()) return;
  const std::vector<uint8_t> rocket = golden_bytes("../../../docs/images/rocket.jpg");
  const std::span<const std::byte> bytes = std::as_bytes(std::span(rocket));
  const Image whole = decode(bytes);
  for (const int by : {2, 4, 8}) {
    Image out;
    decode_part(bytes, {.width = whole.width, .height = whole.height, .reduce = by}, out);
    REQUIRE((out.width == (whole.width + by - 1) / by && out.height == (whole.height + by - 1) / by));
    const Image wanted = resize(whole, out.width, out.height, Filter::box);
    double error = 0;
    for (size_t i = 0; i < out.pixels.size(); ++i) error += std::abs(out.pixels[i] - wanted.pixels[i]);
    CHECK(error / static_cast<double>(out.pixels.size()) < 4);
  }
  Image out;
  CHECK_THROWS_AS(decode_part(bytes, {.reduce = 3}, out), Error);
}

TEST_CASE("ten thousand damaged files of each kind neither crash nor hang", "[data][slow]") {
  if (!can_decode()) return;
  constexpr size_t kSeeds = 20, kEach = 500;
  uint32_t random = 4711;
  const auto next = [&] { return (random = random * 1664525 + 1013904223) >> 4; };
  for (const char* pack : kMorePacks) {
    const std::vector<Packed> files = unpack(pack);
    size_t refused = 0;
    double longest = 0;
    for (size_t seed = 0; seed < kSeeds; ++seed)
      for (size_t k = 0; k < kEach; ++k) {
        std::vector<std::byte> bytes = files[seed * files.size() / kSeeds].bytes;
        if (k % 2) bytes.resize(next() % bytes.size());
        for (uint32_t flips = k % 2 ? next() % 2 : 1 + next() % 8; flips > 0 && !bytes.empty(); --flips)
          bytes[next() % bytes.size()] ^= static_cast<std::byte>(1 + next() % 255);
        const auto began = std::chrono::steady_clock::now();
        refused += !decodes(bytes);
        longest = std::max(longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
      }
    WARN(pack << ": " << kSeeds * kEach << " damaged files, " << refused << " refused, the longest took "
              << longest * 1e3 << " ms");
    CHECK(refused > kSeeds * kEach / 4);
    CHECK(longest < 1);
  }
}

TEST_CASE("an image that claims ten thousand million pixels costs nothing", "[data]") {
  if (!can_decode()) return;
  std::string png("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\1\x86\xa0\0\1\x86\xa0\x08\x02\0\0\0", 29);
  png += std::string("\x27\x30\x9c\x9f", 4);
  const auto peak_kb = [] {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return used.ru_maxrss;
  };
  decode_error(png);                               // what is made once is there
  const long before = peak_kb();
  const auto began = std::chrono::steady_clock::now();
  CHECK(decode_error(png).find("100000x100000 pixels, more than the limit") != std::string::npos);
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  WARN("100000 x 100000 pixels: " << ms << " ms, " << peak_kb() - before << " KB more at the peak");
  CHECK(peak_kb() - before <= 10 << 10);
  CHECK(ms <= 20);
}
