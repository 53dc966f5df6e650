// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/stage_windows.h — how large the windows of each of four stages are: as a setting, and for other inputs.
#pragma once
#include <array>
#include <string>
#include <string_view>

#include "nn/layers/conv.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

struct StageWindows {
  std::array<Size2, 4> of{};
  constexpr StageWindows(int all) : of{all, all, all, all} {}  // NOLINT: meant to be implicit
  constexpr StageWindows(int a, int b, int c, int d) : of{a, b, c, d} {}
  friend bool operator==(const StageWindows&, const StageWindows&) = default;
};
/// "7": all windows; "7,14": their height and width; "7,7,14,7": one a stage, each "7" or "7x14".
bool read_setting(std::string_view text, StageWindows& v);
std::string write_setting(const StageWindows& v);

/// The same, or "none", which stays 0.
struct GivenWindows : StageWindows {
  constexpr GivenWindows() : StageWindows(0) {}
  constexpr explicit operator bool() const { return of[0].h > 0; }
};
bool read_setting(std::string_view text, GivenWindows& v);
std::string write_setting(const GivenWindows& v);

/// Windows and the grid of patches that they were meant for.
struct WindowReference {
  StageWindows windows;
  Size2 grid;
  /// For another grid: what is asked for, which is the reference from then on, or else windows in the same proportion
  /// to it.
  StageWindows fit(Size2 to, const WindowOptions& o);
};

}  // namespace fovea::zoo
