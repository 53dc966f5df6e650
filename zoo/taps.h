// SPDX-License-Identifier: Apache-2.0
// zoo/taps.h — taps: a forward pass offers values on its way, and whoever asked for features takes them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::zoo {

/// Where in a stage a value is offered.
enum class TapKind : uint8_t {
  block,                                           // what the stage gives to the next one
  expansion,                                       // the widest point of the stage's last block
};

struct Tap {
  std::string module;                              // path of the module that made the value, or that takes it
  Tensor value;
  int channel_axis = 1;
};

/// While alive, receives what forward passes on this thread offer.
class TapCollector {
 public:
  /// Keeps all taps of one kind, or those whose numbers are listed (sorted).
  explicit TapCollector(TapKind kind) : TapCollector(kind, {}, true, false) {}
  TapCollector(TapKind kind, std::vector<int> wanted, bool stop_early)
      : TapCollector(kind, std::move(wanted), false, stop_early) {}
  ~TapCollector();
  TapCollector(const TapCollector&) = delete;
  TapCollector& operator=(const TapCollector&) = delete;

  const std::vector<Tap>& taps() const { return taps_; }
  bool stopped() const { return stopped_; }

 private:
  TapCollector(TapKind kind, std::vector<int> wanted, bool all, bool stop_early);
  friend bool offer_tap(std::string_view module, const Tensor& x, TapKind kind, int channel_axis);
  TapKind kind_;
  std::vector<int> wanted_;
  bool all_, stop_early_, stopped_ = false;
  int seen_ = 0;
  std::vector<Tap> taps_;
  TapCollector* outer_;
};

/// True when nobody needs more and the forward pass may stop here. `module` is relative to the current scope.
bool offer_tap(std::string_view module, const Tensor& x, TapKind kind, int channel_axis = 1);

}  // namespace fovea::zoo
