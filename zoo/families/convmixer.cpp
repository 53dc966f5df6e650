// SPDX-License-Identifier: Apache-2.0
// zoo/families/convmixer.cpp — ConvMixer: patches, then large depthwise and pointwise convolutions by turns:
// https://arxiv.org/abs/2201.09792; timm.models.convmixer
#include "zoo/blocks/chained.h"
#include "zoo/family.h"

namespace fovea::zoo::convmixer {
namespace {

struct Cfg {
  int dim = 1536, depth = 20, kernel_size = 9, patch_size = 7;
  Act act_layer = act::gelu;
};
FOVEA_SETTINGS(Cfg, dim, depth, kernel_size, patch_size, act_layer)

// A convolution, its activation and a norm of what that gives.
void conv_act_norm(Sequential& s, const Cfg& c, Conv2d conv) {
  s.add(std::move(conv));
  s.add(Activation(c.act_layer));
  s.add(BatchNorm2d(c.dim));
}

struct Residual final : Module {
  Ref<Module> fn;
  explicit Residual(const Cfg& c) {
    Sequential s;
    conv_act_norm(s, c,
                  Conv2d(c.dim, c.dim, c.kernel_size, {.groups = c.dim, .padding = Padding::Kind::same, .bias = true}));
    fn = add("fn", std::move(s));
  }
  Tensor forward(const Tensor& x) override { return fn(x) + x; }
};

class ConvMixer final : public Chained<ImageModel> {
 public:
  ConvMixer(const Cfg& c, const ModelOptions& o) : Chained(o) {
    Sequential first, blocks;
    conv_act_norm(
        first, c,
        Conv2d(o.in_chans.value_or(3), c.dim, c.patch_size, {.stride = c.patch_size, .padding = 0, .bias = true}));
    add("stem", std::move(first));
    stem("stem");
    for (int i = 0; i < c.depth; ++i) {
      Sequential block;
      block.add(Residual(c));
      conv_act_norm(block, c, Conv2d(c.dim, c.dim, 1, {.bias = true}));
      blocks.add(std::move(block));
    }
    add("blocks", std::move(blocks));
    for (int i = 0; i < c.depth; ++i) level(str_cat("blocks.", i));
    default_levels_ = 3;
    classifier("head", c.dim);
  }
  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^stem"}, {1, "^blocks.#"}}; }

 protected:
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {}, .one_width = true}; }
};

constexpr Variant<Cfg> variants[] = {
    {"convmixer_1024_20_ks9_p14", {.dim = 1024, .patch_size = 14}},
    {"convmixer_1536_20", {}},
    {"convmixer_768_32", {.dim = 768, .depth = 32, .kernel_size = 7, .act_layer = act::relu}},
};

}  // namespace

FOVEA_FAMILY(convmixer, ConvMixer, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::convmixer
