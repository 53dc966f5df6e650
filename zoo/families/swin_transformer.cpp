// SPDX-License-Identifier: Apache-2.0
// zoo/families/swin_transformer.cpp — Swin: attention in windows that every other block shifts; and S3, with windows of
// its own for each stage. timm.models.swin_transformer; https://arxiv.org/abs/2103.14030, 2111.14725
#include <algorithm>

#include "weights_tools/edit.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/patch_merging.h"
#include "zoo/blocks/relative_tables.h"
#include "zoo/blocks/stage_windows.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::swin_transformer {
namespace {

constexpr double kEps = 1e-5;

struct Cfg {
  int embed_dim = 96, patch_size = 4;
  std::array<int, 4> depths{2, 2, 6, 2}, num_heads{3, 6, 12, 24};
  int head_dim = 0;  // 0: channels / heads
  StageWindows window_size = 7;
  bool always_partition = false;  // else windows shrink to maps that are smaller, which stay unshifted
  bool strict_img_size = true, dynamic_img_size = false;  // not strict or dynamic: images of any size
  double mlp_ratio = 4;
  bool qkv_bias = true;
  double proj_drop_rate = 0, attn_drop_rate = 0;
  VitInit weight_init = VitInit::timm;

  bool any_size() const { return dynamic_img_size || !strict_img_size; }
};
FOVEA_SETTINGS(Cfg, embed_dim, patch_size, depths, num_heads, head_dim, window_size, always_partition, strict_img_size,
               dynamic_img_size, mlp_ratio, qkv_bias, proj_drop_rate, attn_drop_rate, weight_init)

int rounded_up(int64_t size, int step) { return (static_cast<int>(size) + step - 1) / step * step; }

// What differs from block to block.
struct Place {
  int channels, heads;
  Size2 map, window;
  bool shifts;
  double drop_path;
};

class Block final : public Module {
 public:
  Block(const Cfg& c, const Place& p)
      : any_size_(c.any_size()),
        always_(c.always_partition),
        shifts_(p.shifts && (p.window.h > 1 || p.window.w > 1)) {
    fit(p.map, p.window);
    norm1_ = add("norm1", LayerNorm(p.channels, kEps));
    attn_ = add("attn", WindowAttention(p.channels, {.heads = p.heads,
                                                     .head_dim = c.head_dim,
                                                     .window = window_,
                                                     .qkv_bias = c.qkv_bias,
                                                     .attn_drop = c.attn_drop_rate,
                                                     .proj_drop = c.proj_drop_rate}));
    drop1_ = add("drop_path1", DropPath(p.drop_path));
    norm2_ = add("norm2", LayerNorm(p.channels, kEps));
    mlp_ =
        add("mlp", Mlp(p.channels, {.hidden = static_cast<int>(p.channels * c.mlp_ratio), .drop = c.proj_drop_rate}));
    drop2_ = add("drop_path2", DropPath(p.drop_path));
  }

  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop1_(attended(norm1_(x)));
    return y + drop2_(mlp_(norm2_(y)));
  }

  void resize(Size2 map, Size2 window, std::optional<bool> always_partition) {
    always_ = always_partition.value_or(always_);
    fit(map, window);
    attn_->set_window(window_);
  }

 private:
  void fit(Size2 map, Size2 wanted) {
    const auto side = [&](int size, int most) { return always_ ? most : std::min(size, most); };
    const auto shift = [&](int size, int most) { return shifts_ && (always_ || size > most) ? most / 2 : 0; };
    window_ = {side(map.h, wanted.h), side(map.w, wanted.w)};
    shift_ = {shift(map.h, wanted.h), shift(map.w, wanted.w)};
    if (attn_mask_) remove("attn_mask");
    attn_mask_ = {};
    if (shifted() && !any_size_) attn_mask_ = constant("attn_mask", shift_mask(padded(map.h, map.w), window_, shift_));
  }
  bool shifted() const { return shift_.h > 0 || shift_.w > 0; }
  Size2 padded(int64_t height, int64_t width) const {
    return {rounded_up(height, window_.h), rounded_up(width, window_.w)};
  }

  Tensor attended(const Tensor& x) {
    const int64_t h = x.dim(1), w = x.dim(2);
    const Size2 map = padded(h, w);
    const bool pads = map.h > h || map.w > w;
    Tensor y = shifted() ? roll(x, {-shift_.h, -shift_.w}, {1, 2}) : x;
    if (pads) y = pad_last(y, {0, 0, 0, map.w - w, 0, map.h - h});
    const Tensor mask = shifted() && any_size_ ? shift_mask(map, window_, shift_).to(x.device()) : Tensor(attn_mask_);
    y = window_reverse((*attn_)(window_partition(y, window_), mask), window_, map);
    if (pads) y = slice(slice(y, 1, 0, h), 2, 0, w);
    return shifted() ? roll(y, {shift_.h, shift_.w}, {1, 2}) : y;
  }

  bool any_size_, always_, shifts_;
  Size2 window_, shift_;
  Param attn_mask_;  // for the size it was built for; others get theirs as they come
  Ref<LayerNorm> norm1_, norm2_;
  Ref<WindowAttention> attn_;
  Ref<Mlp> mlp_;
  Ref<DropPath> drop1_, drop2_;
};

// Of a stage; each but the first halves what it gets, rounding up.
Size2 map_of(Size2 grid, int stage) {
  const int part = 1 << stage;
  return {rounded_up(grid.h, part) / part, rounded_up(grid.w, part) / part};
}

struct Stage final : Module {
  Stage(const Cfg& c, int stage, Size2 grid, DropPathRamp& drop_path) {
    const int channels = c.embed_dim << stage;
    const auto s = static_cast<size_t>(stage);
    if (stage > 0) downsample = add("downsample", PatchMerging(channels / 2, channels, kEps));
    Sequential all;
    for (int i = 0; i < c.depths[s]; ++i)
      blocks.push_back(all.add(Block(c, {.channels = channels,
                                         .heads = c.num_heads[s],
                                         .map = map_of(grid, stage),
                                         .window = c.window_size.of[s],
                                         .shifts = i % 2 == 1,
                                         .drop_path = drop_path.next()})));
    add("blocks", std::move(all));
  }
  Maybe<PatchMerging> downsample;
  std::vector<Ref<Block>> blocks;
};

class SwinTransformer final : public HeadedModel, public WindowedModel {
 public:
  SwinTransformer(const Cfg& c, const ModelOptions& o) : HeadedModel(o), windows_{c.window_size, {}} {
    features_nchw_ = false;
    const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
    patch_embed_ = add("patch_embed", PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                                 {.image = {size[0], size[1]},
                                                  .patch = c.patch_size,
                                                  .norm = {.kind = TokenNorm::Kind::layer, .eps = kEps},
                                                  .strict_size = !c.any_size(),
                                                  .flatten = false}));
    windows_.grid = patch_embed_->grid();
    DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.1f)),
                           c.depths[0] + c.depths[1] + c.depths[2] + c.depths[3]);
    Sequential layers;
    for (int s = 0; s < 4; ++s) stages_.push_back(layers.add(Stage(c, s, windows_.grid, drop_path)));
    add("layers", std::move(layers));
    norm_ = add("norm", LayerNorm(8 * c.embed_dim, kEps));
    head(8 * c.embed_dim, "avg", true);
    start_vit_values(*this, c.weight_init, num_classes_);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = patch_embed_(image);
    for (const Ref<Stage>& stage : stages_)
      if (x = pass(*stage, x); tap(str_cat("layers.", stage->name()), x, TapKind::block, 3)) return x;
    return norm_(x);
  }

  std::vector<std::string> no_weight_decay() const override { return {"relative_position_bias_table"}; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^patch_embed"}, {1, "^layers.#"}};
    return {{.group = 0, .pattern = "^patch_embed"},
            {.group = 1, .pattern = "^layers.#.downsample", .number = 0},  // beside the stage's first block
            {.group = 1, .pattern = "^layers.#.blocks.#"},
            {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }
  Size2 patch() const { return patch_embed_->patch(); }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.value.dim(3) == num_features() ? norm_(tapped.value) : tapped.value;
  }

  void resize_windows(std::array<int, 2> image, std::optional<int> patch, const WindowOptions& o) override {
    const Size2 per = patch ? Size2(*patch) : patch_embed_->patch(), grid(image[0] / per.h, image[1] / per.w);
    if (grid.h < 1 || grid.w < 1)
      throw Error(Error::Kind::argument,
                  str_cat("an image of ", image[0], " x ", image[1], " is smaller than a patch"));
    const StageWindows windows = windows_.fit(grid, o);
    patch_embed_->set_input_size(Size2(image[0], image[1]), per);
    for (int s = 0; s < 4; ++s)
      for (const Ref<Block>& block : stages_[static_cast<size_t>(s)]->blocks)
        block->resize(map_of(grid, s), windows.of[static_cast<size_t>(s)], o.always_partition);
  }

 private:
  Tensor pass(Stage& stage, const Tensor& x) {
    const Scope layers("layers"), own(stage.name());
    Tensor y = stage.downsample(x);
    const Scope blocks("blocks");
    for (const Ref<Block>& block : stage.blocks) y = run(*block, y);
    return y;
  }

  Ref<PatchEmbed> patch_embed_;
  std::vector<Ref<Stage>> stages_;
  Ref<LayerNorm> norm_;
  WindowReference windows_;
};

// Buffers that are computed here; and in Microsoft's files a stage merges at its end, and the classifier is the head.
constexpr Rename kBuffers[] = {{"relative_position_index", nullptr}, {"attn_mask", nullptr}};
constexpr Rename kLateMerging[] = {{"^layers.2.downsample", "layers.3.downsample"},
                                   {"^layers.1.downsample", "layers.2.downsample"},
                                   {"^layers.0.downsample", "layers.1.downsample"},
                                   {"^head.", "head.fc."}};

StateDict adapt(ImageModel& model, StateDict weights) {
  StateDict w = rename(weights, kBuffers);
  if (w.contains("layers.0.downsample.reduction.weight")) w = rename(w, kLateMerging);
  change(w, "patch_embed.proj.weight", [&](const Tensor& t) {
    return t.rank() == 4 ? resample_patch_kernel(t, dynamic_cast<SwinTransformer&>(model).patch()) : t;
  });
  resample_relative_tables(model, w);
  return w;
}

constexpr Cfg swin(int dim, int heads, int depth, StageWindows windows = 7) {
  return {.embed_dim = dim,
          .depths{2, 2, depth, 2},
          .num_heads{heads, 2 * heads, 4 * heads, 8 * heads},
          .window_size = windows};
}
constexpr Variant<Cfg> variants[] = {
    {"swin_tiny_patch4_window7_224", swin(96, 3, 6)},     {"swin_small_patch4_window7_224", swin(96, 3, 18)},
    {"swin_base_patch4_window7_224", swin(128, 4, 18)},   {"swin_base_patch4_window12_384", swin(128, 4, 18, 12)},
    {"swin_large_patch4_window7_224", swin(192, 6, 18)},  {"swin_large_patch4_window12_384", swin(192, 6, 18, 12)},
    {"swin_s3_tiny_224", swin(96, 3, 6, {7, 7, 14, 7})},  {"swin_s3_small_224", swin(96, 3, 18, {14, 14, 14, 7})},
    {"swin_s3_base_224", swin(96, 3, 30, {7, 7, 14, 7})},
};

}  // namespace

FOVEA_FAMILY(swin_transformer, SwinTransformer, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::swin_transformer
