// SPDX-License-Identifier: Apache-2.0
// zoo/families/hieradet_sam2.cpp — the image encoder of SAM 2: Hiera over maps of any size, with windows that are cut
// out of them and a few blocks that see all. timm.models.hieradet_sam2; https://arxiv.org/abs/2408.00714
#include <algorithm>

#include "nn/layers/attention.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/hiera.h"
#include "zoo/blocks/missing_values.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::hieradet_sam2 {
namespace {

struct Cfg {
  HieraCfg hiera{};
  std::array<int, 2> patch_size{0, 0};  // not 0: patches that do not overlap, of this size
  std::array<int, 2> global_pos_size{7, 7};
  std::array<int, 4> window_spec{8, 4, 14, 7};  // of each stage
  std::string_view global_att_blocks = "12,16,20";
  Act act_layer = act::gelu;
};
FOVEA_SETTINGS(Cfg, hiera, patch_size, global_pos_size, window_spec, global_att_blocks, act_layer)

// N,H,W,C -> the maxima of non-overlapping rectangles.
Tensor pooled(const Tensor& x, Size2 stride) {
  const Tensor map = permute(x, {0, 3, 1, 2});
  return permute(max_pool(map, {.kernel{stride.h, stride.w}, .stride{stride.h, stride.w}}), {0, 2, 3, 1});
}
Size2 up_to_windows(const Tensor& x, Size2 window) {
  const auto up = [](int64_t size, int step) { return static_cast<int>((size + step - 1) / step * step); };
  return {up(x.dim(1), window.h), up(x.dim(2), window.w)};
}

class Attention final : public Module {
 public:
  explicit Attention(const HieraPlace& p) : heads_(p.heads), stride_(p.stride) {
    head_channels(p.out, p.heads);
    qkv_ = add("qkv", Linear(p.in, 3 * p.out));
    proj_ = add("proj", Linear(p.out, p.out));
  }
  /// Over tokens of windows of that size -> those of pooled windows.
  Tensor operator()(const Tensor& tokens, Size2 window) {
    const Scope scope(name());
    const std::vector<Tensor> each = chunk(qkv_(tokens), 3, 2);
    const Tensor q =
        stride_ == Size2(1) ? each[0] : flatten(pooled(unflatten(each[0], 1, window.dims()), stride_), 1, 2);
    return proj_(merge_heads(sdpa(split_heads(q, heads_), split_heads(each[1], heads_), split_heads(each[2], heads_))));
  }

 private:
  int heads_;
  Size2 stride_;
  Ref<Linear> qkv_, proj_;
};

class Block final : public HieraBlock {
 public:
  Block(const Cfg& c, const HieraPlace& p, bool global)
      : window_(global ? 0 : c.window_spec[static_cast<size_t>(p.attended_as())]),
        stride_(p.stride) {
    if (p.in != p.out) proj_ = add("proj", Linear(p.in, p.out));
    norm1_ = add("norm1", token_norm({.kind = c.hiera.norm_layer}, p.in));
    attn_ = add("attn", Attention(p));
    end_block(c.hiera, p, 4, c.act_layer);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor normed = norm1_(x);
    const bool pools = stride_ != Size2(1);
    Tensor shortcut = x;
    if (proj_) shortcut = pools ? pooled(proj_(normed), stride_) : proj_(normed);
    return finish(shortcut, window_ > 0 ? windowed(normed, shortcut) : whole(normed, shortcut));
  }

 private:
  Tensor whole(const Tensor& x, const Tensor& like) {
    const Size2 map(static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)));
    return unflatten((*attn_)(flatten(x, 1, 2), map), 1, {like.dim(1), like.dim(2)});
  }
  Tensor windowed(const Tensor& x, const Tensor& like) {
    const Size2 window = window_, after(window.h / stride_.h, window.w / stride_.w), whole = up_to_windows(like, after);
    const Tensor tokens = (*attn_)(window_partition(filled_to_windows(x, window), window), window);
    const Tensor y = window_reverse(tokens, after, whole);
    return whole.h > like.dim(1) || whole.w > like.dim(2) ? slice(slice(y, 1, 0, like.dim(1)), 2, 0, like.dim(2)) : y;
  }
  int window_;  // 0: attention to all
  Size2 stride_;
  Maybe<Module> proj_;
  Ref<Module> norm1_;
  Ref<Attention> attn_;
};

struct Patches final : Module {
  Ref<Module> proj;
  Patches(const Cfg& c, int in_chans) { proj = add("proj", hiera_patches(c.hiera, in_chans)); }
  Tensor forward(const Tensor& image) override { return permute(proj(image), {0, 2, 3, 1}); }
};

class HieraDet final : public HieraModel {
 public:
  HieraDet(const Cfg& c, const ModelOptions& o) : HieraModel(c.hiera, o) {
    const int dim = c.hiera.embed_dim, side = c.window_spec[0], in_chans = o.in_chans.value_or(3);
    pos_embed_ = param("pos_embed", {1, dim, c.global_pos_size[0], c.global_pos_size[1]}, init::trunc_normal(0.02));
    pos_embed_window_ = param("pos_embed_window", {1, dim, side, side}, init::trunc_normal(0.02));
    if (c.patch_size[0] > 0)
      patch_embed_ = add("patch_embed", PatchEmbed(in_chans, dim,
                                                   {.image = 0,
                                                    .patch = {c.patch_size[0], c.patch_size[1]},
                                                    .strict_size = false,
                                                    .pad = true,
                                                    .flatten = false}));
    else patch_embed_ = add("patch_embed", Patches(c, in_chans));
    std::vector<int> global;
    for (const std::string& number : split_list(c.global_att_blocks))
      if (!read_setting(number, global.emplace_back()))
        throw Error(Error::Kind::argument, str_cat("global_att_blocks has '", number, "'"),
                    "it lists numbers of blocks");
    Sequential blocks;
    int width = dim;
    for (const HieraPlace& p : hiera_places(c.hiera, o)) {
      width = p.out;
      blocks.add(Block(c, p, std::ranges::find(global, p.block) != global.end()));
    }
    add("blocks", std::move(blocks));
    hiera_head(c.hiera, width);
  }

  std::vector<std::string> no_weight_decay() const override { return {"pos_embed", "pos_embed_window"}; }

  Tensor forward_features(const Tensor& image) override {
    const Tensor x = patch_embed_(image);
    return run_blocks(x + positions(x.dim(1), x.dim(2)), [](const Tensor& map, size_t) { return map; });
  }

 private:
  Tensor positions(int64_t height, int64_t width) const {
    const int64_t side = pos_embed_window_->dim(2);
    const Tensor in_window = repeat(pos_embed_window_, {1, 1, height / side, width / side});
    if (in_window.dim(2) != height || in_window.dim(3) != width)
      throw Error(Error::Kind::shape,
                  str_cat("a map of ", height, " x ", width, " does not divide into windows of ", side),
                  current_scope());
    const Tensor in_image = interpolate(pos_embed_, {height, width}, {.mode = Interpolation::cubic});
    return permute(in_image + in_window, {0, 2, 3, 1});
  }
  Param pos_embed_, pos_embed_window_;
  Ref<Module> patch_embed_;
};

// SAM 2's files hold more than the encoder, which lacks what a classifier needs.
StateDict adapt(ImageModel& model, StateDict weights) {
  constexpr const char* trunk = "image_encoder.trunk.";
  constexpr Rename rows[] = {{"mlp.layers.0", "mlp.fc1"}, {"mlp.layers.1", "mlp.fc2"}};
  const bool whole = any_below(weights, trunk);
  StateDict w = rename(whole ? below(weights, trunk) : weights, rows);
  if (whole) add_missing(model, w, "head.");
  return w;
}

constexpr Cfg sam2(std::array<int, 4> stages, std::string_view global) {
  return {.hiera{.stages = stages}, .global_att_blocks = global};
}
constexpr Cfg base_plus{.hiera{.embed_dim = 112, .num_heads = 2}, .global_pos_size{14, 14}};
constexpr Cfg large{.hiera{.embed_dim = 144, .num_heads = 2, .stages{2, 6, 36, 4}},
                    .window_spec{8, 4, 16, 8},
                    .global_att_blocks = "23,33,43"};
constexpr Cfg det_small{
    .hiera{.stages{1, 2, 11, 2}, .init_values = 1e-5}, .window_spec{8, 4, 16, 8}, .global_att_blocks = "7,10,13"};
constexpr Variant<Cfg> variants[] = {
    {"hieradet_small", det_small},
    {"sam2_hiera_base_plus", base_plus},
    {"sam2_hiera_large", large},
    {"sam2_hiera_small", sam2({1, 2, 11, 2}, "7,10,13")},
    {"sam2_hiera_tiny", sam2({1, 2, 7, 2}, "5,7,9")},
};

}  // namespace

FOVEA_FAMILY(hieradet_sam2, HieraDet, variants, .adapt = adapt)

}  // namespace fovea::zoo::hieradet_sam2
