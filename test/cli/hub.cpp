// SPDX-License-Identifier: Apache-2.0
// test/cli/hub.cpp — the tool with names that lead to a hub, folders and URLs: a name is enough.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/decode.h"
#include "test/cli/tool.h"
#include "test/hub/loopback.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/sha256.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string kPhoto = FOVEA_SOURCE_DIR "/docs/images/rocket.jpg";
const std::string kModel = "test_efficientnet", kRepo = "timm/test_efficientnet.r160_in1k";

// A hub with the weights of the formula, and a cache.
struct HubSite {
  LoopbackHub server;
  Scratch scratch;
  std::string cache = scratch / "cache", weights = scratch / "w.safetensors", tuned = scratch / "tuned.safetensors";
  std::vector<std::string> around = server.environment(cache);
  HubSite() {
    write({}, weights);
    write({.num_classes = 3}, tuned);
    server.put(kRepo, "model.safetensors", read_file(weights));
    server.put("org/tuned", "model.safetensors", read_file(tuned));
    server.put("org/tuned", "config.json", R"({"architecture": "test_efficientnet", "num_classes": 3,
      "label_names": ["cat", "dog", "cow"], "label_descriptions": {"dog": "a dog"},
      "pretrained_cfg": {"input_size": [3, 128, 128], "crop_pct": 0.9, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
                         "interpolation": "bilinear", "url": "http://127.0.0.1:1/x.pth", "file": "/etc/passwd"}})");
  }
  static void write(const zoo::ModelOptions& o, const std::string& path) {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create(kModel, o);
    fill_weights(*model);
    write_safetensors(path, model->state_dict());
  }
  Outcome run(const std::vector<std::string>& args, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> settings = around;
    settings.insert(settings.end(), more.begin(), more.end());
    return run_tool(scratch / "", args, settings);
  }
  std::string succeed(const std::vector<std::string>& args, const std::vector<std::string>& more = {}) const {
    const Outcome o = run(args, more);
    INFO(o.err);
    REQUIRE(o.code == 0);
    return o.out;
  }
  std::string classify(const std::string& model, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> args{"classify", model, kPhoto, "--json", "--no-cache"};
    args.insert(args.end(), more.begin(), more.end());
    return succeed(args);
  }
};

}  // namespace

TEST_CASE("the tool: a name is enough, and the second time nobody is asked", "[cli][hub]") {
  if (!data::can_decode()) return;
  const HubSite site;
  const std::string expected = site.classify(kModel, {"--weights", site.weights});
  CHECK(site.server.log().empty());
  CHECK(site.classify(kModel) == expected);
  CHECK(site.server.log().size() == 3);  // HEAD, GET, GET from the store
  CHECK(site.classify(kModel + ".r160_in1k") == expected);
  CHECK(site.classify(kModel, {"--weights", "hf-hub:" + kRepo}) == expected);
  CHECK(site.classify(kModel, {"--weights", kModel}) == expected);
  CHECK(site.succeed({"classify", kModel, kPhoto, "--json"}, {"HF_HUB_OFFLINE=1"}) == expected);
  CHECK(site.server.log().empty());
  const Outcome progress = site.run({"download", kRepo});
  CHECK(progress.out.find("snapshots") != std::string::npos);
}

TEST_CASE("the tool: a repository's config says which model, which images and which labels", "[cli][hub]") {
  if (!data::can_decode()) return;
  const HubSite site;
  const json top = json::parse(site.classify("hf-hub:org/tuned")).at(0).at("top");
  REQUIRE(top.size() == 3);
  for (const json& guess : top)
    CHECK(guess.at("label") == std::vector<std::string>{"cat", "a dog", "cow"}[guess.at("index").get<size_t>()]);
  // the same from a folder, and by hand
  const fs::path snapshot = fs::path(site.succeed({"download", "org/tuned"})).parent_path();
  CHECK(fs::exists(snapshot / "config.json"));
  const std::string folder = site.classify("local-dir:" + snapshot.string());
  CHECK(json::parse(folder).at(0).at("top") == top);
  const std::string by_hand = site.classify(
      kModel, {"--weights", site.tuned, "--input-size", "3,128,128", "--crop-pct", "0.9", "--mean", "0.5", "--std",
               "0.5,0.5,0.5", "--interpolation", "bilinear", "--labels", (snapshot / "config.json").string()});
  CHECK(json::parse(by_hand).at(0).at("top") == top);
  const json info = json::parse(site.succeed({"info", "hf-hub:org/tuned", "--json"}));
  CHECK(info.at("num_classes") == 3);
  CHECK(info.at("pretrained_cfg").at("crop_pct") == 0.9);
  CHECK(info.at("pretrained_cfg").at("hf_hub_id") == "org/tuned");
  CHECK(info.at("pretrained_cfg").find("url") == info.at("pretrained_cfg").end());
  CHECK(info.at("pretrained_cfg").find("file") == info.at("pretrained_cfg").end());
  const std::string commit = snapshot.filename().string();
  CHECK(json::parse(site.classify("HF_HUB:org/tuned@" + commit)).at(0).at("top") == top);
}

TEST_CASE("the tool: sharded weights and weights by URL", "[cli][hub]") {
  if (!data::can_decode()) return;
  const HubSite site;
  const std::string expected = site.classify(kModel, {"--weights", site.weights});
  const StateDict all = read_safetensors(site.weights);
  StateDict parts[2];
  std::string map;
  size_t n = 0;
  for (const auto& [name, tensor] : all) {
    map += str_cat(n ? ", " : "", "\"", name, "\": \"part", n % 2, ".safetensors\"");
    parts[n++ % 2].set(name, tensor);
  }
  for (int i = 0; i < 2; ++i) {
    const std::string path = site.scratch / "part";
    write_safetensors(path, parts[i]);
    site.server.put("org/sharded", str_cat("part", i, ".safetensors"), read_file(path));
  }
  site.server.put("org/sharded", "model.safetensors.index.json", str_cat("{\"weight_map\": {", map, "}}"));
  CHECK(site.classify(kModel, {"--weights", "hf-hub:org/sharded"}) == expected);
  CHECK(site.classify(kModel, {"--weights", "hf-hub:org/sharded"}) == expected);

  const std::string content = read_file(site.weights),
                    name = str_cat("net-", sha256(content).substr(0, 8), ".safetensors");
  site.server.put("plain", name, content);
  const std::string url = str_cat(site.server.endpoint(), "/plain/", name);
  CHECK(site.classify(kModel, {"--weights", url}) == expected);
  CHECK(site.succeed({"download", url}) == str_cat(site.cache, "/torch/hub/checkpoints/", name, "\n"));
}

TEST_CASE("the tool: what cannot be fetched is told with what to do", "[cli][hub]") {
  const HubSite site;
  site.server.put("gated/model", "config.json", "{}");
  struct Row {
    std::vector<std::string> args, says;
  };
  for (const Row& row :
       std::vector<Row>{{{"info", "hf-hub:org/none"}, {"there is no repository org/none", "HF_TOKEN"}},
                        {{"info", "hf-hub:timm/test_efficientnet.r160_in2k"}, {"closest that timm lists: ", kRepo}},
                        {{"info", "hf-hub:gated/model"}, {"is gated", "ask at "}},
                        {{"info", "hf-hub:org/tuned@v2"}, {"no revision 'v2'"}},
                        {{"info", "hf-hub:" + kRepo}, {"has no file config.json"}},
                        {{"download", "org/tuned", "--file", "../x"}, {"cannot be the name of a file"}},
                        {{"download", kRepo, "--file", "vocab.txt"}, {"has no file vocab.txt"}}}) {
    const Outcome o = site.run(row.args);
    INFO(o.err);
    CHECK(o.code == 1);
    for (const std::string& text : row.says) CHECK(o.err.find(text) != std::string::npos);
  }
  const Outcome none = site.run({"info", "hf-hub:org/tuned"}, {"HF_ENDPOINT=http://127.0.0.1:1"});
  CHECK(none.code == 1);
  CHECK(none.err.find("http://127.0.0.1:1/org/tuned/resolve/main/config.json") != std::string::npos);
  const Outcome token = site.run({"info", "hf-hub:org/none"}, {"HF_TOKEN=hf_secret"});
  CHECK(token.err.find("hf_secret") == std::string::npos);
}

TEST_CASE("the tool: a proxy, and hosts that need none", "[cli][hub]") {
  const HubSite site;
  const std::string far = "HF_ENDPOINT=http://hub.invalid", proxy = "http_proxy=" + site.server.endpoint();
  site.server.log();
  const std::string path = site.succeed({"download", "org/tuned"}, {far, proxy, "no_proxy="});
  CHECK(read_file(path.substr(0, path.size() - 1)) == read_file(site.tuned));
  CHECK(site.server.log().size() > 2);
  fs::remove_all(site.cache);
  const Outcome unknown = site.run({"download", "org/tuned"}, {far, proxy, "no_proxy=hub.invalid"});
  CHECK(unknown.code == 1);
  CHECK(unknown.err.find("cannot fetch http://hub.invalid/org/tuned/") != std::string::npos);
  CHECK(site.server.log().empty());
}

TEST_CASE("the tool: cache list, verify and gc", "[cli][hub]") {
  const HubSite site;
  const std::string path = site.succeed({"download", kModel}),
                    config = site.succeed({"download", "org/tuned", "--file", "config.json"});
  const json listed = json::parse(site.succeed({"cache", "list", "--json"}));
  REQUIRE(listed.size() == 2);
  CHECK(listed[0].at("repo") == "org/tuned");
  CHECK(listed[1].at("repo") == kRepo);
  CHECK(listed[1].at("file") == "model.safetensors");
  CHECK(listed[1].at("bytes") == fs::file_size(site.weights));
  CHECK(listed[1].at("revisions") == json({"main"}));
  CHECK(site.succeed({"cache", "verify"}).find("2 files: 2 right") != std::string::npos);

  const std::string repo = str_cat(site.cache, "/hub/models--org--tuned"),
                    blob = fs::canonical(config.substr(0, config.size() - 1));
  write_file(blob, "{}");
  write_file(repo + "/blobs/0123456789012345678901234567890123456789.0123abcd.incomplete", "part");
  write_file(repo + "/blobs/0123456789012345678901234567890123456789", "nobody's");
  fs::create_symlink("../../blobs/none", repo + "/snapshots/" + listed[0].at("commit").get<std::string>() + "/gone");
  const Outcome wrong = site.run({"cache", "verify"});
  CHECK(wrong.code == 1);
  CHECK(wrong.out.find("WRONG    org/tuned@main/config.json") != std::string::npos);
  CHECK(site.succeed({"cache", "verify", "--remove"}).find("(removed)") != std::string::npos);
  const std::vector<std::string> before = tree(site.cache);
  CHECK(site.succeed({"cache", "gc", "--dry-run"}).find("would remove") != std::string::npos);
  CHECK(tree(site.cache) == before);
  site.succeed({"cache", "gc"});
  for (const std::string& name : tree(site.cache + "/hub"))
    CHECK((name.find("test_efficientnet") != name.npos || name == "CACHEDIR.TAG" || name.ends_with("refs/main")));
  CHECK(read_file(path.substr(0, path.size() - 1)) == read_file(site.weights));
  CHECK(site.succeed({"cache", "gc"}).find("0 things") == 0);
}

TEST_CASE("the tool: weights become a folder for the hub, a mean, and other dtypes", "[cli][hub]") {
  if (!data::can_decode()) return;
  const HubSite site;
  const std::string made = site.scratch / "made/",
                    tuned = site.classify(kModel, {"--weights", site.tuned, "--labels", "none"});
  site.scratch.file("labels.txt", "x\ny\nz\n");
  site.succeed({"convert", site.tuned, made, "--model", kModel, "--labels", "labels.txt", "--license", "mit"});
  const json top = json::parse(site.classify("local-dir:" + made)).at(0).at("top");
  CHECK(top.size() == 3);
  for (size_t i = 0; i < top.size(); ++i) {
    CHECK(top[i].at("prob") == json::parse(tuned).at(0).at("top")[i].at("prob"));
    CHECK(top[i].at("label") == std::vector<std::string>{"x", "y", "z"}[top[i].at("index").get<size_t>()]);
  }
  CHECK(site.run({"convert", site.tuned, made}).err.find("--model NAME") != std::string::npos);

  // published with ImageNet's names, by synset
  site.succeed({"convert", site.weights, made + "1k/", "--model", kModel + ".r160_in1k"});
  const json config = json::parse(read_file(made + "1k/config.json"));
  CHECK(config.at("label_names")[281] == "n02123045");
  CHECK(config.at("label_descriptions").at("n02123045") == "tabby, tabby cat");
  const std::string by_name = site.classify("local-dir:" + made + "1k", {"--label-type", "name"});
  CHECK(json::parse(by_name).at(0).at("top")[0].at("label").get<std::string>().starts_with("n0"));
  const std::string detail =
      site.classify(kModel + ".r160_in1k", {"--weights", site.weights, "--label-type", "detail"});
  CHECK(json::parse(detail).at(0).at("top")[0].at("label").get<std::string>().find(": ") != std::string::npos);

  const std::string mean = site.scratch / "mean.safetensors";
  site.succeed({"average", site.weights, site.weights, site.weights, "-o", mean});
  CHECK(read_safetensors(mean).names() == read_safetensors(site.weights).names());
  CHECK(read_file(mean) == read_file(site.weights));
  CHECK(site.run({"average", site.weights, site.tuned, "-o", mean}).err.find("of one model") != std::string::npos);

  const std::string half = site.scratch / "half.safetensors";
  site.succeed({"convert", site.weights, half, "--dtype", "f16"});
  CHECK(fs::file_size(half) < fs::file_size(site.weights) * 6 / 10);
  const json listed = json::parse(site.succeed({"inspect", half, "--json"}));
  CHECK(listed.at("tensors").size() == read_safetensors(site.weights).size());
  CHECK(listed.at("metadata").at("format") == "pt");
  for (const json& tensor : listed.at("tensors"))
    if (tensor.at("name") == "conv_stem.weight") CHECK(tensor.at("dtype") == "f16");

  const std::string plain = site.scratch / "net.safetensors", hash = sha256(read_file(site.weights)).substr(0, 8);
  const Outcome hashed = site.run({"convert", site.weights, plain, "--hash"});
  CHECK(hashed.err.find(str_cat("net-", hash, ".safetensors")) != std::string::npos);
  CHECK(read_file(site.scratch / str_cat("net-", hash, ".safetensors")) == read_file(site.weights));
}

TEST_CASE("the tool: licenses are shown, filter, and are refused", "[cli][hub]") {
  if (!data::can_decode()) return;
  const HubSite site;
  CHECK(site.succeed({"models", "test_efficientnet", "--pretrained", "--show-license"}) ==
        "test_efficientnet.r160_in1k\tapache-2.0\n");
  CHECK(site.succeed({"models", "test_efficientnet", "--pretrained", "--license", "mit"}).empty());
  site.classify(kModel, {"--license", "apache-2.0,mit"});
  const Outcome refused = site.run({"classify", kModel, kPhoto, "--license", "mit"});
  CHECK(refused.code == 1);
  CHECK(refused.err.find("the license of test_efficientnet.r160_in1k is apache-2.0, not mit") != std::string::npos);
  for (const char* command : {"infer", "validate"}) {
    const Outcome o = site.run({command, "photos", "--model", kModel, "--license", "mit"});
    CHECK(o.code == 1);
    CHECK(o.err.find("is apache-2.0, not mit") != std::string::npos);
  }
  const Outcome trained = site.run({"train", "photos", "--model", kModel, "--pretrained", "--license", "mit"});
  CHECK(trained.code == 1);
  CHECK(trained.err.find("is apache-2.0, not mit") != std::string::npos);
  const Outcome noted = site.run({"classify", kModel, kPhoto, "--set", "license=cc-by-nc-4.0"});
  CHECK(noted.code == 0);
  CHECK(noted.err.find("cc-by-nc-4.0, forbids commercial use") != std::string::npos);
}
