// SPDX-License-Identifier: Apache-2.0
// test/cli/heads.cpp — weights of other classes, channels or names than the model's, and what classes are called.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/decode.h"
#include "data/labels.h"
#include "engine/ops/ops.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/safetensors.h"
#include "zoo/registry.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

const std::string kImage = FOVEA_SOURCE_DIR "/docs/images/rocket.jpg";
const std::string kModel = "test_efficientnet";

// A folder with a file of weights, and a plan cache of its own.
struct Folder {
  Scratch folder;
  std::string weights = folder / "w.safetensors";
  std::string cache = "FOVEA_CACHE=" + (folder / "plans");

  void write(const zoo::ModelOptions& o, const std::string& name = "w.safetensors") const {
    const auto m = zoo::create(kModel, o);
    fill_weights(*m);
    write_safetensors(folder / name, m->state_dict());
  }
  Outcome tool(std::vector<std::string> args) const { return run_tool({}, args, {cache}); }
  Outcome classify(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"classify", kModel, kImage, "--weights", weights, "--json"});
    return tool(more);
  }
};

std::vector<std::string> labels_of(const Outcome& o) {
  INFO(o.err);
  REQUIRE(o.code == 0);
  std::vector<std::string> out;
  const json report = json::parse(o.out);
  for (const json& guess : report.at(0).at("top")) {
    out.push_back(guess.at("label"));
    out.push_back(std::to_string(guess.at("index").get<int>()));
  }
  return out;
}

// Every label is what `name` makes of its index.
template <class F>
void check_labels(const Outcome& o, F name) {
  const std::vector<std::string> pairs = labels_of(o);
  REQUIRE(!pairs.empty());
  for (size_t i = 0; i < pairs.size(); i += 2) CHECK(pairs[i] == name(std::stoi(pairs[i + 1])));
}

std::string plain(int i) { return str_cat("class ", i); }
std::string of_imagenet(int i) { return std::string(data::label(i)); }

}  // namespace

TEST_CASE("the tool: weights of ten classes give ten classes, from the plan cache too", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  site.write({.num_classes = 10});
  for (const char* how : {"--no-cache", "--eager", "--topk=10", "--topk=10"}) {
    const Outcome o = site.classify({how});
    check_labels(o, plain);
    CHECK_THAT(o.err, contains_text("w.safetensors: the classifier has 10 classes"));
    CHECK(o.err.find("ImageNet") == std::string::npos);
  }
  CHECK(labels_of(site.classify({"--topk=100"})).size() == 2 * 10);

  const Outcome features =
      site.tool({"features", kModel, kImage, "--weights", site.weights, "-o", site.folder / "f.npz"});
  CHECK(features.code == 0);
  const Outcome converted = site.tool({"convert", site.weights, site.folder / "o.safetensors", "--model", kModel});
  CHECK(converted.code == 0);
  CHECK_THAT(converted.err, contains_text("10 classes"));
  CHECK(read_file(site.folder / "o.safetensors") == read_file(site.weights));
  std::filesystem::create_directory(site.folder / "photos");
  std::filesystem::copy(kImage, site.folder / "photos/a.jpg");
  const Outcome quantized =
      site.tool({"quantize", kModel, "--weights", site.weights, "--images", site.folder / "photos", "--crops", "2",
                 "--compare", "1", "-o", site.folder / "r.json"});
  CHECK(quantized.code == 0);
  CHECK_THAT(quantized.err, contains_text("10 classes"));
  check_labels(site.classify({"--calibration", site.folder / "r.json"}), plain);
}

TEST_CASE("the tool: weights without a classifier give features only", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  site.write({.num_classes = 0});
  const Outcome o = site.classify();
  CHECK(o.code == 1);
  CHECK(o.out.empty());
  CHECK_THAT(o.err, contains_text("has no classifier") && contains_text("fovea features"));
  for (const char* how : {"--pre-logits", "--out-indices=0"}) {
    const Outcome features =
        site.tool({"features", kModel, kImage, "--weights", site.weights, "-o", site.folder / "f.npz", how});
    INFO(features.err);
    CHECK(features.code == 0);
    CHECK_THAT(features.err, contains_text("no classifier"));
  }
  const Outcome converted = site.tool({"convert", site.weights, site.folder / "o.safetensors", "--model", kModel});
  CHECK(converted.code == 0);
  CHECK(read_file(site.folder / "o.safetensors") == read_file(site.weights));
}

TEST_CASE("the tool: a first convolution of other channels is adapted and told, each time", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  site.write({.in_chans = 1});
  for (int start = 0; start < 2; ++start) {
    const Outcome o = site.classify();
    CHECK(o.code == 0);
    CHECK_THAT(o.err, contains_text("conv_stem.weight adapted from 1 to 3 input channels"));
  }
}

TEST_CASE("the tool: ImageNet's names are assumed aloud, or known", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  site.write({});
  Outcome o = site.classify();
  check_labels(o, of_imagenet);
  CHECK_THAT(o.err, contains_text("assumed to be ImageNet-1k's") && contains_text("--labels"));
  CHECK(std::count(o.err.begin(), o.err.end(), '\n') == 1);
  o = site.classify({"--labels", "none"});
  check_labels(o, plain);
  CHECK(o.err.empty());
  // a tag says what the weights are, and so does the description that the hub keeps beside them
  o = site.tool({"classify", kModel + ".r160_in1k", kImage, "--weights", site.weights, "--json"});
  check_labels(o, of_imagenet);
  CHECK(o.err.empty());
  site.folder.file("config.json", R"({"architecture": "test_efficientnet", "pretrained_cfg": {"tag": "r160_in1k"}})");
  o = site.classify();
  check_labels(o, of_imagenet);
  CHECK(o.err.empty());
  site.folder.file("config.json", R"({"architecture": "resnet50", "pretrained_cfg": {"tag": "a1_in1k"}})");
  CHECK_THAT(site.classify().err, contains_text("assumed"));
  site.folder.file("config.json", "{ broken");
  CHECK_THAT(site.classify().err, contains_text("assumed"));
}

TEST_CASE("the tool: labels from files", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  site.write({.num_classes = 3});
  const std::vector<std::string> names{"cat", "dog, hound", "\xc3\xa4nt"};
  const auto name = [&](int i) { return names.at(static_cast<size_t>(i)); };
  for (const char* content :
       {"cat\ndog, hound\n\xc3\xa4nt\n", "cat\r\ndog, hound\r\n\xc3\xa4nt", R"(["cat", "dog, hound", "\u00e4nt"])",
        R"({"2": "\u00e4nt", "0": "cat", "1": "dog, hound"})",
        R"({"id2label": {"0": "cat", "1": "dog, hound", "2": "\u00e4nt"}})",
        R"({"label_names": ["c", "dog, hound", "\u00e4nt"], "label_descriptions": {"c": "cat"}})"}) {
    CAPTURE(content);
    check_labels(site.classify({"--labels", site.folder.file("labels", content)}), name);
  }
  site.folder.file("config.json",
                   R"({"architecture": "test_efficientnet", "label_names": ["cat", "dog, hound", "\u00e4nt"]})");
  check_labels(site.classify(), name);
  check_labels(site.classify({"--labels", "none"}), plain);
  site.folder.file("config.json", R"({"architecture": "test_efficientnet", "label_names": ["cat"]})");
  check_labels(site.classify(), plain);

  for (const auto& [content, says] : std::vector<std::pair<const char*, const char*>>{
           {"cat\ndog\n", "has 2 labels, but the model tells 3 classes apart"},
           {"", "has no labels"},
           {"{\"0\": 1}", "no list of labels"},
           {"{\"7\": \"cat\"}", "no list of labels"},
           {"[1, 2, 3]", "no list of labels"}}) {
    const Outcome o = site.classify({"--labels", site.folder.file("labels", content)});
    CHECK(o.code == 1);
    CHECK_THAT(o.err, contains_text(says));
  }
  CHECK_THAT(site.classify({"--labels", site.folder / "absent"}).err, contains_text("cannot read"));
}

TEST_CASE("the tool: what the messages about foreign weights advise can be done", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  const auto m = zoo::create(kModel);
  fill_weights(*m);
  write_safetensors(site.folder / "plain.safetensors", m->state_dict());
  StateDict named;
  for (const auto& [name, t] : m->state_dict()) named.set("backbone." + name, t);
  named.set("decoder.weight", ones({3}));
  write_safetensors(site.weights, named);
  Outcome o = site.classify();
  CHECK(o.code == 1);
  CHECK_THAT(o.err, contains_text("fit without 'backbone.'") && contains_text("--prefix backbone.") &&
                        contains_text("1 unexpected"));
  const std::string out = site.folder / "o.safetensors";
  o = site.tool({"convert", site.weights, out, "--prefix", "backbone.", "--model", kModel});
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(read_file(out) == read_file(site.folder / "plain.safetensors"));
  o = site.tool({"convert", site.weights, out, "--key", "teacher"});
  CHECK(o.code == 1);
  CHECK_THAT(o.err, contains_text("no torch checkpoint"));
}

TEST_CASE("the tool: advice about images names flags that there are", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  site.write({.num_classes = 3});
  const std::string jpeg = read_file(kImage);
  const std::string cut = site.folder.file("cut.jpg", jpeg.substr(0, jpeg.size() / 2));
  const auto classify = [&](const std::string& image, std::vector<std::string> more) {
    more.insert(more.begin(), {"classify", kModel, image, "--weights", site.weights});
    return site.tool(more);
  };
  Outcome o = classify(cut, {});
  CHECK(o.code == 1);
  CHECK_THAT(o.err, contains_text("allow_truncated"));
  CHECK(classify(cut, {"--allow-truncated"}).code == 0);
  o = classify(kImage, {"--max-pixels", "1000"});
  CHECK(o.code == 1);
  CHECK_THAT(o.err, contains_text("max_pixels") && contains_text("limit of 1000"));
  for (const char* command : {"classify", "features", "quantize"}) {
    const std::string help = site.tool({command, "--help"}).out;
    CHECK_THAT(help, contains_text("--allow-truncated") && contains_text("--max-pixels"));
  }
}

TEST_CASE("the tool: feature levels come in their order, each once", "[cli]") {
  if (!data::can_decode()) return;
  const Folder site;
  site.write({});
  const auto names = [&](const char* levels) {
    const Outcome o = site.tool(
        {"features", kModel, kImage, "--weights", site.weights, "-o", site.folder / "f.npz", "--out-indices", levels});
    INFO(o.err);
    REQUIRE(o.code == 0);
    std::vector<std::string> out;
    for (const NpzEntry& e : read_npz_entries(Zip::open(MappedFile::open(site.folder / "f.npz")))) {
      out.push_back(e.name);
      if (e.tensor) out.push_back(std::to_string(e.tensor.dim(1)));
    }
    return out;
  };
  const auto info = zoo::create(kModel)->feature_info();
  const auto channels = [&](size_t level) { return std::to_string(info.at(level).channels); };
  const std::vector<std::string> want{"features_1", channels(1), "features_3", channels(3), "paths"};
  CHECK(names("3,1") == want);
  CHECK(names("1,3,1,3") == want);
  CHECK(names("3,-4,1") == std::vector<std::string>{"features_-4", channels(1), "features_3", channels(3), "paths"});
}

TEST_CASE("the tool: a wildcard that stands for nothing says why", "[cli]") {
  const auto note = [](std::vector<std::string> args) {
    args.insert(args.begin(), "models");
    const Outcome o = run_tool({}, args);
    CHECK(o.code == 0);
    CHECK(o.out.empty());
    return o.err;
  };
  CHECK_THAT(note({"nothing_is_called_so"}), contains_text("no model 'nothing_is_called_so'"));
  CHECK_THAT(note({"test_efficientnett"}), contains_text("closest: test_efficientnet"));
  CHECK_THAT(note({"test_efficientnet", "--exclude", "test_*"}),
             contains_text("leave out all models 'test_efficientnet'"));
  CHECK_THAT(note({"tf_efficientnet_b0_ns"}), contains_text("is now called tf_efficientnet_b0.ns_jft_in1k"));
  // one pattern of two
  const Outcome two = run_tool({}, {"models", "test_efficientnet", "absent_*"});
  CHECK(two.out == "test_efficientnet\n");
  CHECK_THAT(two.err, contains_text("absent_*") && !contains_text("test_efficientnet"));
  // what timm has and this build lacks, whatever that is today
  const std::vector<std::string> missing = zoo::list_missing();
  if (missing.empty()) return;
  const std::string_view family = zoo::tags_of(missing[0])[0].module;
  CHECK_THAT(note({missing[0]}),
             contains_text(str_cat("timm has 1 model '", missing[0], "', but this build lacks family ", family)) &&
                 contains_text("--all"));
  CHECK_THAT(note({"--module", std::string(family)}), contains_text("this build lacks"));
  const Outcome bench = run_tool({}, {"bench", missing[0] + "*"});
  CHECK(bench.code == 1);
  CHECK_THAT(bench.err, contains_text("this build lacks"));
}

TEST_CASE("the page of what is there counts as the tool does", "[cli][meta]") {
  size_t families = 0;
  for (const auto& e : std::filesystem::directory_iterator(FOVEA_SOURCE_DIR "/zoo/families"))
    families += e.path().extension() == ".cpp";
  if (zoo::modules().size() != families) return;  // a build of some families
  const std::string page = read_file(FOVEA_SOURCE_DIR "/docs/catalogue.md"), start = "```counts\n";
  const size_t at = page.find(start);
  REQUIRE(at != std::string::npos);
  const size_t from = at + start.size();
  INFO("./dev catalogue counts again");
  CHECK(page.substr(from, page.find("```\n", from) - from) == run_tool({}, {"models", "--families"}).out);
}

TEST_CASE("the page of models has a row for each", "[cli][meta]") {
  const std::string page = read_file(FOVEA_SOURCE_DIR "/docs/models.md");
  INFO("./dev catalogue writes it again");
  for (const std::string& name : zoo::all_names()) {
    CAPTURE(name);
    CHECK(page.find(str_cat("\n| ", name, " | ")) != std::string::npos);
  }
}

TEST_CASE("the page of what is there names all that is linked", "[meta]") {
  const std::string page = read_file(FOVEA_SOURCE_DIR "/docs/catalogue.md");
  size_t found = 0;
  for (const char* part :
       {"kernels", "kernels/cpu", "weights_tools", "data", "zoo", "engine", "nn", "train", "api", "bench", "cli"}) {
    const std::string path = str_cat(FOVEA_SOURCE_DIR, "/", part, "/meson.build");
    if (!std::filesystem::exists(path)) continue;
    const std::string text = read_file(path);
    for (const std::string call : {"dependency('", "find_library('"})
      for (size_t at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
        const std::string name = text.substr(at + call.size(), text.find('\'', at + call.size()) - at - call.size());
        if (name.empty()) continue;
        CAPTURE(path, name);
        CHECK_THAT(page, contains_text(name));
        ++found;
      }
  }
  CHECK(found >= 9);
}
