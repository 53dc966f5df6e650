// SPDX-License-Identifier: Apache-2.0
// hub/progress.h — who wants to hear how a download goes.
#pragma once
#include <cstdint>
#include <string>

namespace fovea::hub {

class Progress {
 public:
  virtual ~Progress() = default;
  /// `size` is 0 where it is unknown; `had` bytes of it are there already.
  virtual void begin(const std::string& what, uint64_t size, uint64_t had) = 0;
  virtual void more(uint64_t bytes) = 0;
  virtual void again(uint64_t had) = 0;            // it broke off, or is wrong, and goes on from here
  virtual void note(const std::string& text) = 0;  // why it waits
  virtual void end() = 0;
};

/// Of all downloads of this process from now on; null: nobody. It is called on the threads that fetch.
void report_downloads_to(Progress* progress);
Progress* listening();

}  // namespace fovea::hub
