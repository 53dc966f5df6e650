// SPDX-License-Identifier: Apache-2.0
// cli/processes.h — Processes: the others that mpirun or srun started with this one, and which part of a command's work
// is whose.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "data/loader.h"
#include "engine/core/peers.h"
#include "processes/launch.h"

namespace fovea::cli {

class Processes {
 public:
  /// Finds the others, waits for them, and sets how many threads may compute: `threads`, or if that is 0 this
  /// process's share of the machine. From then on only one process says() what all would say.
  explicit Processes(int threads);
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  Peers* peers() const { return peers_.get(); }    // null: it is alone
  bool writes() const { return !peers_ || peers_->writes(); }
  int count() const { return peers_ ? peers_->size() : 1; }
  int rank() const { return peers_ ? peers_->rank() : 0; }
  std::string agreed(const std::string& text) const { return peers_ ? peers_->agreed(text) : text; }
  /// Its part of images; so many one after the other stay together.
  data::Shard shard(int64_t unit = 1) const { return {.number = rank(), .of = count(), .unit = unit}; }

 private:
  void share_machine(const processes::Launch& l);
  std::unique_ptr<Peers> peers_;
};

/// A line on stderr, from one process of several.
void say(const std::string& line);

}  // namespace fovea::cli
