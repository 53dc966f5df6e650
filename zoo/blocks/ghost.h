// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/ghost.h — what GhostNet and RepGhost share: the bottleneck around two ghost modules, and the network.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/conv_headed.h"

namespace fovea::zoo {

struct GhostPlace {
  int in, mid, out, kernel, stride;
  double se_ratio;
};

/// Ghost module, depthwise convolution where there is a stride, squeeze, ghost module, and a shortcut around them all.
class GhostBottleneck : public Module {
 public:
  GhostBottleneck(const GhostPlace& p, std::unique_ptr<Module> ghost1, std::unique_ptr<Module> ghost2);
  Tensor forward(const Tensor& x) override { return ghost2_(se_(strided(ghost1_(x)))) + shortcut_(x); }

 protected:
  /// For those that stride otherwise: they begin(), add what strides, and end().
  GhostBottleneck() = default;
  virtual Tensor strided(const Tensor& x) { return bn_dw_(conv_dw_(x)); }
  void begin(std::unique_ptr<Module> ghost1);
  void end(const GhostPlace& p, std::unique_ptr<Module> ghost2);

 private:
  Ref<Module> ghost1_, ghost2_;
  Maybe<Module> conv_dw_, bn_dw_, se_, shortcut_;
};

/// All blocks of a network; `expanded` are the channels in their middle, before the width counts.
constexpr size_t kGhostBlocks = 16;
std::vector<GhostPlace> ghost_places(double width, const std::array<int, kGhostBlocks>& expanded);

class GhostModel : public Chained<ConvHeaded<ImageModel>> {
 public:
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

 protected:
  explicit GhostModel(const ModelOptions& o) : Chained(o) {}
  /// The constructor: the blocks, one a place, stand between the stem and a convolution with `last` outputs.
  void build(const ModelOptions& o, const std::vector<GhostPlace>& places,
             std::vector<std::unique_ptr<Module>> blocks, int last);
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {"blocks.8", "blocks.9"}}; }
};

}  // namespace fovea::zoo
