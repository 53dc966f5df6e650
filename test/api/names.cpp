// SPDX-License-Identifier: Apache-2.0
// test/api/names.cpp — the C API finds models and weights by every name that leads to them: paths, folders, hub, URLs.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>

#include "engine/core/text.h"
#include "test/api/client.h"
#include "test/api/weights.h"
#include "test/hub/loopback.h"
#include "test/support/catch.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/sha256.h"

using namespace fovea_test;
using fovea::str_cat;
using fovea::test::LoopbackHub;
using fovea::test::read_file;
namespace fs = std::filesystem;

namespace {

// What the environment of this process says, until it goes.
class Variables {
 public:
  explicit Variables(const std::vector<std::string>& set) {
    for (const std::string& s : set) {
      const size_t equals = s.find('=');
      before_.emplace_back(s.substr(0, equals), std::nullopt);
      auto& [name, value] = before_.back();
      if (const char* now = std::getenv(name.c_str())) value = now;
      ::setenv(name.c_str(), s.c_str() + equals + 1, 1);
    }
  }
  ~Variables() {
    for (const auto& [name, value] : before_)
      if (value) ::setenv(name.c_str(), value->c_str(), 1);
      else ::unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

constexpr const char* kConfig = R"({"architecture": "test_resnet", "num_classes": 1000,
  "pretrained_cfg": {"tag": "r160_in1k", "input_size": [3, 160, 160]}})";

// A hub with the weights of kNet, and what they answer.
struct Site {
  LoopbackHub server;
  std::string folder = scratch_folder(), weights = weights_of(kNet);
  Variables around{server.environment(folder + "/cache")};
  Owned<fovea_env> env = new_env();
  std::vector<float> x = pixels(kImage, 21), want;
  Site() {
    server.put(str_cat("timm/", kNet), "model.safetensors", read_file(weights));
    server.put("org/own", "model.safetensors", read_file(weights));
    server.put("org/own", "config.json", kConfig);
    want = logits(kNet, weights.c_str());
    server.log();
  }
  std::vector<float> logits(const char* name, const char* of, const char* plans = nullptr) const {
    auto o = model_options(name, of);
    o.plan_cache = plans;
    const auto model = load(env.get(), o);
    const auto session = compile(model.get());
    return run(session.get(), images_of(x.data(), 1, 3, kEdge, kEdge));
  }
  Said fails(const char* name, const char* of) const {
    const auto o = model_options(name, of);
    fovea_model* none = nullptr;
    const Said said = fovea_model_load(env.get(), &o, &none);
    CHECK(none == nullptr);
    return said;
  }
};

}  // namespace

TEST_CASE("C: published weights come from the hub once, and from the cache then", "[api][hub]") {
  const Site site;
  CHECK(site.logits(kNet, nullptr) == site.want);
  CHECK(site.server.log().size() == 3);            // HEAD, GET, GET from the store
  CHECK(site.logits(kNet, nullptr) == site.want);
  CHECK(site.logits(nullptr, kNet) == site.want);
  const std::string repo = str_cat("hf-hub:timm/", kNet);
  CHECK(site.logits("test_resnet", repo.c_str()) == site.want);
  const Variables offline({"HF_HUB_OFFLINE=1"});
  CHECK(site.logits(kNet, nullptr) == site.want);
  CHECK(site.server.log().empty());
  const Said said = site.fails(nullptr, "hf-hub:org/own");
  CHECK(said.code != FOVEA_OK);
  CHECK_THAT(said.message, contains_text("HF_HUB_OFFLINE"));
}

TEST_CASE("C: repositories, folders and URLs say which model their weights are of", "[api][hub]") {
  const Site site;
  CHECK(site.logits("hf-hub:org/own", nullptr) == site.want);
  CHECK(site.logits(nullptr, "hf-hub:org/own") == site.want);
  const std::string folder = site.folder + "/own";
  fs::create_directory(folder);
  fs::copy(site.weights, folder + "/model.safetensors");
  fovea::test::write_file(folder + "/config.json", kConfig);
  const std::string local = "local-dir:" + folder;
  CHECK(site.logits(local.c_str(), nullptr) == site.want);
  CHECK(site.logits(nullptr, local.c_str()) == site.want);
  CHECK(site.logits(nullptr, folder.c_str()) == site.want);
  CHECK(site.logits(kNet, folder.c_str()) == site.want);
  const std::string content = read_file(site.weights),
                    name = str_cat("net-", fovea::sha256(content).substr(0, 8), ".safetensors");
  site.server.put("plain", name, content);
  const std::string url = str_cat(site.server.endpoint(), "/plain/", name);
  CHECK(site.fails(nullptr, url.c_str()).code == FOVEA_NOT_FOUND);     // whose weights?
  CHECK(site.logits(kNet, url.c_str()) == site.want);
  CHECK(site.fails("hf-hub:org/none", nullptr).code == FOVEA_NOT_FOUND);
  CHECK(site.fails("test_resnet/weights", nullptr).code == FOVEA_INVALID_ARGUMENT);
  CHECK(site.fails(kNet, "hf-hub:").code == FOVEA_INVALID_ARGUMENT);
}

TEST_CASE("C: a download is cancelled while it goes on", "[api][hub]") {
  const Site site;
  site.server.control("speed/100000");             // bytes a second: the whole of it takes many
  fovea_cancel* flag = nullptr;
  REQUIRE(Said(fovea_cancel_create(&flag)));
  auto o = model_options(kNet, nullptr);
  o.cancel = flag;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    fovea_cancel_request(flag);
  });
  fovea_model* none = nullptr;
  const Said said = fovea_model_load(site.env.get(), &o, &none);
  other.join();
  CHECK(said.code == FOVEA_CANCELLED);
  uintmax_t most = 0;                              // of what came before it was cancelled
  for (const auto& e : fs::recursive_directory_iterator(site.folder + "/cache"))
    if (e.is_regular_file()) most = std::max(most, e.file_size());
  CHECK(most < fs::file_size(site.weights));
  fovea_cancel_free(flag);
  site.server.control("speed/0");
  CHECK(site.logits(kNet, nullptr) == site.want);
}

TEST_CASE("C: weights in several files, which no plan is kept of", "[api][hub]") {
  const Site site;
  const fovea::StateDict all = fovea::read_safetensors(site.weights);
  fovea::StateDict parts[2];
  std::string map;
  size_t n = 0;
  for (const auto& [name, tensor] : all) {
    map += str_cat(n ? ", " : "", "\"", name, "\": \"part", n % 2, ".safetensors\"");
    parts[n++ % 2].set(name, tensor);
  }
  for (int i = 0; i < 2; ++i) {
    const std::string part = site.folder + "/part";
    fovea::write_safetensors(part, parts[i]);
    site.server.put("org/parts", str_cat("part", i, ".safetensors"), read_file(part));
  }
  site.server.put("org/parts", "model.safetensors.index.json", str_cat("{\"weight_map\": {", map, "}}"));
  const std::string plans = site.folder + "/plans";
  CHECK(site.logits(kNet, "hf-hub:org/parts", plans.c_str()) == site.want);
  CHECK_FALSE(fs::exists(plans));
  CHECK(site.logits(kNet, site.weights.c_str(), plans.c_str()) == site.want);
  CHECK(fs::exists(plans));
}
