// SPDX-License-Identifier: Apache-2.0
// zoo/taps.cpp — the collector that is active on this thread.
#include "zoo/taps.h"

#include <algorithm>

#include "engine/core/scope.h"
#include "engine/core/text.h"

namespace fovea::zoo {
namespace {

thread_local TapCollector* active = nullptr;

}  // namespace

TapCollector::TapCollector(TapKind kind, std::vector<int> wanted, bool all, bool stop_early)
    : kind_(kind), wanted_(std::move(wanted)), all_(all), stop_early_(stop_early), outer_(active) {
  active = this;
}
TapCollector::~TapCollector() { active = outer_; }

bool offer_tap(std::string_view module, const Tensor& x, TapKind kind, int channel_axis) {
  TapCollector* c = active;
  if (!c) return false;
  if (kind != c->kind_) return c->stopped_;
  const int number = c->seen_++;
  if (c->all_ || std::ranges::binary_search(c->wanted_, number)) {
    const std::string scope = current_scope();
    c->taps_.push_back({scope.empty() ? std::string(module) : str_cat(scope, '.', module), x, channel_axis});
  }
  if (!c->all_ && c->stop_early_ && (c->wanted_.empty() || number >= c->wanted_.back())) c->stopped_ = true;
  return c->stopped_;
}

}  // namespace fovea::zoo
