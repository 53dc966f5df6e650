// SPDX-License-Identifier: Apache-2.0
// data/policy.h — Policy: which operations an image goes through, as a text like timm's says: AutoAugment, RandAugment
// or AugMix.
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/augment_op.h"
#include "data/chance.h"
#include "data/image.h"

namespace fovea::data {

/// One of these rows by chance, and what it lists in turn. https://arxiv.org/abs/1805.09501
struct AutoAugment {
  std::vector<std::vector<AugmentOp>> rows;
};
/// So many operations by chance; where they have weights, different ones. https://arxiv.org/abs/1909.13719
struct RandAugment {
  std::vector<AugmentOp> ops;
  std::vector<double> weights;                     // empty: all alike; else they add up to 1
  int layers = 2;
};
/// Several chains of operations, mixed, and mixed with the image. https://arxiv.org/abs/1912.02781
struct AugMix {
  std::vector<AugmentOp> ops;
  double alpha = 1;                                // of the distributions of shares
  int width = 3, depth = -1;                       // chains, and their length; below 1: 1 to 3
  bool blended = false;                            // each chain is blended into the one image
};

class Policy {
 public:
  /// timm's texts: `v0`, `v0r`, `original`, `originalr` or `3a`, with `-mstdX`;
  /// `rand-mM-nN-pP-mstdX-mmaxX-incB-tSET`, SET being weights, 3a or 3aw; `augmix-mM-wW-dD-aA-bB-mstdX`. Throws
  /// Error(argument) for others. A deviation in the text counts where `settings` have none.
  Policy(std::string_view text, AugmentSettings settings);
  Image operator()(Image image, Chance& chance) const;
  const AugmentSettings& settings() const { return settings_; }
  /// A line of text for people.
  std::string describe() const;

 private:
  AugmentSettings settings_;
  std::variant<AutoAugment, RandAugment, AugMix> way_;
};

}  // namespace fovea::data
