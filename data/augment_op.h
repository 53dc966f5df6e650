// SPDX-License-Identifier: Apache-2.0
// data/augment_op.h — AugmentOp: one change to an image, by the name and the magnitude that timm's auto_augment.py
// gives it.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/affine.h"
#include "data/chance.h"
#include "data/image.h"
#include "data/resize.h"

namespace fovea::data {

/// What all operations of a policy share.
struct AugmentSettings {
  Colour fill{128, 128, 128};                      // of what moves into sight
  std::optional<Filter> interpolation{};           // absent: bilinear or bicubic, by chance
  std::optional<double> translate_const{};         // pixels at magnitude 10; absent: 0.45 of the shorter edge, whole
  double translate_share = 0.45;                   // of the edge at magnitude 10, for TranslateXRel and TranslateYRel
  double magnitude_std = 0;                        // deviation of magnitudes; infinite: uniform from 0 on
  double magnitude_max = 10;
};

/// How an operation is done; rows of a table in augment_op.cpp.
struct AugmentRule {
  std::string_view name;
  double (*argument)(double level, const Image& image, const AugmentSettings& settings, Chance& chance);
  Image (*apply)(Image image, double argument, const AugmentSettings& settings, Chance& chance);
};
std::span<const AugmentRule> augment_rules();

class AugmentOp {
 public:
  /// Done with this probability. Magnitudes usually are 0 to 10. Throws Error(argument) for an unknown name.
  AugmentOp(std::string_view name, double prob, double magnitude);
  Image operator()(Image image, const AugmentSettings& settings, Chance& chance) const;
  std::string_view name() const { return rule_->name; }
  double prob() const { return prob_; }
  double magnitude() const { return magnitude_; }

 private:
  const AugmentRule* rule_;
  double prob_, magnitude_;
};

}  // namespace fovea::data
