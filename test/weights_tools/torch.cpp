// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/torch.cpp — checkpoints that torch wrote, and checkpoints that lie.
#include "weights_tools/torch_checkpoint.h"

#include <algorithm>
#include <filesystem>

#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/foreign.h"
#include "weights_tools/open_weights.h"

using namespace fovea;
using namespace fovea::test;
using K = Error::Kind;

namespace {
void check_plain(const StateDict& d) {
  CHECK(d.size() == 12);
  CHECK(is_ramp(d.at("stem.conv.weight"), DType::f32, {4, 3, 2, 2}, -1));
  CHECK(is_ramp(d.at("stem.bn.num_batches_tracked"), DType::i64, {}, 7));
  CHECK(is_ramp(d.at("half"), DType::f16, {3, 2}, 1));
  CHECK(is_ramp(d.at("brain"), DType::bf16, {2, 3}, 2));
  CHECK(is_ramp(d.at("double"), DType::f64, {5}, 3));
  CHECK(is_ramp(d.at("long"), DType::i64, {4}, -2, 1));
  CHECK(is_ramp(d.at("int"), DType::i32, {4}, -2, 1));
  CHECK(is_ramp(d.at("char"), DType::i8, {3}, -1, 1));
  CHECK(is_ramp(d.at("byte"), DType::u8, {3}, 250, 1));
  CHECK(d.at("flag").dtype() == DType::boolean);
  CHECK(d.at("flag").data<bool>()[0]);
  CHECK_FALSE(d.at("flag").data<bool>()[1]);
  CHECK(is_ramp(d.at("none"), DType::f32, {0, 3}, 0));
  CHECK(is_ramp(d.at("scalar"), DType::f32, {}, 2.5));
}

// Of opening the file and asking for all values.
Error open_error(const std::string& path, const OpenOptions& o = {}) {
  return error_of([&] { ask(open_weights(path, o)); });
}
}  // namespace

TEST_CASE("torch files of every dtype, both layouts, protocols 1 to 5", "[weights]") {
  const auto access = GENERATE(FileAccess::map, FileAccess::read);
  for (const char* name : {"plain.zip.pth", "plain.stream.pth", "protocol1.zip.pth", "protocol1.stream.pth",
                           "protocol3.stream.pth", "protocol4.zip.pth", "protocol4.stream.pth"}) {
    INFO(name);
    check_plain(open_weights(golden(name), {.access = access}));
  }
}

TEST_CASE("torch views keep their strides and share their storage", "[weights]") {
  for (const char* name : {"strided.zip.pth", "strided.stream.pth"}) {
    INFO(name);
    const StateDict d = open_weights(golden(name));
    CHECK(is_ramp(d.at("base"), DType::f32, {4, 6}, 0));
    const Tensor& transposed = d.at("transposed");
    CHECK(transposed.shape() == Shape{6, 4});
    CHECK(transposed.meta().strides == Strides{1, 6});
    CHECK(view_of(transposed, {}, {}, 1 * 1 + 2 * 6).item() == Approx(6.5));
    CHECK(view_of(d.at("sliced"), {}, {}, d.at("sliced").impl()->offset + 6 + 2).item() == Approx(7));
    CHECK(d.at("sliced").meta().strides == Strides{6, 2});
    CHECK(d.at("expanded").meta().strides == Strides{0, 1});
    CHECK(d.at("channels_last").meta().is_channels_last());
    CHECK(is_ramp(d.at("channels_last"), DType::f32, {2, 3, 4, 5}, 0));
    CHECK(is_ramp(d.at("parameter"), DType::f32, {3}, 9));
    CHECK(d.at("tied").bytes() == d.at("base").bytes());
    CHECK(d.at("transposed").impl()->storage == d.at("base").impl()->storage);
  }
}

TEST_CASE("training checkpoints of timm give the averaged weights, or the others", "[weights]") {
  for (const char* name : {"training.zip.pth.tar", "training.stream.pth.tar", "protocol5.zip.pth"}) {
    INFO(name);
    const StateDict average = open_weights(golden(name)), last = open_weights(golden(name), {.ema = false});
    CHECK(average.names() == std::vector<std::string>{"fc.weight", "fc.bias"});
    CHECK(is_ramp(average.at("fc.weight"), DType::f32, {2, 3}, 100));
    CHECK(is_ramp(last.at("fc.weight"), DType::f32, {2, 3}, 0));
    CHECK(is_ramp(last.at("fc.bias"), DType::f32, {2}, 10));
    const Error strict = open_error(golden(name), {.strict = true});
    CHECK(strict.kind() == K::format);
    CHECK(mentions(strict, "strict"));
  }
  CHECK(open_weights(golden("plain.zip.pth"), {.strict = true}).size() == 12);
}

TEST_CASE("checkpoints of torch before 0.1.10, which are tar archives", "[weights]") {
  const StateDict d = open_weights(golden("old.pth.tar"));
  CHECK(d.size() == 5);
  CHECK(is_ramp(d.at("base"), DType::f32, {4, 6}, 0));
  CHECK(d.at("transposed").meta().strides == Strides{1, 6});
  CHECK(d.at("transposed").shape() == Shape{6, 4});
  CHECK(d.at("transposed").impl()->storage == d.at("base").impl()->storage);
  CHECK(is_ramp(d.at("view"), DType::f32, {2, 3}, 7.5));
  CHECK(d.at("steps").item() == 7);
  CHECK(mentions(error_of([&] { ask(d); }), "int16"));
  CHECK(open_weights(golden("old.pth.tar"), {.key = "state_dict"}).size() == 5);

  const Scratch scratch;
  const std::string whole = read_file(golden("old.pth.tar"));
  for (size_t cut = 512; cut < whole.size(); cut += 256) {  // no part of it is taken for the whole
    const std::string path = scratch.file("cut.tar", whole.substr(0, cut));
    size_t read = 5;
    try {
      read = open_weights(path).size();
    } catch (const Error& e) { CHECK(e.kind() != K::internal); }
    CHECK(read == 5);
  }
}

TEST_CASE("nothing that a pickle names is run", "[weights]") {
  const Scratch scratch;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(scratch / "");
  for (std::string layout : {"zip", "stream"}) {
    INFO(layout);
    const Error root = open_error(golden("hostile_root." + layout + ".pth"));
    CHECK(root.kind() == K::format);
    CHECK(mentions(root, "posix.system"));
    const StateDict d = open_weights(golden("hostile_value." + layout + ".pth"));
    CHECK(d.names() == std::vector<std::string>{"fc.weight"});
    CHECK(is_ramp(d.at("fc.weight"), DType::f32, {2, 2}, 0));
    CHECK(mentions(open_error(golden("hostile_value." + layout + ".pth"), {.strict = true}), "posix.system"));
    const Error model = open_error(golden("hostile_dict." + layout + ".pth"));
    CHECK(mentions(model, "eval"));

    const auto seen = inspect_pickle(golden("hostile_value." + layout + ".pth"));
    const auto has = [&](const char* line) { return std::find(seen.begin(), seen.end(), line) != seen.end(); };
    CHECK(has("posix.system (suspicious)"));
    CHECK((has("builtins.eval (suspicious)") || has("__builtin__.eval (suspicious)")));
    CHECK(has("torch._utils._rebuild_tensor_v2"));
  }
  CHECK(scratch.names().empty());
  std::filesystem::current_path(before);
}

TEST_CASE("torch files that fovea has no tensors for say why", "[weights]") {
  struct Row {
    const char *file, *says;
    K kind;
  };
  const auto row = GENERATE(values<Row>({{"int16.zip.pth", "'short'", K::unsupported},
                                         {"int16.zip.pth", "int16", K::unsupported},
                                         {"uint16.zip.pth", "uint16", K::unsupported},
                                         {"complex.zip.pth", "complex64", K::unsupported},
                                         {"sparse.zip.pth", "sparse", K::unsupported},
                                         {"meta.zip.pth", "meta device", K::unsupported},
                                         {"quantised.zip.pth", "quantised", K::unsupported},
                                         {"script.pt", "TorchScript", K::unsupported},
                                         {"big_endian.zip.pth", "big-endian", K::unsupported},
                                         {"tensor.zip.pth", "single tensor", K::format},
                                         {"no_tensors.zip.pth", "no tensors", K::format},
                                         {"bare.pkl", "torch.save", K::format}}));
  INFO(row.file);
  const Error e = open_error(golden(row.file));
  INFO(e.what());
  CHECK(e.kind() == row.kind);
  CHECK(mentions(e, row.says));
}

TEST_CASE("a tensor that fovea does not have is listed, and hides no other", "[weights]") {
  struct Row {
    const char *file, *name, *kind;
    Shape shape;
  };
  const auto row = GENERATE(values<Row>({{"int16.zip.pth", "short", "int16", {2}},
                                         {"uint16.zip.pth", "unsigned", "uint16", {2}},
                                         {"complex.zip.pth", "wave", "complex64", {2}},
                                         {"sparse.zip.pth", "thin", "sparse", {}},
                                         {"quantised.zip.pth", "q", "quantised", {3}},
                                         {"int16.safetensors", "short", "I16", {2}},
                                         {"float8.safetensors", "tiny", "F8_E4M3", {2}},
                                         {"int16.npz", "short", "<i2", {2}},
                                         {"object.npz", "things", "|O", {2}},
                                         {"records.npy", "arr_0", "records", {2}}}));
  INFO(row.file);
  const StateDict d = open_weights(golden(row.file));
  const std::string* kind = foreign_kind(d.at(row.name));
  REQUIRE(kind);
  CHECK(*kind == row.kind);
  CHECK(d.at(row.name).shape() == row.shape);
  CHECK(d.size() == (d.contains("fine") ? 2 : 1));
  if (const Tensor* fine = d.find("fine")) CHECK(dense(*fine).numel() == fine->numel());
}

TEST_CASE("training checkpoints with all that Python puts beside the weights", "[weights]") {
  for (const char* name :
       {"beside1.zip.pth", "beside2.zip.pth", "beside4.zip.pth", "beside2.stream.pth", "unchecked.zip.pth"}) {
    INFO(name);
    const StateDict d = open_weights(golden(name));
    CHECK(d.names() == std::vector<std::string>{"fc.weight"});
    CHECK(is_ramp(d.at("fc.weight"), DType::f32, {2, 3}, 0));
  }
  const Scratch scratch;  // without checksums, damage of the numbers is not seen; that of the pickle still is
  std::string cut = read_file(golden("unchecked.zip.pth"));
  CHECK(open_error(scratch.file("cut.pth", cut.substr(0, cut.size() - 30))).kind() == K::format);
}

TEST_CASE("sizes, strides and offsets beyond their storage are refused before a tensor exists", "[weights]") {
  const Scratch scratch;
  const std::string four = std::string(16, '\0');
  const auto load = [&](int64_t offset, const std::vector<int64_t>& size, const std::vector<int64_t>& stride,
                        int64_t numel = 4) {
    return open_weights(scratch.file(
        "t.pth",
        make_checkpoint(tensor_pickle(storage("FloatStorage", "0", numel), offset, size, stride), {{"0", four}})));
  };
  CHECK(load(0, {2, 2}, {2, 1}).at("t").numel() == 4);
  CHECK(load(3, {1}, {1}).at("t").numel() == 1);
  CHECK(load(0, {1000}, {0}).at("t").numel() == 1000);
  CHECK(load(4, {0}, {1}).at("t").numel() == 0);
  constexpr int64_t huge = INT64_MAX;
  struct Lie {
    int64_t offset;
    std::vector<int64_t> size, stride;
    int64_t numel = 4;
  };
  const std::vector<Lie> lies = {{0, {5}, {1}},
                                 {1, {4}, {1}},
                                 {0, {2, 2}, {3, 1}},
                                 {-1, {2}, {1}},
                                 {0, {-1}, {1}},
                                 {0, {2}, {-1}},
                                 {5, {0}, {1}},
                                 {huge, {1}, {1}},
                                 {0, {huge}, {1}},
                                 {0, {huge, huge}, {0, 0}},
                                 {0, {2}, {huge}},
                                 {huge, {2}, {huge}},
                                 {0, {3, huge}, {huge, 3}},
                                 {0, {2}, {1, 1}},
                                 {0, std::vector<int64_t>(9, 1), std::vector<int64_t>(9, 1)},
                                 {0, {2}, {1}, 3},
                                 {0, {2}, {1}, 5},
                                 {0, {2}, {1}, huge},
                                 {0, {2}, {1}, -4},
                                 {0, {0, huge, huge}, {1, 1, 1}}};
  for (const Lie& l : lies) {
    const Error e = error_of([&] { load(l.offset, l.size, l.stride, l.numel); });
    INFO(e.what());
    CHECK(e.kind() == K::format);
  }
  const Error missing = open_error(scratch.file(
      "m.pth", make_checkpoint(tensor_pickle(storage("FloatStorage", "1", 4), 0, {4}, {1}), {{"0", four}})));
  CHECK(mentions(missing, "storage '1'"));
  const Error type = open_error(scratch.file(
      "u.pth", make_checkpoint(tensor_pickle(storage("NoSuchStorage", "0", 4), 0, {4}, {1}), {{"0", four}})));
  CHECK(mentions(type, "NoSuchStorage"));
}

TEST_CASE("streams with other storages than their pickle says are refused", "[weights]") {
  const Scratch scratch;
  const std::string good = read_file(golden("plain.stream.pth"));
  CHECK(open_error(scratch.file("a.pth", good + "x")).kind() == K::format);
  CHECK(open_error(scratch.file("b.pth", good.substr(0, good.size() - 1))).kind() == K::format);
  const std::string numel = le(48, 8);  // stem.conv.weight's count before its bytes
  std::string lie = good;
  const size_t at = lie.rfind(numel);
  REQUIRE(at != std::string::npos);
  lie[at] = 47;
  CHECK(mentions(open_error(scratch.file("c.pth", lie)), "47"));
}
