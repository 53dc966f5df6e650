// SPDX-License-Identifier: Apache-2.0
#include "nn/adapted.h"

#include <utility>

#include "engine/core/text.h"

namespace fovea {
namespace {

thread_local AdaptedLines* listening = nullptr;

}  // namespace

AdaptedLines::AdaptedLines() : outer_(listening) { listening = this; }
AdaptedLines::~AdaptedLines() { listening = outer_; }

std::vector<std::string> AdaptedLines::take() const {
  std::vector<std::string> out;
  for (const auto& [line, times] : lines_) out.push_back(times > 1 ? str_cat(line, " (", times, " times)") : line);
  return out;
}

void say_adapted(std::string line) {
  if (!listening) return;
  for (auto& [said, times] : listening->lines_)
    if (said == line) {
      ++times;
      return;
    }
  listening->lines_.emplace_back(std::move(line), 1);
}

}  // namespace fovea
