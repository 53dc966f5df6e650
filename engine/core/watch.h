// SPDX-License-Identifier: Apache-2.0
// engine/core/watch.h — Watch: told which steps run, and which thread does which piece of their work, for profilers.
#pragma once
#include <chrono>

namespace fovea {

struct Watch {
  using Clock = std::chrono::steady_clock;
  virtual ~Watch() = default;
  /// By the thread that profiles a session, outside of the times that it takes.
  virtual void step_begins() = 0;
  virtual void step_ended() = 0;
  /// By the thread that did it, before the work as a whole has ended. 0: the caller; others are the pool's.
  virtual void piece(int thread, Clock::time_point begun, Clock::time_point ended) = 0;
};
Watch* watch();                                    // null: nobody wants to know

/// While alive, this one is told, of all threads. One at a time: a second one throws Error(argument).
class UseWatch {
 public:
  explicit UseWatch(Watch& w);
  ~UseWatch();
  UseWatch(const UseWatch&) = delete;
  UseWatch& operator=(const UseWatch&) = delete;
};

/// A piece of work, as long as this object lives.
class WatchedPiece {
 public:
  explicit WatchedPiece(int thread) : watch_(watch()), thread_(thread) {
    if (watch_) begun_ = Watch::Clock::now();
  }
  ~WatchedPiece() {
    if (watch_) watch_->piece(thread_, begun_, Watch::Clock::now());
  }
  WatchedPiece(const WatchedPiece&) = delete;
  WatchedPiece& operator=(const WatchedPiece&) = delete;

 private:
  Watch* watch_;
  int thread_;
  Watch::Clock::time_point begun_;
};

}  // namespace fovea
