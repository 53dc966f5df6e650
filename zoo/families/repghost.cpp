// SPDX-License-Identifier: Apache-2.0
// zoo/families/repghost.cpp — RepGhost: ghost modules that add instead of gathering, and become one convolution;
// timm.models.repghost
#include "nn/fuse.h"
#include "zoo/blocks/ghost.h"
#include "zoo/family.h"

namespace fovea::zoo::repghost {
namespace {

struct Cfg {
  double width = 1;
  bool reparam = true;  // the cheap convolution has a norm beside it
};
FOVEA_SETTINGS(Cfg, width, reparam)

struct RepGhost final : Module, Fusible {
  Ref<Module> primary_conv, cheap_operation, relu;
  Maybe<Module> fusion_bn;
  RepGhost(const Cfg& c, int in, int out, const Act& act) {
    Sequential primary, norms, cheap;
    primary.add(Conv2d(in, out, 1));
    primary.add(BatchNorm2d(out, {}, act));
    primary_conv = add("primary_conv", std::move(primary));
    if (c.reparam) {
      norms.add(BatchNorm2d(out));
      fusion_bn = add("fusion_bn", std::move(norms));
    }
    cheap.add(Conv2d(out, out, 3, {.groups = out}));
    cheap.add(BatchNorm2d(out));
    cheap_operation = add("cheap_operation", std::move(cheap));
    relu = add("relu", Activation(act));
  }
  Tensor forward(const Tensor& x) override { return relu(branches(primary_conv(x))); }
  void fuse() override {
    if (!fusion_bn) return;
    std::unique_ptr<Conv2d> conv = fused_conv(*this, dynamic_cast<Conv2d&>(*find("cheap_operation.0")),
                                              Branches([this](const Tensor& x) { return branches(x); }));
    give_up({fusion_bn.get()});
    fusion_bn = {};
    cheap_operation = replace("cheap_operation", std::move(conv));
  }

 private:
  Tensor branches(const Tensor& x) {
    const Tensor y = cheap_operation(x);
    return fusion_bn ? y + fusion_bn(x) : y;
  }
};

class RepGhostNet final : public GhostModel {
 public:
  RepGhostNet(const Cfg& c, const ModelOptions& o) : GhostModel(o) {
    constexpr std::array<int, kGhostBlocks> kExpanded{8,   24,  36,  36,  60,  120, 100, 120,
                                                      120, 240, 336, 336, 480, 480, 480, 480};
    const std::vector<GhostPlace> places = ghost_places(c.width, kExpanded);
    std::vector<std::unique_ptr<Module>> blocks;
    for (const GhostPlace& p : places)
      blocks.push_back(std::make_unique<GhostBottleneck>(p, std::make_unique<RepGhost>(c, p.in, p.mid, act::relu),
                                                         std::make_unique<RepGhost>(c, p.mid, p.out, act::none)));
    build(o, places, std::move(blocks), make_divisible(kExpanded.back() * c.width * 2, 4));
  }
};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("blocks.0.0.ghost1.cheap_operation.bias")) fuse(model);
  return weights;
}

constexpr Variant<Cfg> variants[] = {
    {"repghostnet_050", {.width = 0.5}},  {"repghostnet_058", {.width = 0.58}},
    {"repghostnet_080", {.width = 0.8}},  {"repghostnet_100", {}},
    {"repghostnet_111", {.width = 1.11}}, {"repghostnet_130", {.width = 1.3}},
    {"repghostnet_150", {.width = 1.5}},  {"repghostnet_200", {.width = 2}},
};

}  // namespace

FOVEA_FAMILY(repghost, RepGhostNet, variants, .accepts = {.drop_path_rate = false}, .adapt = adapt)
}  // namespace fovea::zoo::repghost
