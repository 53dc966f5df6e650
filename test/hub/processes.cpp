// SPDX-License-Identifier: Apache-2.0
// test/hub/processes.cpp — many processes fetch one file while locks say yes to everybody and some of them are killed.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <thread>

#include "hub/partial.h"
#include "test/cli/tool.h"
#include "test/hub/loopback.h"
#include "test/support/catch.h"

using namespace fovea;
using namespace fovea::test;
namespace fs = std::filesystem;

TEST_CASE("hub: eight processes with useless locks, killed at random, leave no bad file", "[hub][slow]") {
  constexpr int kProcesses = 8;
  const int rounds = std::getenv("FOVEA_SOAK") ? 50 : 4;
  const LoopbackHub server;
  const Scratch scratch;
  const std::string cache = scratch / "cache", weights = noise(2'000'000, 3);
  server.put("org/model", "model.safetensors", weights);
  server.control("speed/6000000");
  std::vector<std::string> settings = server.environment(cache);
  settings.emplace_back("LD_PRELOAD=" FOVEA_NO_LOCKS);
  settings.emplace_back("HF_HUB_DISABLE_PROGRESS_BARS=1");
  std::mt19937 dice(5);
  int killed = 0, done = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::unique_ptr<RunningTool>> running;
    for (int i = 0; i < kProcesses; ++i)
      running.push_back(
          std::make_unique<RunningTool>(std::vector<std::string>{"download", "org/model"}, settings));
    for (int i = 0; i < kProcesses / 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(dice() % 200));
      const size_t victim = dice() % running.size();
      killed += running[victim]->stop(SIGKILL) != 0 ? 1 : 0;
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(victim));
    }
    for (const auto& tool : running) {
      const std::string path = tool->hear();
      CHECK(tool->finish() == 0);
      CHECK(read_file(path) == weights);
      ++done;
    }
    const std::string repo = cache + "/hub/models--org--model";
    for (const std::string& name : tree(repo + "/blobs"))
      if (!hub::is_partial_name(name)) CHECK(read_file(repo + "/blobs/" + name) == weights);
    for (const std::string& name : tree(repo + "/snapshots"))
      CHECK(read_file(cat(repo, "/snapshots/", name.substr(0, name.find(" -> ")))) == weights);
    fs::remove_all(repo + "/snapshots");
    if (round % 2 == 0)
      for (const std::string& name : tree(repo + "/blobs"))
        if (!hub::is_partial_name(name)) fs::remove(repo + "/blobs/" + name);
  }
  CHECK(killed > 0);
  CHECK(done == rounds * kProcesses / 2);
  server.control("calm");
  CHECK(run_tool({}, {"download", "org/model"}, settings).code == 0);
  CHECK(run_tool({}, {"cache", "gc"}, server.environment(cache)).code == 0);
  size_t files = 0;
  for (const std::string& name : tree(cache + "/hub")) {
    INFO(name);
    CHECK_FALSE(hub::is_partial_name(name));
    CHECK(name.find(".lock") == name.npos);
    ++files;
  }
  CHECK(files == 5);  // CACHEDIR.TAG; a blob and a snapshot each of the weights; the ref; that there is no config.json
}
