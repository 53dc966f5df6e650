// SPDX-License-Identifier: Apache-2.0
// bench/progress.h — what is going on, on stderr, for people who wait: Progress says it in a line, Counter how far a
// loop has come.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace fovea::bench {

/// One line that is written over. Shows nothing when stderr is no terminal.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  bool on_terminal() const { return terminal_; }
  void show(std::string_view what);
  bool due() const;                                // is it time to show how far a loop has come?
  void clear();                                    // before anything else is printed

 private:
  bool terminal_, visible_ = false;
  double shown_ = 0;
};

double now();                                      // seconds, monotonic

/// "37 of 1200 images, 8.1/s, 2 min 24 s left"; of the unit "bytes": "1.2 of 4.5 GB, 310 MB/s, 11 s left".
std::string how_far(int64_t done, int64_t total, std::string_view unit, double seconds);

/// When plain lines are due: after 5 seconds, then after ever longer times, at most a minute.
class Pace {
 public:
  bool due(double seconds);  // since the beginning

 private:
  double next_ = 5;
};

/// How far a loop over `total` things has come: one line on a terminal, plain lines now and then elsewhere.
class Counter {
 public:
  /// `what`: whose progress it is, in front of plain lines. Quiet, or for less than two things, it says nothing.
  Counter(std::string what, int64_t total, std::string unit, bool quiet = false);
  void add(int64_t n = 1) { reach(done_ + n); }
  void reach(int64_t done);
  void clear() { line_.clear(); }  // before anything else is printed

 private:
  std::string what_, unit_;
  int64_t done_ = 0, total_;
  bool quiet_;
  double began_ = now();
  Progress line_;
  Pace pace_;
};

}  // namespace fovea::bench
