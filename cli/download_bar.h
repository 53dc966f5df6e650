// SPDX-License-Identifier: Apache-2.0
// cli/download_bar.h — how downloads go, on standard error: one line on a terminal, plain lines elsewhere.
#pragma once
#include <optional>

#include "bench/progress.h"
#include "hub/progress.h"

namespace fovea::cli {

class DownloadBar final : public hub::Progress {
 public:
  void begin(const std::string& what, uint64_t size, uint64_t had) override;
  void more(uint64_t bytes) override;
  void again(uint64_t had) override;
  void note(const std::string& text) override;
  void end() override;

 private:
  std::optional<bench::Counter> counter_;
  int64_t done_ = 0;
  std::string what_;
};

}  // namespace fovea::cli
