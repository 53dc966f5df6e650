// SPDX-License-Identifier: Apache-2.0
// nn/adapted.h — what was done to weights to make them fit is said by whoever does it, and heard by whoever loads them.
#pragma once
#include <string>
#include <vector>

namespace fovea {

/// While alive, hears what is said on this thread.
class AdaptedLines {
 public:
  AdaptedLines();
  ~AdaptedLines();
  AdaptedLines(const AdaptedLines&) = delete;
  AdaptedLines& operator=(const AdaptedLines&) = delete;
  /// Each line once, with how often it was said where that is more.
  std::vector<std::string> take() const;

 private:
  friend void say_adapted(std::string line);
  std::vector<std::pair<std::string, int>> lines_;
  AdaptedLines* outer_;
};

/// "position embedding resampled from 14 x 14 to 24 x 24"
void say_adapted(std::string line);

}  // namespace fovea
