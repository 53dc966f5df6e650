// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/swin.cpp — blocks, stages and the model of all generations of Swin.
#include "zoo/blocks/swin.h"

#include <algorithm>

#include "engine/ops/ops.h"
#include "nn/layers/pos_embed.h"
#include "weights_tools/edit.h"
#include "weights_tools/rename.h"
#include "zoo/blocks/windows.h"

namespace fovea::zoo {
namespace {

int rounded_up(int64_t size, int step) { return (static_cast<int>(size) + step - 1) / step * step; }

// Of a stage; each but the first halves what it gets, rounding up.
Size2 map_of(Size2 grid, int stage) {
  const int part = 1 << stage;
  return {rounded_up(grid.h, part) / part, rounded_up(grid.w, part) / part};
}

}  // namespace

SwinBlock::SwinBlock(const SwinCfg& c, const SwinPlace& p)
    : any_size_(c.any_size()),
      always_(c.always_partition),
      shifts_(p.shifts() && (p.window.h > 1 || p.window.w > 1)) {
  fit(p.map, p.window);
}

void SwinBlock::resize(Size2 map, Size2 window, std::optional<bool> always_partition) {
  always_ = always_partition.value_or(always_);
  fit(map, window);
  set_window(window_);
}

void SwinBlock::fit(Size2 map, Size2 wanted) {
  const auto side = [&](int size, int most) { return always_ ? most : std::min(size, most); };
  const auto shift = [&](int size, int most) { return shifts_ && (always_ || size > most) ? most / 2 : 0; };
  window_ = {side(map.h, wanted.h), side(map.w, wanted.w)};
  shift_ = {shift(map.h, wanted.h), shift(map.w, wanted.w)};
  if (attn_mask_) remove("attn_mask");
  attn_mask_ = {};
  if (shifted() && !any_size_) attn_mask_ = constant("attn_mask", shift_mask(padded(map.h, map.w), window_, shift_));
}

Size2 SwinBlock::padded(int64_t height, int64_t width) const {
  return {rounded_up(height, window_.h), rounded_up(width, window_.w)};
}

Tensor SwinBlock::attended(const Tensor& x) {
  const int64_t h = x.dim(1), w = x.dim(2);
  const Size2 map = padded(h, w);
  const bool pads = map.h > h || map.w > w;
  Tensor y = shifted() ? roll(x, {-shift_.h, -shift_.w}, {1, 2}) : x;
  if (pads) y = pad_last(y, {0, 0, 0, map.w - w, 0, map.h - h});
  const Tensor mask = shifted() && any_size_ ? shift_mask(map, window_, shift_).to(x.device()) : Tensor(attn_mask_);
  y = window_reverse(attend(window_partition(y, window_), mask), window_, map);
  if (pads) y = slice(slice(y, 1, 0, h), 2, 0, w);
  return shifted() ? roll(y, {shift_.h, shift_.w}, {1, 2}) : y;
}

Mlp SwinBlock::mlp(const SwinCfg& c, const SwinPlace& p, const Act& act) {
  return Mlp(p.channels, {.hidden = static_cast<int>(p.channels * c.mlp_ratio), .act = act, .drop = c.proj_drop_rate});
}

void PostNormSwinBlock::build(const SwinCfg& c, const SwinPlace& p, const PostNormOptions& o,
                              std::unique_ptr<CosineWindowAttention> attention) {
  attn_ = add("attn", std::move(attention));
  norm1_ = add("norm1", LayerNorm(p.channels, kSwinEps));
  drop1_ = add("drop_path1", DropPath(p.drop_path));
  mlp_ = add("mlp", mlp(c, p, o.act));
  norm2_ = add("norm2", LayerNorm(p.channels, kSwinEps));
  drop2_ = add("drop_path2", DropPath(p.drop_path));
  if (o.closes) norm3_ = add("norm3", LayerNorm(p.channels, kSwinEps));
  for (const Ref<LayerNorm>& norm : {norm1_, norm2_}) norm->weight.slot().init = init::constant(o.start);
}

Tensor PostNormSwinBlock::forward(const Tensor& x) {
  const Tensor y = x + drop1_(norm1_(attended(x)));
  return norm3_(y + drop2_(norm2_(mlp_(y))));
}

Size2 SwinModel::grid(const SwinCfg& c, const ModelOptions& o) {
  const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
  return {image[0] / c.patch_size, image[1] / c.patch_size};
}

struct SwinModel::Stage final : Module {
  Maybe<Module> downsample;
  std::vector<Ref<SwinBlock>> blocks;
  Stage(const SwinCfg& c, int stage, const WindowReference& windows, const SwinParts& parts, DropPathRamp& drop_path) {
    const int channels = c.embed_dim << stage;
    const auto s = static_cast<size_t>(stage);
    if (stage > 0) downsample = add("downsample", parts.downsample(channels / 2, channels));
    Sequential all;
    for (int i = 0; i < c.depths[s]; ++i)
      blocks.push_back(all.add(parts.block({.stage = stage,
                                            .block = i,
                                            .channels = channels,
                                            .heads = c.num_heads[s],
                                            .map = map_of(windows.grid, stage),
                                            .window = windows.windows.of[s],
                                            .drop_path = drop_path.next()})));
    add("blocks", std::move(all));
  }
};

SwinModel::SwinModel(const SwinCfg& c, const StageWindows& windows, const ModelOptions& o, const SwinParts& parts)
    : HeadedModel(o),
      name_(parts.stages),
      channels_last_(parts.channels_last),
      windows_{windows, {}} {
  features_nchw_ = !channels_last_;
  const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
  patch_embed_ = add("patch_embed", PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                               {.image = {size[0], size[1]},
                                                .patch = c.patch_size,
                                                .norm = {.kind = TokenNorm::Kind::layer, .eps = kSwinEps},
                                                .strict_size = !c.any_size(),
                                                .flatten = false}));
  windows_.grid = patch_embed_->grid();
  DropPathRamp drop_path(o, c.depths, parts.drop_path_rate);
  Sequential stages;
  for (int s = 0; s < 4; ++s) stages_.push_back(stages.add(Stage(c, s, windows_, parts, drop_path)));
  add(name_, std::move(stages));
  if (parts.norm) norm_ = add("norm", LayerNorm(8 * c.embed_dim, kSwinEps));
  head(8 * c.embed_dim, "avg", channels_last_);
}

Tensor SwinModel::forward_features(const Tensor& image) {
  Tensor x = patch_embed_(image);
  for (const Ref<Stage>& stage : stages_) {
    x = pass(*stage, x);
    const Tensor level = as_level(x);
    if (tap(str_cat(name_, '.', stage->name()), level, TapKind::block, channels_last_ ? 3 : 1)) return level;
  }
  return as_level(norm_(x));
}

Tensor SwinModel::as_level(const Tensor& x) const { return channels_last_ ? x : permute(x, {0, 3, 1, 2}); }

Tensor SwinModel::pass(Stage& stage, const Tensor& x) {
  const Scope stages(name_), own(stage.name());
  Tensor y = stage.downsample(x);
  const Scope blocks("blocks");
  for (const Ref<SwinBlock>& block : stage.blocks) y = run(*block, y);
  return y;
}

std::vector<LayerGroup> SwinModel::group_matcher(bool coarse) const {
  const auto below = [&](const char* part) { return str_cat('^', name_, ".#", part); };
  if (coarse) return {{0, "^patch_embed"}, {1, below("")}};
  std::vector<LayerGroup> rows{{.group = 0, .pattern = "^patch_embed"},
                               // beside the stage's first block
                               {.group = 1, .pattern = below(".downsample"), .number = 0},
                               {.group = 1, .pattern = below(".blocks.#")}};
  if (norm_) rows.push_back({.group = 1, .pattern = "^norm", .joins_previous = true});
  return rows;
}

AfterLevels SwinModel::after_levels() const {
  if (!norm_) return {};
  return {.norms = {"norm"}, .convs = {}};
}

Tensor SwinModel::final_norm(const Tap& tapped) {
  return norm_ && tapped.value.dim(3) == num_features() ? norm_(tapped.value) : tapped.value;
}

void SwinModel::resize_windows(std::array<int, 2> image, std::optional<int> patch, const WindowOptions& o) {
  const Size2 per = patch ? Size2(*patch) : patch_embed_->patch(), grid(image[0] / per.h, image[1] / per.w);
  if (grid.h < 1 || grid.w < 1)
    throw Error(Error::Kind::argument, str_cat("an image of ", image[0], " x ", image[1], " is smaller than a patch"));
  const StageWindows windows = windows_.fit(grid, o);
  patch_embed_->set_input_size(Size2(image[0], image[1]), per);
  for (int s = 0; s < 4; ++s)
    for (const Ref<SwinBlock>& block : stages_[static_cast<size_t>(s)]->blocks)
      block->resize(map_of(grid, s), windows.of[static_cast<size_t>(s)], o.always_partition);
}

StateDict adapt_swin(ImageModel& model, const StateDict& weights) {
  constexpr Rename buffers[] = {
      {"relative_position_index", nullptr}, {"relative_coords_table", nullptr}, {"attn_mask", nullptr}};
  constexpr Rename late_merging[] = {{"^layers.2.downsample", "layers.3.downsample"},
                                     {"^layers.1.downsample", "layers.2.downsample"},
                                     {"^layers.0.downsample", "layers.1.downsample"},
                                     {"^head.", "head.fc."}};
  StateDict w = rename(weights, buffers);
  if (w.contains("layers.0.downsample.reduction.weight")) w = rename(w, late_merging);
  change(w, "patch_embed.proj.weight", [&](const Tensor& t) {
    return t.rank() == 4 ? resample_patch_kernel(t, dynamic_cast<SwinModel&>(model).patch()) : t;
  });
  return w;
}

}  // namespace fovea::zoo
