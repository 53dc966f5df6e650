// SPDX-License-Identifier: Apache-2.0
#include "cli/download_bar.h"

#include <unistd.h>

#include <cstdio>

#include "cli/text.h"
#include "engine/core/text.h"
#include "weights_tools/bytes.h"

namespace fovea::cli {
void DownloadBar::begin(const std::string& what, uint64_t size, uint64_t had) {
  what_ = printable(what);
  counter_.reset();
  const std::string much =
      size > 0 ? str_cat(" (", megabytes(size), had > 0 ? str_cat(", of which ", megabytes(had), " are here") : "", ")")
               : "";
  if (!::isatty(STDERR_FILENO)) std::fprintf(stderr, "fetching %s%s\n", what_.c_str(), much.c_str());
  if (size > 0) {
    counter_.emplace(what_, static_cast<int64_t>(size), "bytes");
    done_ = static_cast<int64_t>(had);
    if (had > 0) counter_->reach(done_);
  }
}

void DownloadBar::more(uint64_t bytes) {
  done_ += static_cast<int64_t>(bytes);
  if (counter_) counter_->reach(done_);
}

void DownloadBar::again(uint64_t had) {
  done_ = static_cast<int64_t>(had);
  if (counter_) counter_->reach(done_);
}

void DownloadBar::note(const std::string& text) {
  if (counter_) counter_->clear();
  std::fprintf(stderr, "%s: %s\n", what_.c_str(), printable(text).c_str());
}

void DownloadBar::end() {
  if (counter_) counter_->clear();
  counter_.reset();
}

}  // namespace fovea::cli
