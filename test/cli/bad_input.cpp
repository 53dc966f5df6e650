// SPDX-License-Identifier: Apache-2.0
// test/cli/bad_input.cpp — whatever is wrong with its arguments, the tool says so in one message and exits with 1.
#include <fstream>

#include "data/decode.h"
#include "engine/ops/ops.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;

namespace {

const std::string kPhoto = FOVEA_SOURCE_DIR "/docs/images/coffee.png";
const std::string kModel = "test_efficientnet";

// What fits test_efficientnet, after a change.
template <class Change>
void write_weights(const std::string& path, Change change) {
  const std::unique_ptr<zoo::ImageModel> model = zoo::create(kModel);
  model->materialise();
  StateDict weights = model->state_dict();
  change(weights);
  write_safetensors(path, weights);
}

// One message: its first line starts with the tool's name, all others are indented, and nothing else was said.
void check_refused(const Outcome& o, const std::vector<std::string>& says) {
  INFO(o.err);
  CHECK(o.code == 1);
  CHECK(o.err.starts_with("fovea: "));
  for (size_t at = o.err.find('\n'); at + 1 < o.err.size(); at = o.err.find('\n', at + 1))
    CHECK(o.err.compare(at + 1, 2, "  ") == 0);
  for (const std::string& text : says) {
    INFO(text);
    CHECK(o.err.find(text) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("the tool: unknown commands, names and values", "[cli]") {
  struct Row {
    std::vector<std::string> args, says;
  };
  const std::vector<std::string> classify{"classify", kModel, kPhoto};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), classify.begin(), classify.end());
    return more;
  };
  for (const Row& row : std::vector<Row>{
           {{}, {"subcommand is required", "fovea --help"}},
           {{"clasify", kModel}, {"no command 'clasify'", "closest: classify"}},
           {{"xyz"}, {"no command 'xyz'", "there are: ", "features"}},
           {{"info", "test_efficientnett"}, {"no model 'test_efficientnett'", "closest: test_efficientnet"}},
           {{"info", "tf_efficientnet_lite9"}, {"closest: tf_efficientnet_lite0, tf_efficientnet_lite1"}},
           {{"info", "tf_efficientnet_lite0.in2k"}, {"no weights 'in2k' of tf_efficientnet_lite0", "closest: in1k"}},
           {{"classify", "zzz", kPhoto, "--weights", "w"}, {"no model 'zzz'", "fovea models lists all"}},
           {{"models", "--module", "efficientnets"}, {"no module 'efficientnets'", "closest: efficientnet"}},
           {{"classify", kModel}, {"no images were given", "fovea classify --help"}},
           {classify, {"timm/test_efficientnet.r160_in1k/model.safetensors is not on this machine", "--weights FILE"}},
           {{"classify", "org/name", kPhoto},
            {"'org/name' is no name of a model", "hf-hub:org/name", "local-dir:org/name"}},
           {{"classify", "ftp:name", kPhoto}, {"'ftp:name' begins with 'ftp:'", "there are hf-hub:"}},
           {{"info", "hf-hub:"}, {"'hf-hub:' names no repository"}},
           {{"info", "local-dir:/none"}, {"there is no config.json in the folder /none"}},
           {with({"--set", "colour"}), {"--set colour", "KEY=VALUE"}},
           {with({"--set", "colour=red"}), {"colour"}},
           {with({"--crop-pct", "0"}), {"'0' is no value for crop_pct"}},
           {with({"--mean", "0,0"}), {"'0,0' is no value for mean"}},
           {with({"--crop-mode", "round"}), {"'round' is no value for crop_mode"}},
           {with({"--topk", "0"}), {"--topk: Value 0 not in range 1 to"}},
           {with({"--threads", "0"}), {"--threads: Value 0 not in range 1 to 4096"}},
           {with({"--threads", "two"}), {"--threads: Value two not in range"}},
           {with({"--dtype", "f17"}), {"--dtype: f17 not in {f32,bf16}"}},
           {with({"--colour"}), {"--colour"}},
           {{"features", kModel, kPhoto}, {"--output is required"}},
           {{"features", kModel, kPhoto, "-o", "x.txt"}, {".npz or .csv"}},
           {{"features", kModel, kPhoto, "-o", "x.csv", "--out-indices", "1"}, {"do not fit a .csv file"}},
           {{"features", kModel, kPhoto, "-o", "x.npz", "--out-indices", "one"}, {"--out-indices = one"}},
           {{"features", kModel, kPhoto, "-o", "x.npz", "--out-indices", "1", "--pre-logits"}, {"excludes"}},
           {{"bench", kModel, "--train", "--dtype", "bf16"}, {"training in bf16"}},
           {{"bench", kModel, "--input", kPhoto}, {"an input of f32[1, 3, 160, 160] has 307200"}}}) {
    const Outcome o = run_tool({}, row.args);
    check_refused(o, row.says);
    CHECK(o.out.empty());
  }
  check_refused(run_tool({}, {"bench", kModel}, {"FOVEA_THREADS=many"}), {"FOVEA_THREADS is 'many'", "1 to 4096"});
}

TEST_CASE("the tool: images that cannot be read", "[cli]") {
  if (!data::can_decode()) return;
  const Scratch scratch;
  const std::string weights = scratch / "w.safetensors";
  write_weights(weights, [](StateDict&) {});
  const std::string whole = read_file(kPhoto), photo = read_file(FOVEA_SOURCE_DIR "/docs/images/rocket.jpg");
  std::string huge = whole;  // 60000 x 60000 by its header, with the header's own checksum
  huge.replace(16, 8, std::string("\0\0\xea\x60\0\0\xea\x60", 8));
  huge.replace(29, 4, std::string("\x0f\xb0\xe2\x15", 4));
  const std::string out = scratch / "out.npz";
  struct Row {
    std::string path, says;
  };
  for (const Row& row : {Row{"none.png", "cannot read image none.png: No such file or directory"},
                         Row{scratch.file("cut.png", whole.substr(0, whole.size() / 2)), "is a truncated PNG image"},
                         Row{scratch.file("cut.jpg", photo.substr(0, photo.size() / 2)), "is a truncated JPEG image"},
                         Row{scratch.file("header.jpg", photo.substr(0, 20)), "header.jpg"},
                         Row{scratch.file("huge.png", huge), "says that it is 60000x60000 pixels, more than the limit"},
                         Row{scratch.file("empty.png", ""), "it is empty"},
                         Row{scratch.file("text.png", "this is no image"), "is not an image fovea reads"},
                         Row{weights, "is not an image fovea reads"}}) {
    INFO(row.path);
    check_refused(run_tool({}, {"classify", kModel, row.path, "--weights", weights, "--json"}), {row.says});
    check_refused(run_tool({}, {"features", kModel, row.path, "--weights", weights, "-o", out}), {row.says});
    CHECK(!std::ifstream(out).is_open());
  }
  const Outcome all = run_tool({}, {"features", kModel, scratch / "", "--weights", weights, "-o", out});
  CHECK(all.code == 1);
  CHECK_THAT(all.err, contains_text("cut.png is a truncated PNG") && contains_text("huge.png says that it is") &&
                          contains_text("\nfovea: 6 of 6 images could not be read\n"));
  CHECK(!std::ifstream(out).is_open());
  const Scratch nothing;
  check_refused(run_tool({}, {"features", kModel, nothing / "", "--weights", weights, "-o", scratch / "out.npz"}),
                {"no images under", ".webp"});
}

TEST_CASE("the tool: weights that do not fit", "[cli]") {
  const Scratch scratch;
  const auto classify = [&](const std::string& path) {
    return run_tool({}, {"classify", kModel, kPhoto, "--weights", path});
  };
  const std::string path = scratch / "w.safetensors";
  write_weights(path, [](StateDict& d) {
    d.erase("conv_head.weight");
    d.set("extra.weight", zeros({2, 3}));
    d.set("bn1.bias", zeros({5}));
  });
  check_refused(classify(path),
                {"does not fit test_efficientnet", ": 1 missing, 1 unexpected, 1 of another shape",
                 "\n  missing     conv_head.weight  f32[256, 64, 1, 1]\n", "\n  unexpected  extra.weight  f32[2, 3]\n",
                 "\n  shape       bn1.bias  file [5], model [24]\n"});
  const std::string whole = read_file(path);
  check_refused(classify(scratch.file("cut.safetensors", whole.substr(0, whole.size() / 2))), {"cut.safetensors"});
  check_refused(classify(scratch.file("empty.pth", "")), {"empty"});
  check_refused(classify(kPhoto), {"is no weight file that fovea knows"});
  check_refused(classify("none.pth"), {"cannot open none.pth: No such file or directory"});
  check_refused(classify(scratch / ""), {scratch / ""});
  check_refused(run_tool({}, {"convert", path, scratch / "no/folder.safetensors"}), {"cannot write", "No such file"});
}

TEST_CASE("the tool: nothing in a hostile pickle runs, and it can be listed", "[cli]") {
  const Scratch folder;  // where anything that ran would leave its mark
  for (const char* layout : {".zip.pth", ".stream.pth"}) {
    const auto hostile = [&](const char* name) { return golden(cat("hostile_", name, layout)); };
    check_refused(run_tool(folder / "", {"convert", hostile("root"), "out.safetensors"}),
                  {"holds the result of posix.system", "fovea ran nothing"});
    check_refused(run_tool(folder / "", {"classify", kModel, kPhoto, "--weights", hostile("dict")}),
                  {"eval", "fovea ran nothing"});
    check_refused(run_tool(folder / "", {"classify", kModel, kPhoto, "--weights", hostile("value")}),
                  {"1 unexpected", "fc.weight"});

    const Outcome listed = run_tool(folder / "", {"weights", hostile("value")});
    CHECK(listed.code == 0);
    CHECK(listed.out.find("posix.system (suspicious)\n") != std::string::npos);
    CHECK(listed.out.find("\n  fc.weight  f32[2, 2]\n") != std::string::npos);
    const Outcome root = run_tool(folder / "", {"weights", hostile("root")});
    check_refused(root, {"holds the result of posix.system"});
    CHECK(root.out.find("posix.system (suspicious)\n") != std::string::npos);
    CHECK(folder.names().empty());
  }
}
