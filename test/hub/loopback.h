// SPDX-License-Identifier: Apache-2.0
// test/hub/loopback.h — a hub on this machine (server.py) with repositories of the test's own and faults on demand.
#pragma once
#include <string>
#include <vector>

#include "hub/client.h"
#include "test/weights_tools/files.h"

namespace fovea::test {

struct Asked {
  std::string role, method, path, range, authorization;  // role: hub, store or other
};

class LoopbackHub {
 public:
  LoopbackHub();
  ~LoopbackHub();  // ends it
  LoopbackHub(const LoopbackHub&) = delete;
  LoopbackHub& operator=(const LoopbackHub&) = delete;

  /// A file of a repository; names with "/" are in folders.
  void put(const std::string& repo, const std::string& name, std::string_view content) const;
  const std::string& endpoint() const { return endpoint_; }
  const std::string& other() const { return other_; }  // an origin that has nothing to do with it
  /// Its cache, in a folder of its own: what the environment would say.
  hub::Settings settings(const std::string& cache) const;
  std::vector<std::string> environment(const std::string& cache) const;  // for the tool

  void fault(const std::string& name, int count = 1, const std::string& method = "") const;
  void control(const std::string& path) const;  // "speed/100000"
  std::vector<Asked> log() const;               // since the last time

 private:
  std::string ask(const std::string& path) const;
  Scratch root_;
  int process_ = -1, in_ = -1;
  std::string endpoint_, other_;
};

/// Pseudo-random bytes.
std::string noise(size_t size, uint64_t seed);

/// Files below a folder with their contents, links as "-> target".
std::vector<std::string> tree(const std::string& folder);

}  // namespace fovea::test
