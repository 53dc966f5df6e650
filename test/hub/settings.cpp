// SPDX-License-Identifier: Apache-2.0
// test/hub/settings.cpp — what the environment says, read as huggingface_hub and torch.hub read it.
#include "hub/settings.h"

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;

namespace {

// These variables alone, until it goes; those that are not named are not set.
class Environment {
 public:
  explicit Environment(const std::vector<std::pair<std::string, std::string>>& set) {
    for (const char* name :
         {"HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TORCH_HOME", "HF_ENDPOINT",
          "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
          "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_DISABLE_SYMLINKS", "HF_HUB_DISABLE_PROGRESS_BARS",
          "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HUB_USER_AGENT_ORIGIN", "FOVEA_TEST_FOLDER"}) {
      const char* now = std::getenv(name);
      before_.emplace_back(name, now ? std::optional<std::string>(now) : std::nullopt);
      ::unsetenv(name);
    }
    for (const auto& [name, value] : set) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : before_)
      if (value) ::setenv(name, value->c_str(), 1);
      else ::unsetenv(name);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

hub::Settings with(const std::vector<std::pair<std::string, std::string>>& set) {
  const Environment environment(set);
  return hub::settings_from_environment();
}

}  // namespace

TEST_CASE("hub: where things are kept", "[hub]") {
  CHECK(with({{"HOME", "/h"}}).cache == "/h/.cache/huggingface/hub");
  CHECK(with({{"HOME", "/h"}}).checkpoints == "/h/.cache/torch/hub/checkpoints");
  CHECK(with({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache == "/x/huggingface/hub");
  CHECK(with({{"HOME", "/h"}, {"HF_HOME", "~/models"}}).cache == "/h/models/hub");
  CHECK(with({{"HF_HOME", "/a"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache == "/old");
  CHECK(with({{"HF_HOME", "/a"}, {"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}).cache == "/new");
  CHECK(
      with({{"HF_HUB_CACHE", "$FOVEA_TEST_FOLDER/${FOVEA_TEST_FOLDER}x$NOT_SET"}, {"FOVEA_TEST_FOLDER", "f"}}).cache ==
      "f/fx$NOT_SET");
  CHECK(with({{"HOME", "/h"}, {"TORCH_HOME", "/t"}}).checkpoints == "/t/hub/checkpoints");
}

TEST_CASE("hub: who one is, whom one asks, and how long one waits", "[hub]") {
  const Scratch scratch;
  const std::string file = scratch.file("token", "  hf_file\n");
  CHECK(with({}).endpoint == "https://huggingface.co");
  CHECK(with({{"HF_ENDPOINT", "https://mirror/ "}}).endpoint == "https://mirror");
  CHECK(with({{"HF_TOKEN_PATH", file}}).token == "hf_file");
  CHECK(with({{"HF_HOME", scratch / ""}}).token == "hf_file");
  CHECK(with({{"HF_TOKEN_PATH", file}, {"HUGGING_FACE_HUB_TOKEN", "hf_old"}}).token == "hf_old");
  CHECK(with({{"HF_TOKEN", "hf_new\n"}, {"HUGGING_FACE_HUB_TOKEN", "hf_old"}}).token == "hf_new");
  CHECK(with({{"HF_TOKEN", "hf_new"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes"}}).token.empty());
  const Error bad = error_of([] { with({{"HF_TOKEN", "hf_a\r\nX-Other: b"}}); });
  CHECK(bad.kind() == Error::Kind::argument);
  CHECK_FALSE(mentions(bad, "hf_a"));
  for (const char* yes : {"1", "on", "True", "YES"}) CHECK(with({{"HF_HUB_OFFLINE", yes}}).offline);
  for (const char* no : {"", "0", "off", "2"}) CHECK_FALSE(with({{"HF_HUB_OFFLINE", no}}).offline);
  CHECK(with({{"TRANSFORMERS_OFFLINE", "1"}}).offline);
  CHECK_FALSE(with({{"HF_HUB_DISABLE_SYMLINKS", "1"}}).links);
  CHECK(with({{"HF_HUB_DOWNLOAD_TIMEOUT", "2.5"}}).stall_ms == 2501);
  CHECK(with({}).connect_ms == 10'000);
  CHECK(error_of([] { with({{"HF_HUB_ETAG_TIMEOUT", "soon"}}); }).kind() == Error::Kind::argument);
  CHECK(with({{"HF_HUB_USER_AGENT_ORIGIN", "ci"}}).agent == "fovea; origin/ci");
}
