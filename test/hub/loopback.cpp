// SPDX-License-Identifier: Apache-2.0
#include "test/hub/loopback.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

namespace fovea::test {
namespace {

struct Collected final : hub::Body {
  std::string text;
  bool take(const hub::Reply&, Bytes piece) override {
    text += text_of(piece);
    return true;
  }
};

}  // namespace

LoopbackHub::LoopbackHub() {
  int to[2], from[2];
  if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) throw Error(Error::Kind::io, "no pipe");
  const std::string script = FOVEA_SOURCE_DIR "/test/hub/server.py", root = root_ / "";
  process_ = ::fork();
  if (process_ < 0) throw Error(Error::Kind::io, "cannot fork");
  if (process_ == 0) {
    ::dup2(to[0], 0);
    ::dup2(from[1], 1);
    ::execlp("python3", "python3", script.c_str(), root.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(to[0]);
  ::close(from[1]);
  in_ = to[1];
  std::string line;
  for (char c; ::read(from[0], &c, 1) == 1 && c != '\n';) line += c;
  ::close(from[0]);
  std::istringstream ports(line);
  int hub = 0, store = 0, other = 0;
  ports >> hub >> store >> other;
  if (other == 0) throw Error(Error::Kind::io, "the hub of the tests does not start");
  endpoint_ = cat("http://127.0.0.1:", hub);
  other_ = cat("http://127.0.0.1:", other);
}

LoopbackHub::~LoopbackHub() {
  ::close(in_);
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

void LoopbackHub::put(const std::string& repo, const std::string& name, std::string_view content) const {
  const std::filesystem::path path = root_ / cat(repo, "/", name);
  std::filesystem::create_directories(path.parent_path());
  write_file(path.string(), content);
}

hub::Settings LoopbackHub::settings(const std::string& cache) const {
  hub::Settings s;
  s.cache = cat(cache, "/hub");
  s.checkpoints = cat(cache, "/torch/hub/checkpoints");
  s.endpoint = endpoint_;
  s.first_pause_ms = 1;
  s.stall_ms = 1000;
  return s;
}

std::vector<std::string> LoopbackHub::environment(const std::string& cache) const {
  return {cat("HF_HUB_CACHE=", cache, "/hub"),
          cat("TORCH_HOME=", cache, "/torch"),
          cat("HF_ENDPOINT=", endpoint_),
          "HF_HUB_DOWNLOAD_TIMEOUT=1",
          "HF_TOKEN=",
          "HF_HUB_OFFLINE="};
}

std::string LoopbackHub::ask(const std::string& path) const {
  Collected body;
  const hub::Reply reply = hub::network()->run({.url = cat(endpoint_, "/_", path)}, body);
  if (reply.status != 200) throw Error(Error::Kind::io, cat("the hub of the tests: ", reply.problem));
  return body.text;
}

void LoopbackHub::control(const std::string& path) const { ask(path); }

void LoopbackHub::fault(const std::string& name, int count, const std::string& method) const {
  ask(cat("fault/", name, "/", count, method.empty() ? "" : "/", method));
}

std::vector<Asked> LoopbackHub::log() const {
  std::vector<Asked> out;
  for (const auto& row : nlohmann::json::parse(ask("log")))
    out.push_back({row.at("role"), row.at("method"), row.at("path"), row.at("range"), row.at("authorization")});
  return out;
}

std::string noise(size_t size, uint64_t seed) {
  std::string out(size, '\0');
  uint64_t state = seed * 2862933555777941757u + 3037000493u;
  for (char& c : out) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return out;
}

std::vector<std::string> tree(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  if (!fs::exists(folder)) return out;
  for (const fs::directory_entry& e : fs::recursive_directory_iterator(folder)) {
    const std::string name = e.path().lexically_relative(folder).generic_string();
    if (e.is_symlink()) out.push_back(cat(name, " -> ", fs::read_symlink(e.path()).string()));
    else if (e.is_regular_file()) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace fovea::test
