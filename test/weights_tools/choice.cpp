// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/choice.cpp — which tensors of a file are the weights: wrappers' prefixes, keys, prefixes by name.
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/rename.h"
#include "weights_tools/safetensors.h"

using namespace fovea;
using namespace fovea::test;
using K = Error::Kind;

namespace {

// A value of a pickle: one float, from the storage "0".
std::string tensor_value() {
  const std::string hooks = global("collections", "OrderedDict") + ")R";
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({storage("FloatStorage", "0", 1), integer(0), tuple({integer(1)}), tuple({integer(1)}), "\x89", hooks}) +
         "R";
}
using Items = std::vector<std::pair<std::string, std::string>>;
std::string dict(const Items& items) {
  std::string s = "}";
  for (const auto& [key, value] : items) s += unicode(key) + value + "s";
  return s;
}
// A checkpoint whose dict has these items.
std::string checkpoint(const Scratch& scratch, const Items& items) {
  return scratch.file("c.pth", make_checkpoint("\x80\x02" + dict(items) + ".", {{"0", le(0x3f800000, 4)}}));
}

std::vector<std::string> names_of(const std::string& path, const OpenOptions& o = {}) {
  return open_weights(path, o).names();
}
Error open_error(const std::string& path, const OpenOptions& o = {}) {
  return error_of([&] { open_weights(path, o); });
}

}  // namespace

TEST_CASE("what wrappers put in front of names comes off, in every format", "[weights]") {
  const Scratch scratch;
  for (const char* wrapper : {"module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "module.module.",
                              "module._orig_mod.module.", "_orig_mod._orig_mod."}) {
    CAPTURE(wrapper);
    const std::string weight = str_cat(wrapper, "fc.weight"), bias = str_cat(wrapper, "fc.bias");
    StateDict d;
    d.metadata = {{"format", "pt"}};
    d.set(weight, ones({1}));
    d.set(bias, zeros({1}));
    write_safetensors(scratch / "w.safetensors", d);
    write_npz(scratch / "w.npz", d);
    const std::vector<std::string> want{"fc.weight", "fc.bias"};
    CHECK(names_of(checkpoint(scratch, {{weight, tensor_value()}, {bias, tensor_value()}})) == want);
    CHECK(names_of(scratch / "w.npz") == want);
    const StateDict safe = open_weights(scratch / "w.safetensors");
    CHECK(safe.names().size() == 2);
    CHECK(safe.at("fc.weight").item() == 1);
    CHECK(safe.metadata == d.metadata);
  }
}

TEST_CASE("only wrappers come off, and not where two names would become one", "[weights]") {
  StateDict d;
  for (const char* name : {"module.", "modules.fc", "encoder.module.fc", "_orig_mod"}) d.set(name, zeros({1}));
  CHECK(unwrapped(d).names() == d.names());
  d.set("module.encoder.module.fc", zeros({1}));
  const Error twice = error_of([&] { unwrapped(d); });
  CHECK(twice.kind() == K::weights);
  CHECK(mentions(twice, "'encoder.module.fc' and 'module.encoder.module.fc'"));
}

TEST_CASE("a checkpoint without tensors of its own says where there are some", "[weights]") {
  const Scratch scratch;
  const std::string two = dict({{"fc.weight", tensor_value()}, {"fc.bias", tensor_value()}}),
                    one = dict({{"x", tensor_value()}});
  const std::string path = checkpoint(scratch, {{"student", one}, {"teacher", two}, {"epoch", integer(3)}});
  const Error e = open_error(path);
  CHECK(e.kind() == K::format);
  CHECK(mentions(e, "there are 2 under 'teacher', 1 under 'student'"));
  CHECK(mentions(e, "--key teacher"));
  CHECK(names_of(path, {.key = "teacher"}) == std::vector<std::string>{"fc.weight", "fc.bias"});
  CHECK(names_of(path, {.key = "student"}) == std::vector<std::string>{"x"});
  const Error none = open_error(path, {.key = "techer"});
  CHECK(none.kind() == K::not_found);
  CHECK(mentions(none, "'teacher'"));
  CHECK(mentions(open_error(path, {.key = "epoch"}), "'epoch'"));

  const std::string deep = checkpoint(scratch, {{"model", dict({{"state_dict", two}, {"a/b", one}})}});
  CHECK(mentions(open_error(deep), "2 under 'state_dict' in 'model'"));
  CHECK(mentions(open_error(deep), "--key model/state_dict"));
  CHECK(names_of(deep, {.key = "model/state_dict"}).size() == 2);
  CHECK(names_of(deep, {.key = "model/a/b"}) == std::vector<std::string>{"x"});
  // nothing anywhere: nothing is recommended
  CHECK_FALSE(mentions(open_error(checkpoint(scratch, {{"epoch", integer(3)}})), "--key"));
}

TEST_CASE("dicts that hold each other are searched once", "[weights]") {
  const Scratch scratch;
  // a = {}; a["again"] = a; {"a": a}
  const std::string knot = "\x80\x02}" + unicode("a") + "}q\x01" + unicode("again") + "h\x01s" + "s.";
  const Error e = open_error(scratch.file("knot.pth", make_checkpoint(knot)));
  CHECK(e.kind() == K::format);
  CHECK(mentions(e, "no tensors by name"));
  std::string bush = dict({{"t", tensor_value()}});
  for (int depth = 0; depth < 12; ++depth) bush = dict({{"l", bush}});
  CHECK(mentions(open_error(checkpoint(scratch, {{"root", bush}})), "no tensors by name"));
}

TEST_CASE("names are chosen by their prefix", "[weights]") {
  const Scratch scratch;
  StateDict d;
  for (const char* name : {"backbone.module.fc.weight", "backbone.fc.bias", "decoder.fc.weight", "backbones"})
    d.set(name, zeros({1}));
  write_safetensors(scratch / "w.safetensors", d);
  for (const char* prefix : {"backbone", "backbone."})
    CHECK(open_weights(scratch / "w.safetensors", {.prefix = prefix}).size() == 2);
  CHECK(open_weights(scratch / "w.safetensors", {.prefix = "backbone"}).contains("fc.weight"));
  const Error e = open_error(scratch / "w.safetensors", {.prefix = "back"});
  CHECK(e.kind() == K::not_found);
  CHECK(mentions(e, "begins with 'back.'"));
  CHECK(mentions(e, "decoder"));
  CHECK(open_error(scratch / "w.safetensors", {.key = "teacher"}).kind() == K::argument);
}
