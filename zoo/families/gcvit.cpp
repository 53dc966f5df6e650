// SPDX-License-Identifier: Apache-2.0
// zoo/families/gcvit.cpp — GC ViT: attention within windows, whose queries in every other block come from the whole
// map. timm.models.gcvit; https://arxiv.org/abs/2206.09959
#include <algorithm>
#include <array>
#include <bit>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/channel_attention.h"
#include "nn/layers/layer_scale.h"
#include "nn/layers/pool.h"
#include "nn/layers/position_bias.h"
#include "nn/layers/window_sdpa.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stage_windows.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::gcvit {
namespace {

struct Cfg {
  std::array<int, 4> depths{3, 4, 19, 5}, num_heads{2, 4, 8, 16};
  int embed_dim = 64;
  std::array<int, 4> window_ratio{32, 32, 16, 32};  // the image's size in a window's
  GivenWindows window_size{};                       // instead of these
  double mlp_ratio = 3;
  bool qkv_bias = true;
  double layer_scale = 0;  // what the factors of branches start as; 0: there are none
  double proj_drop_rate = 0, attn_drop_rate = 0;
  std::string_view weight_init{};  // of linear layers; "": PyTorch's; "vit": Xavier's; others: normal
  Act act_layer = act::gelu;
  double norm_eps = 1e-5;
};
FOVEA_SETTINGS(Cfg, depths, num_heads, embed_dim, window_ratio, window_size, mlp_ratio, qkv_bias, layer_scale,
               proj_drop_rate, attn_drop_rate, weight_init, act_layer, norm_eps)

/// A depthwise convolution, squeeze-and-excitation and a 1x1 convolution beside a shortcut.
struct MbConvBlock final : Module {
  Ref<Module> conv_dw, act, se, conv_pw;
  MbConvBlock(int dim, const Act& a) {
    conv_dw = add("conv_dw", Conv2d(dim, dim, 3, {.groups = dim}));
    act = add("act", Activation(a));
    se = add("se", SEModule(dim, {.ratio = 0.25, .act = a, .bias = false}));
    conv_pw = add("conv_pw", Conv2d(dim, dim, 1));
  }
  Tensor forward(const Tensor& x) override { return conv_pw(se(act(conv_dw(x)))) + x; }
};

struct Downsample final : Module {
  Ref<Module> norm1, conv_block, reduction, norm2;
  Downsample(const Cfg& c, int in, int out, const Act& a) {
    norm1 = add("norm1", LayerNorm2d(in, c.norm_eps));
    conv_block = add("conv_block", MbConvBlock(in, a));
    reduction = add("reduction", Conv2d(in, out, 3, {.stride = 2}));
    norm2 = add("norm2", LayerNorm2d(out, c.norm_eps));
  }
  Tensor forward(const Tensor& x) override { return norm2(reduction(conv_block(norm1(x)))); }
};

/// What attention asks in all windows: the map, shrunk to the size of one.
struct FeatureBlock final : Module {
  Ref<Module> blocks;
  FeatureBlock(int dim, int levels) {
    Sequential all;
    for (int i = 1; i <= std::max(levels, 1); ++i) {
      all.add(str_cat("conv", i), MbConvBlock(dim, act::gelu));
      if (i <= levels) all.add(str_cat("pool", i), MaxPool2d(3, {.stride = 2, .padding = 1}));
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(x); }
};

// Where a block stands.
struct BlockOptions {
  int dim = 0, heads = 1;
  Size2 window{};
  bool global = false;  // its queries are those of the whole map
  double drop_path = 0;
};

class Block final : public Module {
 public:
  Block(const Cfg& c, const BlockOptions& p) : options_(p) {
    norm1_ = add("norm1", LayerNorm(p.dim, c.norm_eps));
    attn_ = add("attn", WindowAttention(c, p));
    if (c.layer_scale > 0) ls1_ = add("ls1", LayerScale(p.dim, c.layer_scale));
    drop_path1_ = add("drop_path1", DropPath(p.drop_path));
    norm2_ = add("norm2", LayerNorm(p.dim, c.norm_eps));
    mlp_ = add(
        "mlp",
        Mlp(p.dim, {.hidden = static_cast<int>(p.dim * c.mlp_ratio), .act = c.act_layer, .drop = c.proj_drop_rate}));
    if (c.layer_scale > 0) ls2_ = add("ls2", LayerScale(p.dim, c.layer_scale));
    drop_path2_ = add("drop_path2", DropPath(p.drop_path));
  }
  /// N,H,W,C, and the queries of a window [N, area, C].
  Tensor operator()(const Tensor& x, const Tensor& asked) {
    const Scope scope(name());
    const Size2 map{static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2))};
    const Tensor seen = (*attn_)(window_partition(norm1_(x), options_.window), asked);
    const Tensor y = x + drop_path1_(ls1_(window_reverse(seen, options_.window, map)));
    return y + drop_path2_(ls2_(mlp_(norm2_(y))));
  }

 private:
  struct WindowAttention final : Module {
    int heads;
    bool global;
    double drop;
    Ref<PositionBias> rel_pos;
    Ref<Module> qkv, proj, proj_drop;
    WindowAttention(const Cfg& c, const BlockOptions& p) : heads(p.heads), global(p.global), drop(c.attn_drop_rate) {
      head_channels(p.dim, heads);  // throws when the heads do not divide the channels
      rel_pos = add("rel_pos", position_bias({.type = RelPosType::bias, .window = p.window}, heads));
      qkv = add("qkv", Linear(p.dim, (global ? 2 : 3) * p.dim, c.qkv_bias));
      proj = add("proj", Linear(p.dim, p.dim));
      proj_drop = add("proj_drop", Dropout(c.proj_drop_rate));
    }
    Tensor operator()(const Tensor& x, const Tensor& asked) {
      const Scope scope(name());
      const bool drops = training() && drop > 0;
      const AttentionOptions options{.scale = {}, .dropout = drops ? drop : 0, .key = drops ? next_key() : 0};
      return proj_drop(proj(window_sdpa(products(x, asked), rel_pos->bias(), {}, options)));
    }
    std::array<Tensor, 3> products(const Tensor& x, const Tensor& asked) {
      if (!global) return split_qkv(qkv(x), heads);
      const std::vector<Tensor> kv = chunk(qkv(x), 2, 2);
      const Tensor q = repeat_interleave(split_heads(asked, heads), x.dim(0) / asked.dim(0), 0);
      return {q, split_heads(kv[0], heads), split_heads(kv[1], heads)};
    }
  };
  BlockOptions options_;
  Ref<Module> norm1_, drop_path1_, norm2_, mlp_, drop_path2_;
  Ref<WindowAttention> attn_;
  Maybe<Module> ls1_, ls2_;
};

/// From N,C,H,W to N,C,H,W.
struct Stage final : Module {
  Maybe<Module> downsample, norm;
  Ref<Module> global_block;
  std::vector<Ref<Block>> blocks;
  Stage(const Cfg& c, size_t s, Size2 map, Size2 window, DropPathRamp& drop_path) {
    const int dim = c.embed_dim << s;
    if (s > 0) downsample = add("downsample", Downsample(c, dim / 2, dim, act::gelu));
    if (window.h < 1 || window.w < 1 || map.h % window.h != 0 || map.w % window.w != 0)
      throw Error(Error::Kind::argument,
                  str_cat("windows of ", window.h, " x ", window.w, " do not divide a map of ", map.h, " x ", map.w));
    const int times = std::min(map.h, map.w) / std::min(window.h, window.w);
    global_block = add("global_block", FeatureBlock(dim, std::bit_width(static_cast<unsigned>(times)) - 1));
    Sequential all;
    for (int i = 0; i < c.depths[s]; ++i)
      blocks.push_back(all.add(Block(c, {.dim = dim,
                                         .heads = c.num_heads[s],
                                         .window = window,
                                         .global = i % 2 == 1,
                                         .drop_path = drop_path.next()})));
    add("blocks", std::move(all));
    if (s + 1 == c.depths.size()) norm = add("norm", LayerNorm(dim, c.norm_eps));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = downsample(x), asked = flatten(permute(global_block(map), {0, 2, 3, 1}), 1, 2);
    Tensor y = permute(map, {0, 2, 3, 1});
    {
      const Scope scope("blocks");
      for (const Ref<Block>& block : blocks) y = (*block)(y, asked);
    }
    return permute(norm(y), {0, 3, 1, 2});
  }
};

struct Stem final : Module {
  Ref<Module> conv1, down;
  Stem(const Cfg& c, int in) {
    conv1 = add("conv1", Conv2d(in, c.embed_dim, 3, {.stride = 2, .bias = true}));
    down = add("down", Downsample(c, c.embed_dim, c.embed_dim, c.act_layer));
  }
  Tensor forward(const Tensor& x) override { return down(conv1(x)); }
};

class GlobalContextVit final : public Chained<HeadedModel> {
 public:
  GlobalContextVit(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    add("stem", Stem(c, o.in_chans.value_or(3)));
    stem("stem");
    DropPathRamp drop_path(o, c.depths);
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) {
      const int ratio = c.window_ratio[s];
      const Size2 window = c.window_size ? c.window_size.of[s] : Size2(image[0] / ratio, image[1] / ratio);
      stages.add(Stage(c, s, {image[0] / 4 >> s, image[1] / 4 >> s}, window, drop_path));
    }
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    head(c.embed_dim << 3);
    if (!c.weight_init.empty()) start_values(c.weight_init == "vit");
  }
  std::vector<std::string> no_weight_decay() const override { return {"relative_position_bias_table"}; }
  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^stem"}, {1, "^stages.#"}}; }

 private:
  void start_values(bool vit) {
    visit([vit](const std::string& path, Module& m) {
      auto* fc = dynamic_cast<Linear*>(&m);
      if (!fc) return;
      fc->weight.slot().init = vit ? init::xavier_uniform(fc->weight->shape()) : init::normal(0.02);
      if (fc->bias)
        fc->bias.slot().init = vit && path.find("mlp") != std::string::npos ? init::normal(1e-6) : init::zeros();
    });
  }
};

constexpr Variant<Cfg> variants[] = {
    {"gcvit_base", {.num_heads{4, 8, 16, 32}, .embed_dim = 128, .mlp_ratio = 2, .layer_scale = 1e-5}},
    {"gcvit_small", {.num_heads{3, 6, 12, 24}, .embed_dim = 96, .mlp_ratio = 2, .layer_scale = 1e-5}},
    {"gcvit_tiny", {}},
    {"gcvit_xtiny", {.depths{3, 4, 6, 5}}},
    {"gcvit_xxtiny", {.depths{2, 2, 6, 2}}},
};

}  // namespace

FOVEA_FAMILY(gcvit, GlobalContextVit, variants, .accepts = {.img_size = true})

}  // namespace fovea::zoo::gcvit
