// SPDX-License-Identifier: Apache-2.0
// test/golden/runner/entry.h — one recorded model against fovea's: structure, figures, and images in company.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "engine/core/types.h"

namespace fovea::golden {

struct Options {
  std::string dtype = "f32";
  Device device{};
  double tol = 0;                                  // instead of the entry's own; 0: that one
  double pair_params = 0;                          // up to this size models also take two images as one batch
  bool eager = false, compiled = false;            // neither: both
  bool structure = false;                          // only what can be said without weights
};

/// False where only the structure was recorded.
bool has_figures(const nlohmann::json& entry);
/// The entry whose figures count: another one for the few models whose recorded figures timm itself does not reproduce
/// on another processor (test/golden/steady; docs/numerics.md has the measurements).
nlohmann::json steady(const nlohmann::json& entry);
/// What the entry's figures may be off by: of its own in f32; in bf16 what test/golden/bf16.json says, else 0.02.
double tolerance(const nlohmann::json& entry, const Options& o);

struct Outcome {
  std::string differs;                             // empty when all of the entry holds, else what differs first
  double off = 0;                                  // the largest difference of figures, relative to the recorded absmax
};
/// `file`: where the entry is from.
Outcome compare_entry(const nlohmann::json& entry, const std::string& file, const Options& o);

}  // namespace fovea::golden
