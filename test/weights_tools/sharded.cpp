// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/sharded.cpp — weights in several files, and folders of weights.
#include "weights_tools/sharded.h"

#include <filesystem>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/safe_name.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/weights_folder.h"

using namespace fovea;
using namespace fovea::test;
using K = Error::Kind;
namespace fs = std::filesystem;

namespace {

void put(const std::string& path, const std::vector<std::pair<std::string, float>>& tensors) {
  StateDict d;
  for (const auto& [name, value] : tensors) d.set(name, full({2, 3}, value));
  write_safetensors(path, d);
}

constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";

std::string index_of(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string map;
  for (const auto& [name, file] : rows) map += cat(map.empty() ? "" : ", ", "\"", name, "\": \"", file, "\"");
  return cat(R"({"metadata": {"total_size": 72}, "weight_map": {)", map, "}}");
}

struct Sharded {
  Scratch scratch;
  std::string index = scratch / "model.safetensors.index.json";
  Sharded() {
    put(scratch / kFirst, {{"a", 1}, {"b", 2}});
    put(scratch / kSecond, {{"c", 3}});
    write(index_of({{"a", kFirst}, {"b", kFirst}, {"c", kSecond}}));
  }
  void write(const std::string& text) const { write_file(index, text); }
  Error error() const {
    return error_of([&] { open_weights(index); });
  }
};

}  // namespace

TEST_CASE("sharded weights are read as one file", "[weights]") {
  const Sharded s;
  for (const FileAccess access : {FileAccess::map, FileAccess::read}) {
    const StateDict d = open_weights(s.index, {.access = access});
    CHECK(d.names() == std::vector<std::string>{"a", "b", "c"});
    CHECK(is_ramp(d.at("c"), DType::f32, {2, 3}, 3, 0));
  }
  CHECK(open_weights(s.scratch / "").size() == 3);  // the folder leads to the index
  CHECK(shards_of(*MappedFile::open(s.index)) == std::vector<std::string>{kFirst, kSecond});
}

TEST_CASE("an index that lies is refused", "[weights]") {
  const Sharded s;
  s.write(index_of({{"a", kFirst}, {"b", kFirst}, {"c", kSecond}, {"d", kSecond}}));
  CHECK(mentions(s.error(), "lacks the tensor 'd'"));
  s.write(index_of({{"a", kFirst}, {"c", kSecond}}));
  CHECK(mentions(s.error(), "it does not list"));
  s.write(index_of({{"a", kFirst}, {"b", kSecond}, {"c", kSecond}}));
  CHECK(mentions(s.error(), "should be in"));
  put(s.scratch / kSecond, {{"b", 2}, {"c", 3}});
  s.write(index_of({{"a", kFirst}, {"b", kFirst}, {"c", kSecond}}));
  CHECK(mentions(s.error(), "another file holds, too"));
  s.write(index_of({{"a", kFirst}, {"a", kFirst}}));
  CHECK(mentions(s.error(), "occurs twice"));
  for (const char* text : {"{\"weight_map\": {}}", "{\"weight_map\": []}", "{\"weight_map\": {\"a\": 1}}",
                           "{\"weight_map\"", "{\"weight_map\": {\"a\": \"x\", \"b\": [[[[[[[[[[1]]]]]]]]]]}}"}) {
    INFO(text);
    s.write(text);
    CHECK(s.error().kind() == K::format);
  }
}

TEST_CASE("the files of an index stay in its folder", "[weights]") {
  const Sharded s;
  const Scratch other;
  put(other / "x.safetensors", {{"a", 1}});
  for (const std::string& name : std::vector<std::string>{"../x.safetensors", other / "x.safetensors", "a/../../x",
                                                          "..\\\\x", "C:x", "con", ""}) {
    INFO(name);
    s.write(index_of({{"a", name}}));
    const Error e = s.error();
    CHECK(e.kind() == K::format);
    CHECK(mentions(e, "is called"));
  }
  fs::create_symlink(other / "x.safetensors", s.scratch / "link.safetensors");
  s.write(index_of({{"a", "link.safetensors"}}));
  CHECK(mentions(s.error(), "outside of the folder"));
  fs::create_directory_symlink(other / "", s.scratch / "sub");
  s.write(index_of({{"a", "sub/x.safetensors"}}));
  CHECK(mentions(s.error(), "outside of the folder"));
  fs::create_symlink(kSecond, s.scratch / "inside.safetensors");
  s.write(index_of({{"c", "inside.safetensors"}}));
  CHECK(open_weights(s.index).size() == 1);

  // the hub's cache: snapshots/<commit>/file -> ../../blobs/<hash>
  const std::string snapshot = s.scratch / "snapshots/abc";
  fs::create_directories(snapshot);
  fs::create_directories(s.scratch / "blobs");
  put(s.scratch / "blobs/1", {{"a", 1}});
  fs::create_symlink("../../blobs/1", snapshot + "/m.safetensors");
  write_file(snapshot + "/m.safetensors.index.json", index_of({{"a", "m.safetensors"}}));
  CHECK(open_weights(snapshot + "/m.safetensors.index.json").size() == 1);
}

TEST_CASE("a folder stands for the weights in it", "[weights]") {
  const Scratch scratch;
  const auto chosen = [&](std::vector<std::string>* others = nullptr) {
    return fs::path(weights_file(scratch / "", others)).filename().string();
  };
  CHECK(mentions(error_of([&] { chosen(); }), "no weights in the folder"));
  scratch.file("notes.txt", "");
  std::vector<std::string> others;
  // each comes before all that were there
  for (const char* name : {"b.npz", "a.npz", "z.bin", "b.pth.tar", "c.pth", "d.safetensors", "a.safetensors",
                           "model.safetensors.index.json", "open_clip_pytorch_model.bin", "open_clip_model.safetensors",
                           "model.pth", "pytorch_model.pth", "pytorch_model.bin", "model.safetensors"}) {
    scratch.file(name, "");
    CHECK(chosen(&others) == name);
  }
  CHECK(weights_file(scratch / "c.pth") == scratch / "c.pth");
  CHECK(weights_file("/no/such/file") == "/no/such/file");
  const Scratch two;
  two.file("b.pth", "");
  two.file("a.pth", "");
  CHECK(weights_file(two / "", &others) == two / "" + "a.pth");
  CHECK(others == std::vector<std::string>{"b.pth"});
}

TEST_CASE("names that may be joined to a folder", "[weights]") {
  for (const char* good : {"a", "model.safetensors", "a/b/c.bin", ".gitattributes", "a b", "ä/ö", "onnx/model_q4.onnx",
                           "com", "con1", "nulx.y", "a..b"}) {
    INFO(good);
    CHECK(is_safe_name(good));
  }
  for (const std::string& bad :
       {std::string("a\0b", 3), std::string(2000, 'a'), std::string("com1.x"), std::string("a/../b")}) {
    INFO(bad);
    CHECK_FALSE(is_safe_name(bad));
  }
}
