// SPDX-License-Identifier: Apache-2.0
// zoo/families/twins.cpp — Twins: attention within windows and attention to a smaller map, by turns (SVT), or the
// latter alone (PCPVT); convolutions tell where tokens are. timm.models.twins; https://arxiv.org/abs/2104.13840
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/local_attention.h"
#include "zoo/blocks/reduced_attention.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::twins {
namespace {

constexpr size_t kStages = 4;
using Four = std::array<int, kStages>;

struct Cfg {
  int patch_size = 4;
  Four embed_dims{64, 128, 256, 512}, num_heads{1, 2, 4, 8}, mlp_ratios{4, 4, 4, 4}, depths{3, 4, 6, 3};
  Four sr_ratios{8, 4, 2, 1};  // by which the maps of keys and values are smaller
  Four wss{};                  // sides of the windows of every other block; 0: there are none
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, patch_size, embed_dims, num_heads, mlp_ratios, depths, sr_ratios, wss, pos_drop_rate,
               proj_drop_rate, attn_drop_rate)

Tensor to_last(const Tensor& map) { return permute(map, {0, 2, 3, 1}); }
Tensor to_first(const Tensor& map) { return permute(map, {0, 3, 1, 2}); }

/// From N,C,H,W to N,H,W,C, as all below is.
struct Patches final : Module {
  Ref<Module> proj, norm;
  Patches(int in, int out, int patch) {
    proj = add("proj", Conv2d(in, out, patch, {.stride = patch, .padding = 0, .bias = true}));
    norm = add("norm", LayerNorm(out, 1e-5));
  }
  Tensor forward(const Tensor& x) override { return norm(to_last(proj(x))); }
};

struct Block final : Module {
  Ref<Module> norm1, attn, drop_path1, norm2, mlp, drop_path2;
  Block(const Cfg& c, size_t stage, bool in_windows, double drop_rate) {
    const int dim = c.embed_dims[stage], heads = c.num_heads[stage];
    norm1 = add("norm1", LayerNorm(dim));
    if (in_windows)
      attn = add("attn", LocalAttention(dim, {.heads = heads,
                                              .window = c.wss[stage],
                                              .attn_drop = c.attn_drop_rate,
                                              .proj_drop = c.proj_drop_rate}));
    else
      attn = add("attn", ReducedAttention(dim, {.heads = heads,
                                                .part = c.sr_ratios[stage],
                                                .attn_drop = c.attn_drop_rate,
                                                .proj_drop = c.proj_drop_rate}));
    drop_path1 = add("drop_path1", DropPath(drop_rate));
    norm2 = add("norm2", LayerNorm(dim));
    mlp = add("mlp", Mlp(dim, {.hidden = dim * c.mlp_ratios[stage], .drop = c.proj_drop_rate}));
    drop_path2 = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path1(attn(norm1(x)));
    return y + drop_path2(mlp(norm2(y)));
  }
};

struct PosConv final : Module {
  Ref<Module> proj;
  explicit PosConv(int dim) {
    Sequential one;
    one.add(Conv2d(dim, dim, 3, {.groups = dim, .bias = true}));
    proj = add("proj", std::move(one));
  }
  Tensor forward(const Tensor& x) override { return to_last(proj(to_first(x))) + x; }
};

/// Features are tokens [N, L, C]; levels are maps.
class Twins final : public TokenHeadModel {
 public:
  Twins(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {.pool = "avg", .known = "avg", .prefix = 0}) {
    Sequential patches, drops, stages, positions;
    DropPathRamp drop_path(o, c.depths);
    for (size_t i = 0; i < kStages; ++i) {
      const int in = i == 0 ? o.in_chans.value_or(3) : c.embed_dims[i - 1], dim = c.embed_dims[i];
      Stage& s = stages_[i];
      s.patch_embed = patches.add(Patches(in, dim, i == 0 ? c.patch_size : 2));
      s.pos_drop = drops.add(Dropout(c.pos_drop_rate));
      Sequential blocks;
      for (int n = 0; n < c.depths[i]; ++n) blocks.add(Block(c, i, n % 2 == 0 && c.wss[i] > 1, drop_path.next()));
      s.blocks = stages.add(std::move(blocks));
      s.pos_block = positions.add(PosConv(dim));
    }
    add("patch_embeds", std::move(patches));
    add("pos_drops", std::move(drops));
    add("blocks", std::move(stages));
    add("pos_block", std::move(positions));
    norm_ = add("norm", LayerNorm(c.embed_dims[kStages - 1]));
    add_head(c.embed_dims[kStages - 1]);
    start_vit_values(*this, VitInit::timm, num_classes_);
    he_normal_convs(*this, Fan::group_out);
    zero_biases(*this);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor map = image, x;
    for (size_t i = 0; i < kStages && !stages_[i].blocks->vacant(); ++i) {
      x = pass(stages_[i], map);
      map = to_first(x);
      const bool enough = tap(str_cat("block.", i), map);
      if (enough && i + 1 < kStages && !stages_[i + 1].blocks->vacant()) return map;
    }
    return flatten(norm_(x), 1, 2);
  }
  std::vector<std::string> no_weight_decay() const override { return {"pos_block.*"}; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    std::vector<LayerGroup> rows{{0, "^patch_embeds.0"}, {1, coarse ? "^blocks.#" : "^blocks.#.#"}};
    for (const char* beside : {"^patch_embeds.#", "^pos_block.#"})
      rows.push_back({.group = 1, .pattern = beside, .number = coarse ? -1 : 0});
    rows.push_back({.group = 1, .pattern = "^norm", .number = 99999});
    return rows;
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    const bool last = tapped.module == str_cat("block.", kStages - 1);
    return last ? to_first(norm_(to_last(tapped.value))) : tapped.value;
  }
  // What belongs to later stages stands in four lists.
  void vacate_behind(std::string_view level, std::string_view) override {
    bool behind = false;
    for (size_t i = 0; i < kStages; ++i) {
      Stage& s = stages_[i];
      for (Module* m : {s.patch_embed.get(), s.pos_drop.get(), s.blocks.get(), s.pos_block.get()})
        if (behind) m->vacate();
      behind = behind || level == str_cat("block.", i);
    }
  }

 private:
  struct Stage {
    Ref<Module> patch_embed, pos_drop, blocks, pos_block;
  };
  Tensor pass(const Stage& s, const Tensor& map) {
    const auto in = [](std::string_view list, const Ref<Module>& part, const Tensor& x) {
      const Scope scope(list);
      return part(x);
    };
    Tensor x = s.pos_drop(in("patch_embeds", s.patch_embed, map));
    for (const auto& block : s.blocks->children()) {
      {
        const Scope blocks("blocks"), own(s.blocks->name());
        x = run(*block, x);
      }
      if (block == s.blocks->children().front()) x = in("pos_block", s.pos_block, x);
    }
    return x;
  }
  std::array<Stage, kStages> stages_;
  Ref<Module> norm_;
};

constexpr Cfg pcpvt(const Four& depths) {
  return {.embed_dims{64, 128, 320, 512}, .num_heads{1, 2, 5, 8}, .mlp_ratios{8, 8, 4, 4}, .depths = depths};
}
constexpr Cfg svt(int dim, int heads, const Four& depths) {
  return {.embed_dims{dim, 2 * dim, 4 * dim, 8 * dim},
          .num_heads{heads, 2 * heads, 4 * heads, 8 * heads},
          .depths = depths,
          .wss{7, 7, 7, 7}};
}
constexpr Variant<Cfg> variants[] = {
    {"twins_pcpvt_base", pcpvt({3, 4, 18, 3})},      {"twins_pcpvt_large", pcpvt({3, 8, 27, 3})},
    {"twins_pcpvt_small", pcpvt({3, 4, 6, 3})},      {"twins_svt_base", svt(96, 3, {2, 2, 18, 2})},
    {"twins_svt_large", svt(128, 4, {2, 2, 18, 2})}, {"twins_svt_small", svt(64, 2, {2, 2, 10, 4})},
};

}  // namespace

FOVEA_FAMILY(twins, Twins, variants, .accepts = {.img_size = true})

}  // namespace fovea::zoo::twins
