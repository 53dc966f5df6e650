// SPDX-License-Identifier: Apache-2.0
// bench/progress.h — Progress: one line on stderr that says what is going on, for people who wait at a terminal.
#pragma once
#include <string_view>

namespace fovea::bench {

/// Shows nothing when stderr is no terminal.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void show(std::string_view what);
  bool due() const;                                // is it time to show how far a loop has come?
  void clear();                                    // before anything else is printed

 private:
  bool terminal_, visible_ = false;
  double shown_ = 0;
};

double now();                                      // seconds, monotonic

}  // namespace fovea::bench
