// SPDX-License-Identifier: Apache-2.0
// zoo/families/fasternet.cpp — FasterNet: only some of the channels are convolved: https://arxiv.org/abs/2303.03667;
// timm.models.fasternet
#include "zoo/blocks/chained.h"
#include "zoo/blocks/conv_headed.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::fasternet {
namespace {

struct Cfg {
  int embed_dim = 96;
  std::array<int, 4> depths{1, 2, 8, 2};
  double mlp_ratio = 2;
  int n_div = 4;  // one channel of so many is convolved
  int patch_size = 4, merge_size = 2;
  bool patch_norm = true;
  int feature_dim = 1280;
  double layer_scale_init_value = 0;  // 0: none
  Act act_layer = act::relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  float drop_path_rate = 0.1f;
};
FOVEA_SETTINGS(Cfg, embed_dim, depths, mlp_ratio, n_div, patch_size, merge_size, patch_norm, feature_dim,
               layer_scale_init_value, act_layer, norm_layer)

std::unique_ptr<Module> norm(const Cfg& c, int channels) { return norm2d({.kind = c.norm_layer}, channels); }

struct PartialConv final : Module {
  Ref<Module> conv;
  int64_t convolved, passed;
  PartialConv(const Cfg& c, int channels) : convolved(channels / c.n_div), passed(channels - convolved) {
    const int n = static_cast<int>(convolved);
    conv = add("partial_conv3", Conv2d(n, n, 3));
  }
  Tensor forward(const Tensor& x) override {
    const Tensors parts = split(x, {convolved, passed}, 1);
    return cat({conv(parts[0]), parts[1]}, 1);
  }
};

struct MlpBlock final : Module {
  Param layer_scale;
  Ref<Module> mlp, spatial_mixing;
  Maybe<Module> drop_path;
  MlpBlock(const Cfg& c, int channels, double drop) {
    if (c.layer_scale_init_value > 0)
      layer_scale = param("layer_scale", {channels}, init::constant(c.layer_scale_init_value));
    const int hidden = static_cast<int>(channels * c.mlp_ratio);
    Sequential s;
    s.add(Conv2d(channels, hidden, 1));
    s.add(norm(c, hidden));
    s.add(Activation(c.act_layer));
    s.add(Conv2d(hidden, channels, 1));
    mlp = add("mlp", std::move(s));
    spatial_mixing = add("spatial_mixing", PartialConv(c, channels));
    if (drop > 0) drop_path = add("drop_path", DropPath(drop));
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = mlp(spatial_mixing(x));
    if (layer_scale) y = y * reshape(layer_scale, {-1, 1, 1});
    return x + drop_path(y);
  }
};

// Patches that do not overlap become pixels.
struct Patches final : Module {
  Ref<Module> conv;
  Maybe<Module> after;
  Patches(const Cfg& c, std::string_view name, int in, int out, int size, bool normed = true) {
    conv = add(name, Conv2d(in, out, size, {.stride = size, .padding = 0}));
    if (normed) after = add("norm", norm(c, out));
  }
  Tensor forward(const Tensor& x) override { return after(conv(x)); }
};

struct Stage final : Module {
  Ref<Module> blocks;
  Maybe<Module> downsample;
  Stage(const Cfg& c, size_t s, DropPathRamp& drop_path) {
    const int channels = c.embed_dim << s;
    Sequential all;
    for (int i = 0; i < c.depths[s]; ++i) all.add(MlpBlock(c, channels, drop_path.next()));
    blocks = add("blocks", std::move(all));
    if (s > 0) downsample = add("downsample", Patches(c, "reduction", channels / 2, channels, c.merge_size));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class FasterNet final : public Chained<ConvHeaded<ImageModel>> {
 public:
  FasterNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    add("patch_embed", Patches(c, "proj", o.in_chans.value_or(3), c.embed_dim, c.patch_size, c.patch_norm));
    stem("patch_embed");
    DropPathRamp drop_path(o, c.depths, c.drop_path_rate);
    Sequential all;
    for (size_t s = 0; s < 4; ++s) all.add(Stage(c, s, drop_path));
    add("stages", std::move(all));
    parts("stages", {0, 1, 2, 3});
    conv_head(8 * c.embed_dim, {.hidden = c.feature_dim, .conv = {}, .act = c.act_layer});
    start_values();
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^patch_embed"}, {1, "^stages.#"}};
    return {{0, "^patch_embed"},
            {.group = 1, .pattern = "^stages.#.downsample", .number = 0},
            {1, "^stages.#.blocks.#"},
            {.group = 1, .pattern = "^conv_head", .joins_previous = true}};
  }

 private:
  void start_values() {
    visit([](const std::string&, Module& m) {
      if (auto* conv = dynamic_cast<Conv2d*>(&m)) conv->weight.slot().init = init::trunc_normal(0.02);
      auto* linear = dynamic_cast<Linear*>(&m);
      if (!linear) return;
      linear->weight.slot().init = init::trunc_normal(0.02);
      linear->bias.slot().init = init::zeros();
    });
  }
};

constexpr Variant<Cfg> variants[] = {
    {"fasternet_l", {.embed_dim = 192, .depths{3, 4, 18, 3}, .drop_path_rate = 0.3f}},
    {"fasternet_m", {.embed_dim = 144, .depths{3, 4, 18, 3}, .drop_path_rate = 0.2f}},
    {"fasternet_s", {.embed_dim = 128, .depths{1, 2, 13, 2}}},
    {"fasternet_t0", {.embed_dim = 40, .act_layer = act::gelu, .drop_path_rate = 0}},
    {"fasternet_t1", {.embed_dim = 64, .act_layer = act::gelu, .drop_path_rate = 0.02f}},
    {"fasternet_t2", {.drop_path_rate = 0.05f}},
};

}  // namespace

FOVEA_FAMILY(fasternet, FasterNet, variants)
}  // namespace fovea::zoo::fasternet
