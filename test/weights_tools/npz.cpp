// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/npz.cpp — arrays that NumPy wrote, and arrays as NumPy writes them.
#include "weights_tools/npz.h"

#include <filesystem>
#include <numeric>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz_writer.h"
#include "weights_tools/open_weights.h"

using namespace fovea;
using namespace fovea::test;
using K = Error::Kind;

namespace {
std::string npy(std::string_view header, std::string_view data = {}) {
  return "\x93NUMPY\1" + std::string(1, '\0') + le(header.size(), 2) + str_cat(header, data);
}
NpzEntry read(const std::string& content) { return read_npy(bytes_of(content), "x", nullptr); }
}  // namespace

TEST_CASE("arrays of every dtype, byte order and layout", "[weights]") {
  for (const char* name : {"plain.npz", "packed.npz"}) {
    INFO(name);
    const StateDict d = open_weights(golden(name));
    CHECK(is_ramp(d.at("Transformer/block_0/kernel"), DType::f32, {2, 3, 4}, 0));
    CHECK(is_ramp(d.at("fortran"), DType::f32, {3, 4}, 1));
    CHECK(d.at("fortran").meta().is_contiguous());
    CHECK(is_ramp(d.at("big"), DType::f32, {5}, 2));
    CHECK(is_ramp(d.at("big_fortran"), DType::f64, {2, 3}, 2));
    CHECK(is_ramp(d.at("half"), DType::f16, {4}, 3));
    CHECK(is_ramp(d.at("double"), DType::f64, {2, 2}, 4));
    CHECK(is_ramp(d.at("long"), DType::i64, {5}, -2, 1));
    CHECK(is_ramp(d.at("int"), DType::i32, {5}, -2, 1));
    CHECK(is_ramp(d.at("char"), DType::i8, {5}, -2, 1));
    CHECK(is_ramp(d.at("byte"), DType::u8, {5}, 250, 1));
    CHECK(d.at("flag").data<bool>()[0]);
    CHECK(is_ramp(d.at("scalar"), DType::f32, {}, 2.5));
    CHECK(d.at("empty").shape() == Shape{0, 3});
  }
  CHECK(is_ramp(open_weights(golden("packed.npz")).at("zeros"), DType::f32, {256, 256}, 0, 0));
  CHECK(is_ramp(open_weights(golden("single.npy")).at("arr_0"), DType::f32, {2, 3}, 0));
  CHECK(is_ramp(open_weights(golden("version2.npy")).at("arr_0"), DType::f32, {2, 3}, 0));
}

TEST_CASE("arrays of texts", "[weights]") {
  const auto entries = read_npz_entries(Zip::open(MappedFile::open(golden("texts.npz"))));
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].texts == std::vector<std::string>{"a.jpg", "b/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.jpg", ""});
  CHECK_FALSE(entries[0].tensor);
  CHECK(open_weights(golden("texts.npz")).names() == std::vector<std::string>{"numbers"});
}

TEST_CASE("npz and npy are written byte for byte as NumPy writes its arrays", "[weights]") {
  const Scratch scratch;
  write_npy(scratch / "a.npy", arange(0, 6, 1, DType::f32));
  CHECK(read_file(scratch / "a.npy").substr(0, 128) ==
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }" + std::string(60, ' ') + "\n"));
  write_npy(scratch / "single.npy", read_npz_entries(Zip::open(MappedFile::open(golden("plain.npz"))))[0].tensor);
  CHECK(is_ramp(open_weights(scratch / "single.npy").at("arr_0"), DType::f32, {2, 3, 4}, 0));
  write_npy(scratch / "single.npy", open_weights(golden("single.npy")).at("arr_0"));
  CHECK(read_file(scratch / "single.npy") == read_file(golden("single.npy")));
}

TEST_CASE("what is written to npz comes back", "[weights]") {
  const Scratch scratch;
  StateDict d = open_weights(golden("plain.npz"));
  d.set("brain", open_weights(golden("plain.safetensors")).at("brain"));
  d.set("turned", view_of(arange(0, 6, 1, DType::f32), {3, 2}, {1, 3}, 0));
  write_npz(scratch / "x.npz", d);
  const StateDict e = open_weights(scratch / "x.npz");
  CHECK(e.names() == d.names());
  CHECK(is_ramp(e.at("brain"), DType::f32, {2, 3}, 2));
  CHECK(e.at("turned").data<float>()[1] == 3);
  CHECK(is_ramp(e.at("big_fortran"), DType::f64, {2, 3}, 2));

  const std::vector<std::string> paths = {"n01/\xc3\xa4.jpg", "", "bad\xff.jpg", "\xf0\x9f\x98\x80"};
  write_npz(scratch / "y.npz",
            std::vector<NpzEntry>{{"paths", {}, paths}, {"features", arange(0, 4, 1, DType::f32), {}}});
  const auto entries = read_npz_entries(Zip::open(MappedFile::open(scratch / "y.npz")));
  CHECK(entries[0].texts == paths);
  CHECK(is_ramp(entries[1].tensor, DType::f32, {4}, 0, 1));
  CHECK(error_of([&] {
          write_npz(scratch / "z.npz", std::vector<NpzEntry>{{"a", zeros({1}), {}}, {"a", zeros({1}), {}}});
        }).kind() == K::argument);
  CHECK(scratch.names().size() == 2);
}

TEST_CASE("arrays that fovea does not read say why", "[weights]") {
  const auto from_file = [](const char* name) { return error_of([&] { ask(open_weights(golden(name))); }); };
  CHECK(from_file("object.npz").kind() == K::unsupported);
  CHECK(mentions(from_file("object.npz"), "array 'things' holds pickled Python objects"));
  CHECK(mentions(from_file("int16.npz"), "'short' is of dtype <i2"));
  CHECK(mentions(from_file("records.npy"), "records with fields"));

  struct Row {
    std::string content, says;
    K kind = K::format;
  };
  const std::string four(16, '\0');
  const std::vector<Row> rows = {
      {"\x93NUMPX", "magic"},
      {"\x93NUMPY\1", "ends at byte"},
      {"\x93NUMPY\4" + std::string(9, '\0'), "version 4", K::unsupported},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", four.substr(1)),
       "takes 16 bytes, but there are 15"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", four), "takes 20 bytes"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }", four), "where a size belongs"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807), }", four),
       "overflows"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", four),
       "where a size belongs"},
      {npy("{'descr': '<f4', 'fortran_order': False, }", four), "lacks"},
      {npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (4,)}", four), "neither True nor False"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'x': 1}", four), "unknown key"},
      {npy("__import__('os')", four), "where '{' belongs"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,)} + 1", four), "after its header"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,4)}", four), "has 9 dimensions",
       K::unsupported},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", four), "pickled", K::unsupported},
      {npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", four), "<c8", K::unsupported},
      {npy("{'descr': '', 'fortran_order': False, 'shape': (2,)}", four), "lacks"},
      {npy("{'descr': '<', 'fortran_order': False, 'shape': (2,)}", four), "dtype <", K::unsupported},
      {npy("{'descr': '<U1', 'fortran_order': False, 'shape': (2, 2)}", four), "dtype <U1", K::unsupported},
      {npy("{'descr': '<U9999999999999999999999', 'fortran_order': False, 'shape': (2,)}", four), "its dtype is"},
      {npy("{'descr': '<U0', 'fortran_order': False, 'shape': (9000000000000000000,)}"), "without any bytes"},
      {npy("{'descr': '<U2', 'fortran_order': False, 'shape': (2,)}", std::string(16, '\xff')), "beyond Unicode"}};
  for (const Row& r : rows) {
    const Error e = error_of([&] {
      const NpzEntry entry = read(r.content);
      if (entry.tensor.has_bytes()) entry.tensor.bytes();
    });
    INFO(r.content);
    INFO(e.what());
    CHECK(e.kind() == r.kind);
    CHECK(mentions(e, r.says));
  }
}

TEST_CASE("an archive that grows row by row is the one that is written at once", "[weights]") {
  const Scratch scratch;
  Tensor a = empty({7, 100, 1000}, DType::f32), b = empty({30}, DType::i64);
  const std::span<float> numbers = a.mutable_data<float>();
  const std::span<int64_t> integers = b.mutable_data<int64_t>();
  std::iota(numbers.begin(), numbers.end(), 0.5f);
  std::iota(integers.begin(), integers.end(), -3);
  const std::vector<std::string> names{"", "caf\xc3\xa9.jpg", "latin1_\xe4.jpg", std::string(300, 'x'), "z"};
  write_npz(scratch / "whole.npz", std::vector<NpzEntry>{{"features", a, {}}, {"b", b, {}}, {"paths", {}, names}});
  NpzWriter rows(scratch / "rows.npz");
  rows.append("features", slice(a, 0, 0, 1));
  rows.append("b", slice(b, 0, 0, 10));
  for (const std::string& n : names) rows.append("paths", n);
  rows.append("features", slice(a, 0, 1, 6));
  rows.append("features", slice(a, 0, 6, 7));
  rows.append("b", slice(b, 0, 10, 30));
  CHECK(mentions(error_of([&] { rows.append("b", zeros({4})); }), "rows of i64[10], not of f32[4]"));
  CHECK(mentions(error_of([&] { rows.append("features", zeros({1, 99, 1000})); }), "'features'"));
  CHECK(mentions(error_of([&] { rows.append("features", "text"); }), "'features'"));
  CHECK_FALSE(std::filesystem::exists(scratch / "rows.npz"));
  rows.finish();
  CHECK(read_file(scratch / "rows.npz") == read_file(scratch / "whole.npz"));
  CHECK(scratch.names().size() == 2);  // nothing else is left
  CHECK(mentions(error_of([&] { NpzWriter(scratch / "no/folder.npz"); }), "no/folder.npz"));
}

TEST_CASE("files of no known format say what they start with", "[weights]") {
  const Scratch scratch;
  const auto says = [&](std::string_view content) {
    return error_of([&] { open_weights(scratch.file("f", content)); });
  };
  CHECK(mentions(says(""), "is empty"));
  CHECK(mentions(says("GGUF\3\0\0\0"), "GGUF"));
  CHECK(mentions(says("version https://git-lfs.github.com/spec/v1"), "Git LFS"));
  CHECK(mentions(says("<!DOCTYPE html><html>"), "web page"));
  CHECK(mentions(says("\x01\x02\x03"), "01 02 03"));
  CHECK(mentions(says(make_zip({{"readme.txt", "hello"}})), "neither of torch"));
  CHECK(says("\x01\x02\x03").kind() == K::format);
}
