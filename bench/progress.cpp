// SPDX-License-Identifier: Apache-2.0
#include "bench/progress.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace fovea::bench {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::show(std::string_view what) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\x1b[K%.*s", static_cast<int>(what.size()), what.data());
  visible_ = true;
  shown_ = now();
}

bool Progress::due() const { return terminal_ && now() > shown_ + 0.2; }

void Progress::clear() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
  visible_ = false;
}

}  // namespace fovea::bench
