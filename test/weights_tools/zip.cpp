// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/zip.cpp — archives that are sound, and archives that lie.
#include "weights_tools/zip.h"

#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;

namespace {
Zip open(const Scratch& scratch, const std::string& content, const ZipOptions& options = {}) {
  return Zip::open(MappedFile::open(scratch.file("z", content)), options);
}
std::string content_of(const Zip& zip, std::string_view name) {
  return std::string(text_of(zip.read(*zip.find(name)).bytes));
}
}  // namespace

TEST_CASE("zip archives give their members", "[weights]") {
  const Scratch scratch;
  const Zip zip = open(scratch, make_zip({{"a", "first"}, {"b/c", "second"}, {"empty", ""}}));
  CHECK(zip.entries().size() == 3);
  CHECK(content_of(zip, "a") == "first");
  CHECK(content_of(zip, "b/c") == "second");
  CHECK(content_of(zip, "empty").empty());
  CHECK(zip.find("none") == nullptr);
  CHECK(open(scratch, make_zip({})).entries().empty());
  const std::string commented = make_zip({{"a", "first"}});
  CHECK(content_of(open(scratch, commented.substr(0, commented.size() - 2) + le(4, 2) + "note"), "a") == "first");
}

TEST_CASE("zip64 records are understood", "[weights]") {
  const Scratch scratch;
  const std::string extra64 = le(1, 2) + le(16, 2) + le(5, 8) + le(5, 8), none = le(0, 2);
  const std::string common = le(45, 2) + le(0, 2) + le(0, 2) + le(0, 4) + le(crc_of("first"), 4) + le(UINT32_MAX, 4) +
                             le(UINT32_MAX, 4) + le(1, 2);
  const std::string local = "PK\3\4" + common + le(extra64.size(), 2) + "a" + extra64 + "first";
  const std::string extra = le(1, 2) + le(24, 2) + le(5, 8) + le(5, 8) + le(0, 8);
  const auto archive = [&](uint64_t entries, uint64_t size_lie, uint64_t disks) {
    const std::string directory =
        "PK\1\2" + le(45, 2) + common + le(extra.size(), 2) + le(0, 10) + le(UINT32_MAX, 4) + "a" + extra;
    const uint64_t at = local.size(), end = at + directory.size();
    return local + directory + "PK\6\6" + le(44, 8) + le(45, 2) + le(45, 2) + le(0, 8) + le(entries, 8) +
           le(entries, 8) + le(directory.size() + size_lie, 8) + le(at, 8) + "PK\6\7" + le(0, 4) + le(end, 8) +
           le(disks, 4) + "PK\5\6" + le(0, 4) + le(0xFFFF, 2) + le(0xFFFF, 2) + le(UINT32_MAX, 4) + le(UINT32_MAX, 4) +
           none;
  };
  CHECK(content_of(open(scratch, archive(1, 0, 1)), "a") == "first");
  CHECK(mentions(error_of([&] { open(scratch, archive(UINT64_MAX, 0, 1)); }), "entries"));
  CHECK(mentions(error_of([&] { open(scratch, archive(2, 0, 1)); }), "cannot hold 2"));
  CHECK(mentions(error_of([&] { open(scratch, archive(1, 7, 1)); }), "zip64"));
  CHECK(mentions(error_of([&] { open(scratch, archive(1, 0, 2)); }), "disks"));
}

TEST_CASE("zip archives that lie are refused", "[weights]") {
  const Scratch scratch;
  const auto refused = [&](const std::string& content, std::string_view says, const ZipOptions& o = {}) {
    const Error e = error_of([&] {
      const Zip zip = open(scratch, content, o);
      for (const ZipEntry& entry : zip.entries()) zip.read(entry);
    });
    INFO(e.what());
    CHECK(e.kind() == Error::Kind::format);
    CHECK(mentions(e, says));
  };
  const std::string good = make_zip({{"a", "first"}, {"b", "second"}});
  refused("", "only 0 bytes");
  refused(good.substr(0, good.size() - 1), "no end record");
  refused(good + "x", "no end record");
  refused("junk" + good, "directory does not end");
  refused(make_zip({{"a", "first"}, {"a", "second"}}), "two entries");
  refused(make_zip({{"a", "first", 1}}), "encrypted");
  refused(make_zip({{"a", "first", 0, 12}}), "method 12");
  refused(make_zip({{.name = "a", .content = "first", .local_name = "b"}}), "the local header 'b'");
  refused(make_zip({{.name = "a", .content = "first", .crc_error = 1}}), "checksum");
  const Zip without = open(scratch, make_zip({{.name = "a", .content = "first", .crc_error = crc_of("first")}}));
  CHECK(content_of(without, "a") == "first");  // 0 where the checksum belongs: there is none
  refused(make_zip({{.name = "a", .content = "first", .size_error = 1}}), "two sizes differ");
  refused(make_zip({{"", "first"}}), "proper name");
  refused(make_zip({{std::string("a\0b", 3), "first"}}), "proper name");
  refused(make_zip({{.name = "a", .content = "first", .method = 8}}), "does not unpack");
  refused(good, "at most 1", {.max_entries = 1});
  refused(good, "at most 50", {.max_directory = 50});

  std::string overlap = good;  // b's header inside a's bytes: a says it is longer
  const size_t second = good.find("PK\3\4", 4), central = good.find("PK\1\2");
  const std::string longer = le(second + 10 - 31, 4);
  for (size_t at : {size_t{18}, size_t{22}, central + 20, central + 24}) overlap.replace(at, 4, longer);
  refused(overlap, "overlaps");

  const Zip unchecked =
      open(scratch, make_zip({{.name = "a", .content = "first", .crc_error = 1}}), {.check_crc = false});
  CHECK(content_of(unchecked, "a") == "first");
}

TEST_CASE("zip bombs do not unpack", "[weights]") {
  const auto file = MappedFile::open(golden("packed.npz"));  // 256 kB of zeros among others
  CHECK_NOTHROW(Zip::open(file));
  const Error e = error_of([&] { Zip::open(file, {.max_ratio = 20, .free_bytes = 1000}); });
  CHECK(e.kind() == Error::Kind::format);
  CHECK(mentions(e, "would unpack to"));
}
