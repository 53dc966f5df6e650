// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/safetensors.cpp — one message for each way in which a header can be wrong, and writing what Python
// writes.
#include "weights_tools/safetensors.h"

#include <algorithm>
#include <chrono>
#include <csignal>

#include <sys/resource.h>
#include <sys/stat.h>

#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using K = Error::Kind;

namespace {
std::string with_header(std::string_view json, size_t data_bytes) {
  return le(json.size(), 8) + std::string(json) + std::string(data_bytes, '\0');
}
std::string one(std::string_view fields, size_t data_bytes) {
  return with_header(str_cat("{\"x\":{", fields, "}}"), data_bytes);
}
constexpr std::string_view kFine = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
}  // namespace

TEST_CASE("safetensors written by Python, both accesses", "[weights]") {
  const auto access = GENERATE(FileAccess::map, FileAccess::read);
  const StateDict d = read_safetensors(golden("plain.safetensors"), {.access = access});
  CHECK(d.size() == 12);
  CHECK(d.metadata == std::vector<std::pair<std::string, std::string>>{{"format", "pt"}});
  CHECK(is_ramp(d.at("stem.conv.weight"), DType::f32, {4, 3, 2, 2}, -1));
  CHECK(is_ramp(d.at("stem.bn.num_batches_tracked"), DType::i64, {}, 7));
  CHECK(is_ramp(d.at("half"), DType::f16, {3, 2}, 1));
  CHECK(is_ramp(d.at("brain"), DType::bf16, {2, 3}, 2));
  CHECK(is_ramp(d.at("double"), DType::f64, {5}, 3));
  CHECK(is_ramp(d.at("none"), DType::f32, {0, 3}, 0));
  CHECK(is_ramp(d.at("byte"), DType::u8, {3}, 250, 1));
}

TEST_CASE("safetensors are written byte for byte as Python writes them", "[weights]") {
  const Scratch scratch;
  const std::string path = scratch / "again.safetensors";
  write_safetensors(path, read_safetensors(golden("plain.safetensors")));
  CHECK(read_file(path) == read_file(golden("plain.safetensors")));
  CHECK(scratch.names() == std::vector<std::string>{"again.safetensors"});  // no temporary is left
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  CHECK((info.st_mode & 0777) == (0666 & ~mask));
}

TEST_CASE("any layout goes through safetensors and comes back row-major", "[weights]") {
  const Scratch scratch;
  StateDict d;
  const Tensor base = arange(0, 24, 1, DType::f32);
  d.set("b.transposed \"name\"\n\xc3\xa4", view_of(base, {6, 4}, {1, 6}, 0));
  d.set("a.sliced", view_of(base, {2, 3}, {6, 2}, 7));
  d.set("expanded", view_of(base, {2, 3}, {0, 1}, 1));
  d.set("empty", empty({0, 5}, DType::i8));
  d.metadata = {{"note", "quotes \" and \\"}};
  write_safetensors(scratch / "x", d);
  const StateDict e = read_safetensors(scratch / "x");
  CHECK(e.metadata == std::vector<std::pair<std::string, std::string>>{{"note", "quotes \" and \\"}, {"format", "pt"}});
  CHECK(e.at("b.transposed \"name\"\n\xc3\xa4").data<float>()[1] == 6);
  CHECK(e.at("a.sliced").data<float>()[5] == 17);
  CHECK(e.at("expanded").data<float>()[5] == 3);
  CHECK(e.at("empty").shape() == Shape{0, 5});
  write_safetensors(scratch / "x", read_safetensors(scratch / "x"));  // over the file that the tensors are views on
  CHECK(read_safetensors(scratch / "x").at("a.sliced").data<float>()[5] == 17);
}

TEST_CASE("who waits for safetensors to be written hears of every tensor", "[weights]") {
  StateDict d;
  d.set("a", zeros({3, 5}));
  d.set("none", zeros({0, 4}));
  d.set("b", zeros({7}, DType::u8));
  struct Listener final : WriteListener {
    std::vector<int64_t> bytes;
    void written(int64_t n) override { bytes.push_back(n); }
  } listener;
  const Scratch scratch;
  write_safetensors(scratch / "x", d, &listener);
  std::vector<int64_t>& bytes = listener.bytes;
  std::sort(bytes.begin(), bytes.end());
  CHECK(bytes == std::vector<int64_t>{0, 7, 60});
}

TEST_CASE("a file of 100 MB is open within 2 ms", "[.soak]") {
  const Scratch scratch;
  const std::string path = scratch / "x.safetensors";
  constexpr int kTensors = 500;
  StateDict all;
  for (int i = 0; i < kTensors; ++i) all.set(str_cat("blocks.", i, ".attn.qkv.weight"), zeros({50'000}));
  write_safetensors(path, all);
  std::vector<double> ms;
  for (int i = 0; i < 21; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const StateDict d = read_safetensors(path);
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    CHECK(d.size() == kTensors);
  }
  std::sort(ms.begin(), ms.end());
  WARN("100 MB in " << kTensors << " tensors: median " << ms[ms.size() / 2] << " ms, fastest " << ms[0]);
  CHECK(ms[ms.size() / 2] <= 2);
}

TEST_CASE("writing through a loaded tensor leaves the file alone", "[weights]") {
  const Scratch scratch;
  const std::string path = scratch.file("x", one(kFine, 8));
  Tensor x = read_safetensors(path).at("x");
  x.mutable_data<float>()[0] = 5;
  CHECK(read_safetensors(path).at("x").data<float>()[0] == 0);
}

TEST_CASE("numbers at odd addresses are copied to proper ones", "[weights]") {
  const Scratch scratch;
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const StateDict d = read_safetensors(scratch.file("x", with_header(header, 5)));
  CHECK(reinterpret_cast<uintptr_t>(d.at("b").bytes()) % 4 == 0);
  CHECK(d.at("b").data<float>()[0] == 0);
}

TEST_CASE("what safetensors may also look like", "[weights]") {
  const Scratch scratch;
  const auto read = [&](const std::string& content) { return read_safetensors(scratch.file("x", content)); };
  CHECK(read(with_header(str_cat(" \n{\"x\":{", kFine, "}}  "), 8)).size() == 1);
  CHECK(read(with_header("{}", 0)).empty());
  CHECK(read(one(str_cat(kFine, R"(,"more":[{"deep":[1,null,"x",2.5,true]},7])"), 8)).size() == 1);
  CHECK(read(with_header(str_cat("{\"__metadata__\":null,\"x\":{", kFine, "}}"), 8)).size() == 1);
  CHECK(read(one(R"("dtype":"F64","shape":[],"data_offsets":[0,8])", 8)).at("x").rank() == 0);
  CHECK(read(one(R"("dtype":"I8","shape":[0,4294967296],"data_offsets":[0,0])", 0)).at("x").numel() == 0);
}

TEST_CASE("every fault of a header has its own message", "[weights]") {
  struct Row {
    std::string content, says;
    K kind = K::format;
  };
  const std::string nested = str_cat(kFine, R"(,"deep":)", std::string(70, '['), std::string(70, ']'));
  const std::vector<Row> rows = {
      {"1234567", "7 bytes"},
      {le(100'000'001, 8) + "{}", "at most 100000000"},
      {le(UINT64_MAX, 8) + "{}", "at most 100000000"},
      {le(3, 8) + "{}", "a header of 3 bytes in a file of 10"},
      {with_header("{\"\xff\":1}", 0), "UTF-8"},
      {with_header("{\"\xed\xa0\x80\":1}", 0), "UTF-8"},
      {with_header("[]", 0), "not with '{'"},
      {with_header("\xef\xbb\xbf{}", 0), "not with '{'"},
      {with_header("{\"x\":", 0), "no valid JSON"},
      {with_header("{} {}", 0), "no valid JSON"},
      {with_header(std::string_view("{}\0{", 4), 0), "a zero byte"},
      {with_header("{\"x\":{\"dtype\":NaN}}", 0), "no valid JSON"},
      {with_header(str_cat("{\"x\":{", kFine, "},\"x\":{", kFine, "}}"), 8), "'x' occurs twice"},
      {one(str_cat(kFine, R"(,"dtype":"F32")"), 8), "'dtype' occurs twice"},
      {with_header(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "'a' occurs twice"},
      {with_header(R"({"__metadata__":{"a":1}})", 0), "where only texts may be"},
      {with_header(R"({"__metadata__":"a"})", 0), "where only texts may be"},
      {with_header(R"({"x":5})", 0), "'x' is the number 5"},
      {one(nested, 8), "nests deeper than 64"},
      {one(R"("shape":[2],"data_offsets":[0,8])", 8), "no dtype"},
      {one(R"("dtype":"F32","data_offsets":[0,8])", 8), "no shape"},
      {one(R"("dtype":"F32","shape":[2])", 8), "no data_offsets"},
      {one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])", 8), "the number -2"},
      {one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])", 8), "the number 2.0"},
      {one(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8])", 8),
       "the number 18446744073709551616"},
      {one(R"("dtype":32,"shape":[2],"data_offsets":[0,8])", 8), "dtype of tensor 'x' holds the number 32"},
      {one(R"("dtype":"F32","shape":{},"data_offsets":[0,8])", 8), "shape of tensor 'x' holds an object"},
      {one(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])", 8), "shape of tensor 'x' holds an array"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,9])", 8), "3 numbers, not 2"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])", 8), "before its start"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[4,12])", 12), "a hole from 0 to 4"},
      {with_header(str_cat("{\"x\":{", kFine, "},\"y\":{", R"("dtype":"F32","shape":[2],"data_offsets":[4,12])", "}}"),
                   12),
       "inside the one before"},
      {one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])", 8), "overflows"},
      {one(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8])", 8), "overflows"},
      {one(R"("dtype":"F32","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0])", 0), "overflow",
       K::unsupported},
      {one(R"("dtype":"F4","shape":[1],"data_offsets":[0,1])", 1), "inside a byte"},
      {one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])", 8), "takes 12 bytes"},
      {with_header(R"({"x":{"dtype":"U16","shape":[],"data_offsets":[0,2]},)"
                   R"("y":{"dtype":"U8","shape":[],"data_offsets":[3,4]}})",
                   4),
       "a hole"},
      {one(kFine, 7), "has 7 bytes of data"},
      {one(kFine, 9), "1 bytes after the last tensor"},
      {one(R"("dtype":"F33","shape":[2],"data_offsets":[0,8])", 8), "unknown dtype 'F33'"},
      {one(R"("dtype":"U16","shape":[4],"data_offsets":[0,8])", 8), "'x' in", K::unsupported},
      {one(R"("dtype":"I8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1])", 1), "9 dimensions", K::unsupported},
  };
  const Scratch scratch;
  for (const Row& r : rows) {
    const Error e = error_of([&] { ask(read_safetensors(scratch.file("x", r.content))); });
    INFO(r.says);
    INFO(e.what());
    CHECK(e.kind() == r.kind);
    CHECK(mentions(e, r.says));
  }
  CHECK(mentions(error_of([&] { ask(read_safetensors(golden("int16.safetensors"))); }), "I16"));
  CHECK(mentions(error_of([&] { ask(read_safetensors(golden("float8.safetensors"))); }), "F8_E4M3"));
}

TEST_CASE("errors of the system name the path", "[weights]") {
  const Scratch scratch;
  const Error missing = error_of([&] { read_safetensors(scratch / "none"); });
  CHECK(missing.kind() == K::not_found);
  CHECK(mentions(missing, "none"));
  CHECK(error_of([&] { read_safetensors(scratch / ""); }).kind() == K::io);
  CHECK(error_of([&] { read_safetensors("/dev/null"); }).kind() == K::io);
  CHECK(error_of([&] { write_safetensors(scratch / "no/folder", {}); }).kind() == K::not_found);
  CHECK(error_of([&] {
          write_safetensors(scratch / "\xff", [] {
            StateDict d;
            d.set("\xff", zeros({1}));
            return d;
          }());
        }).kind() == K::argument);
  StateDict hollow;
  hollow.set("x", meta_tensor(make_meta(DType::f32, {2})));
  CHECK(error_of([&] { write_safetensors(scratch / "x", hollow); }).kind() == K::argument);
  CHECK(scratch.names().empty());  // a failed write leaves nothing behind
}

TEST_CASE("a disk that fills up keeps the old file", "[weights]") {
  const Scratch scratch;
  const std::string path = scratch.file("x", one(kFine, 8)), before = read_file(path);
  StateDict big;
  big.set("x", zeros({100'000}));
  struct rlimit old {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  struct rlimit low = old;
  low.rlim_cur = 10'000;
  void (*handler)(int) = ::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &low) == 0);
  const Error e = error_of([&] { write_safetensors(path, big); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  CHECK(e.kind() == K::io);
  CHECK(read_file(path) == before);
  CHECK(scratch.names().size() == 1);
}
