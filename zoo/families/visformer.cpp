// SPDX-License-Identifier: Apache-2.0
// zoo/families/visformer.cpp — Visformer: a convolutional first stage, then attention by 1x1 convolutions, batch norms
// throughout. timm.models.visformer; https://arxiv.org/abs/2104.12533
#include <array>
#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/conv.h"
#include "nn/layers/drop.h"
#include "nn/layers/norm.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::visformer {
namespace {

constexpr size_t kStages = 3;

struct Cfg {
  int init_channels = 32;  // of the 7x7 stem; 0: there is none
  int embed_dim = 384, patch_size = 16, num_heads = 6;
  std::array<int, kStages> depth{7, 4, 4};
  double mlp_ratio = 4;
  int group = 8;                                              // of the 3x3 convolutions
  std::string_view attn_stage = "011", spatial_conv = "100";  // a digit a stage: whether there are any
  bool use_pos_embed = true, vit_stem = false;
  bool conv_init = true;  // first values of convolutions are He's
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  bool embed_norm = true;  // a norm behind the convolution of patches
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, init_channels, embed_dim, patch_size, num_heads, depth, mlp_ratio, group, attn_stage, spatial_conv,
               use_pos_embed, vit_stem, conv_init, norm_layer, embed_norm, pos_drop_rate, proj_drop_rate,
               attn_drop_rate)

struct SpatialMlp final : Module {
  Ref<Module> conv1, act1, drop1, conv3, drop3;
  Maybe<Module> conv2, act2;
  SpatialMlp(const Cfg& c, int dim, bool spatial) {
    const int narrow = c.group < 2 ? dim * 5 / 6 : 2 * dim;
    const int hidden = spatial ? narrow : static_cast<int>(dim * c.mlp_ratio);
    conv1 = add("conv1", Conv2d(dim, hidden, 1));
    act1 = add("act1", Activation(act::gelu));
    drop1 = add("drop1", Dropout(c.proj_drop_rate));
    if (spatial) {
      conv2 = add("conv2", Conv2d(hidden, hidden, 3, {.groups = c.group}));
      act2 = add("act2", Activation(act::gelu));
    }
    conv3 = add("conv3", Conv2d(hidden, dim, 1));
    drop3 = add("drop3", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override { return drop3(conv3(act2(conv2(drop1(act1(conv1(x))))))); }
};

struct MapAttention final : Module {
  int heads;
  double drop;
  Ref<Module> qkv, proj, proj_drop;
  MapAttention(const Cfg& c, int dim, double head_ratio) : heads(c.num_heads), drop(c.attn_drop_rate) {
    const int inner = heads * static_cast<int>(std::nearbyint(dim / heads * head_ratio));
    qkv = add("qkv", Conv2d(dim, 3 * inner, 1));
    proj = add("proj", Conv2d(inner, dim, 1));
    proj_drop = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> each = chunk(split_map_heads(qkv(x), 3 * heads), 3, 1);
    const bool drops = training() && drop > 0;
    const Tensor y = sdpa(each[0], each[1], each[2], {}, {.dropout = drops ? drop : 0, .key = drops ? next_key() : 0});
    return proj_drop(proj(merge_map_heads(y, x.dim(2), x.dim(3))));
  }
};

struct Block final : Module {
  Maybe<Module> norm1, attn;
  Ref<Module> drop_path, norm2, mlp;
  Block(const Cfg& c, size_t stage, int dim, double drop_rate) {
    drop_path = add("drop_path", DropPath(drop_rate));
    if (c.attn_stage[stage] != '0') {
      norm1 = add("norm1", norm2d({.kind = c.norm_layer}, dim));
      attn = add("attn", MapAttention(c, dim, stage == 0 ? 0.5 : 1));
    }
    norm2 = add("norm2", norm2d({.kind = c.norm_layer}, dim));
    mlp = add("mlp", SpatialMlp(c, dim, c.spatial_conv[stage] == '1'));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = attn ? x + drop_path(attn(norm1(x))) : x;
    return y + drop_path(mlp(norm2(y)));
  }
};

struct Patches final : Module {
  Ref<Module> proj;
  Maybe<Module> norm;
  Patches(const Cfg& c, int in, int out, int patch) {
    proj = add("proj", Conv2d(in, out, patch, {.stride = patch, .padding = 0, .bias = true}));
    if (c.embed_norm) norm = add("norm", norm2d({.kind = c.norm_layer}, out));
  }
  Tensor forward(const Tensor& x) override { return norm(proj(x)); }
};

class Visformer final : public ImageModel {
 public:
  Visformer(const Cfg& c, const ModelOptions& o) : ImageModel(o), image_(o.img_size.value_or(std::array{224, 224})) {
    if (c.attn_stage.size() != kStages || c.spatial_conv.size() != kStages)
      throw Error(Error::Kind::argument, "attn_stage and spatial_conv have a digit for each of three stages");
    int channels = o.in_chans.value_or(3), patch = c.vit_stem ? c.patch_size : c.patch_size / 2;
    Size2 map{image_[0], image_[1]};
    if (!c.vit_stem && c.init_channels > 0) {
      Sequential first;
      first.add(Conv2d(channels, c.init_channels, 7, {.stride = 2}));
      first.add(BatchNorm2d(c.init_channels));
      first.add(Activation(act::relu));
      stem_ = add("stem", std::move(first));
      channels = c.init_channels;
      map = {map.h / 2, map.w / 2};
      patch = c.patch_size / 4;
    }
    DropPathRamp drop_path(o, c.depth);
    for (size_t i = 0; i < kStages; ++i) {
      const int dim = (c.embed_dim << i) / 2;
      if (i == 0 || !c.vit_stem) {
        const int embedded = c.vit_stem ? c.embed_dim : dim;
        map = {map.h / patch, map.w / patch};
        patch_embed_[i] = add(str_cat("patch_embed", i + 1), Patches(c, channels, embedded, patch));
        if (c.use_pos_embed)
          pos_embed_[i] = param(str_cat("pos_embed", i + 1), {1, embedded, map.h, map.w}, init::trunc_normal(0.02));
        channels = embedded;
        patch = c.patch_size / 8;
      }
      if (i == 0 && c.use_pos_embed) pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
      Sequential blocks;
      for (int n = 0; n < c.depth[i]; ++n) blocks.add(Block(c, i, dim, drop_path.next()));
      stage_[i] = add(str_cat("stage", i + 1), std::move(blocks));
    }
    norm_ = add("norm", norm2d({.kind = c.norm_layer}, c.vit_stem ? c.embed_dim : 2 * c.embed_dim));
    classifier("head", c.vit_stem ? c.embed_dim : 2 * c.embed_dim);
    start_weights(*this, init::trunc_normal(0.02));
    if (c.conv_init) he_normal_convs(*this, Fan::out);
  }
  Tensor forward_features(const Tensor& image) override {
    if (image.dim(2) != image_[0] || image.dim(3) != image_[1])
      throw Error(
          Error::Kind::shape,
          str_cat("an image of ", image.dim(2), " x ", image.dim(3), " met a model for ", image_[0], " x ", image_[1]),
          "create it with img_size");
    Tensor x = stem_(image);
    for (size_t i = 0; i < kStages; ++i) {
      x = patch_embed_[i](x);
      if (pos_embed_[i]) x = pos_drop_(x + *pos_embed_[i]);
      x = run(*stage_[i], x);
      if (tap(stage_[i]->name(), x)) return x;
    }
    return norm_(x);
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^patch_embed1"},
            {0, "^pos_embed1"},
            {0, "^stem"},
            {1, "^stage#.#"},
            {.group = 1, .pattern = "^patch_embed#", .number = 0},
            {.group = 1, .pattern = "^pos_embed#", .number = 0},
            {.group = 1, .pattern = "^norm", .number = 99999}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == stage_[kStages - 1]->name() ? norm_(tapped.value) : tapped.value;
  }
  void vacate_behind(std::string_view level, std::string_view last_level) override {
    ImageModel::vacate_behind(level, last_level);
    for (size_t i = kStages; i-- > 0 && stage_[i]->name() != level;) {
      if (pos_embed_[i]) remove(str_cat("pos_embed", i + 1));
      pos_embed_[i] = {};
    }
  }

 private:
  std::array<int, 2> image_;
  std::array<Param, kStages> pos_embed_;
  std::array<Maybe<Module>, kStages> patch_embed_;
  std::array<Ref<Module>, kStages> stage_;
  Maybe<Module> stem_, pos_drop_;
  Ref<Module> norm_;
};

constexpr Variant<Cfg> variants[] = {
    {"visformer_small", {}},
    {"visformer_tiny", {.init_channels = 16, .embed_dim = 192, .num_heads = 3}},
};

}  // namespace

FOVEA_FAMILY(visformer, Visformer, variants, .accepts = {.img_size = true})

}  // namespace fovea::zoo::visformer
