// SPDX-License-Identifier: Apache-2.0
// test/cli/outputs.cpp — weight files as people have them, from the command line: what is listed, what is written, and
// where to.
#include <filesystem>
#include <thread>

#include <sys/stat.h>

#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"

using namespace fovea;
using namespace fovea::test;
namespace fs = std::filesystem;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

void succeeds(const Outcome& o) {
  INFO(o.err);
  CHECK(o.code == 0);
}

// A checkpoint of one tensor "t" of these sizes and strides on a storage of four numbers.
std::string strided(const Scratch& scratch, const std::vector<int64_t>& size, const std::vector<int64_t>& stride) {
  return scratch.file("t.pth", make_checkpoint(tensor_pickle(storage("FloatStorage", "0", 4), 0, size, stride),
                                               {{"0", std::string(16, '\0')}}));
}

}  // namespace

TEST_CASE("the tool: convert writes into pipes, through links, and keeps modes", "[cli]") {
  const Scratch scratch;
  const std::string in = golden("plain.zip.pth"), whole = scratch / "whole";
  succeeds(run_tool({}, {"convert", in, whole}));

  const std::string pipe = scratch / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::string got;
  std::thread reader([&] { got = read_file(pipe); });
  succeeds(run_tool({}, {"convert", in, pipe}));
  reader.join();
  CHECK(got == read_file(whole));
  CHECK(fs::is_fifo(pipe));

  fs::create_symlink("real", scratch / "link");
  write_file(scratch / "real", "old");
  REQUIRE(::chmod((scratch / "real").c_str(), 0640) == 0);
  succeeds(run_tool({}, {"convert", in, scratch / "link"}));
  CHECK(fs::is_symlink(scratch / "link"));
  CHECK(read_file(scratch / "real") == read_file(whole));
  CHECK(static_cast<unsigned>(fs::status(scratch / "real").permissions()) == 0640);

  const Outcome piped = run_tool({}, {"convert", in, "/dev/stdout"});
  succeeds(piped);
  CHECK(piped.out == read_file(whole));
  CHECK(has(piped.err, "12 tensors"));
  CHECK(scratch.names().size() == 4);
}

TEST_CASE("the tool: convert does not blow up tensors that repeat their elements", "[cli]") {
  const Scratch scratch;
  const std::string out = scratch / "o";
  const auto refused = [&](const std::string& in) {
    const Outcome o = run_tool({}, {"convert", in, out});
    INFO(o.err);
    CHECK(o.code == 1);
    CHECK(has(o.err, "--max-size"));
    CHECK_FALSE(fs::exists(out));
  };
  refused(strided(scratch, {1 << 21, 1 << 21}, {0, 0}));
  refused(strided(scratch, {1 << 30, 2}, {0, 1}));
  const std::string small = strided(scratch, {1000, 4}, {0, 1});
  succeeds(run_tool({}, {"convert", small, out}));
  CHECK(read_safetensors(out).at("t").shape() == Shape{1000, 4});
  CHECK(run_tool({}, {"convert", small, out, "--max-size", "15999"}).code == 1);
  succeeds(run_tool({}, {"convert", small, out, "--max-size", "16kB"}));
}

TEST_CASE("the tool: tensors of dtypes that fovea lacks are listed, and left out with a word", "[cli]") {
  const Scratch scratch;
  const std::string out = scratch / "o";
  for (const char* file : {"int16.zip.pth", "object.npz"}) {
    INFO(file);
    const Outcome listed = run_tool({}, {"weights", golden(file)});
    succeeds(listed);
    CHECK(has(listed.out, "2 tensors"));
    CHECK(has(listed.out, "fovea cannot read its values"));
    const Outcome written = run_tool({}, {"convert", golden(file), out});
    succeeds(written);
    CHECK(has(written.err, "is left out"));
    CHECK(read_safetensors(out).names() == std::vector<std::string>{"fine"});
  }
  const Outcome nothing = run_tool({}, {"convert", golden("float8.safetensors"), scratch / "none"});
  CHECK(nothing.code == 1);
  CHECK(has(nothing.err, "tiny (F8_E4M3) is left out"));
  CHECK_FALSE(fs::exists(scratch / "none"));
}

TEST_CASE("the tool: names in a file cannot hide its warnings", "[cli]") {
  const Scratch scratch;
  StateDict d;
  d.set("a\x1b[1A\x1b[2K\rharmless", zeros({2}));
  write_safetensors(scratch / "a.safetensors", d);
  const Outcome listed = run_tool({}, {"weights", scratch / "a.safetensors"});
  succeeds(listed);
  CHECK(has(listed.out, "a\\x1b[1A\\x1b[2K\\x0dharmless"));
  CHECK_FALSE(has(listed.out, "\x1b"));

  const std::string hidden = "\x80\x04" + unicode("collections") + unicode("abc.sys.modules") + "\x93.";
  const Outcome dotted = run_tool({}, {"weights", scratch.file("dotted.pth", make_checkpoint(hidden))});
  CHECK(has(dotted.out, "collections:abc.sys.modules (suspicious)"));
  const std::string cleared = "\x80\x02" + global("os\x1b[2K", "system\x1b[8m") + ")R.";
  const Outcome escaped = run_tool({}, {"weights", scratch.file("cleared.pth", make_checkpoint(cleared))});
  CHECK(has(escaped.out, "os\\x1b[2K.system\\x1b[8m"));
  CHECK_FALSE(has(escaped.out, "\x1b"));
  CHECK_FALSE(has(escaped.err, "\x1b"));
}
