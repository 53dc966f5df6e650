// SPDX-License-Identifier: Apache-2.0
// engine/core/peers.h — Peers: processes that compute one thing together, and what they exchange.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/types.h"

namespace fovea {

/// One of several processes, as it sees the others. All of them call the same functions in the same order. Where
/// another one is gone, they throw Error(io).
class Peers {
 public:
  virtual ~Peers() = default;
  virtual int rank() const = 0;                    // 0 is the one that writes
  virtual int size() const = 0;

  /// n numbers, f32 or f64, are to become their sums over all; everybody gets the same bits. The sums come while the
  /// caller goes on, which leaves the numbers alone until end_sum() was told where they are. Several may be under way.
  virtual void begin_sum(DType type, std::byte* numbers, int64_t n) = 0;
  virtual void end_sum(const std::byte* numbers) = 0;
  /// Everybody's bytes become those of rank 0.
  virtual void broadcast(std::span<std::byte> bytes) = 0;
  /// What each has to say, by rank, on rank 0; nothing elsewhere.
  virtual std::vector<std::string> gather(std::string_view mine) = 0;
  virtual void barrier() = 0;                      // returns when all have come here

  bool writes() const { return rank() == 0; }
  void sum(std::span<double> numbers);             // begin_sum() and end_sum()
  bool any(bool mine);                             // does one of them say so?
  std::string agreed(std::string text);            // rank 0's
};

/// Whom ops of this thread exchange with; null: nobody.
Peers* peers();
/// Those over whose images batch norms take their statistics while they train; null: each process over its own.
Peers* norm_peers();
class UsePeers {                                   // for the lifetime of this object, on this thread
 public:
  explicit UsePeers(Peers* p, bool of_norms = false);
  ~UsePeers();
  UsePeers(const UsePeers&) = delete;
  UsePeers& operator=(const UsePeers&) = delete;

 private:
  Peers* before_;
  bool norms_before_;
};

}  // namespace fovea
