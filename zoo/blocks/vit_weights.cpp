// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights.cpp — which code base wrote the weights, and fitting them to patches and positions.
#include "zoo/blocks/vit_weights.h"

#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/adapted.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights/sources.h"

namespace fovea::zoo {
namespace {

StateDict with_our_names(const Vit& vit, StateDict w) {
  if (w.contains("visual.class_embedding")) return from_clip(w, "visual.");
  if (w.contains("module.visual.class_embedding")) return from_clip(w, "module.visual.");
  if (w.contains("mask_token")) return from_dinov2(w);
  if (w.contains("vision_encoder.mask_token")) return from_dinov2(below(w, "vision_encoder."));
  if (any_below(w, "beit3.")) return from_beit3(w);
  if (any_below(w, "encoder.module.blocks.")) return below(w, "encoder.module.");
  if (any_below(w, "visual.trunk.blocks.")) return from_open_clip(w, "visual.trunk.", vit);
  if (any_below(w, "module.visual.trunk.blocks.")) return below(w, "module.visual.trunk.");
  if (w.contains("preprocessor.patchifier.proj.weight")) return from_aim(w);
  if (any_below(w, "radio_model.model.")) return from_radio(w, vit);
  return from_jax_vit(w, vit.cfg().depth);
}

// The grid that the weights were made for, where their image size is known.
std::optional<Size2> grid_of_weights(const Vit& vit, const StateDict& w, int64_t tokens) {
  const Tensor* kernel = w.find("patch_embed.proj.weight");
  if (!kernel || kernel->rank() != 4) return {};
  const std::array<int, 3> size = vit.pretrained_cfg().input_size;
  const Size2 grid(size[1] / static_cast<int>(kernel->dim(2)), size[2] / static_cast<int>(kernel->dim(3)));
  if (static_cast<int64_t>(grid.h) * grid.w != tokens) return {};
  return grid;
}

}  // namespace

void fit_to_patches(const Vit& vit, StateDict& w, const ResampleOptions& how) {
  const Size2 patch = vit.patches().patch(), grid = vit.patches().grid();
  if (vit.pos_embed && w.contains("pos_embed")) {
    const int prefix = vit.cfg().tokens.no_embed_class ? 0 : vit.prefix_tokens();
    const int64_t tokens = w.at("pos_embed").dim(1) - prefix;
    const std::optional<Size2> old = grid_of_weights(vit, w, tokens);
    const bool fits = tokens == static_cast<int64_t>(grid.h) * grid.w && (!old || *old == grid);
    if (!fits) change(w, "pos_embed", [&](const Tensor& t) { return resample_positions(t, grid, old, prefix, how); });
  }
  change(w, "patch_embed.proj.weight", [&](const Tensor& t) {
    if (t.rank() < 4)
      return reshape(t, {vit.cfg().embed_dim, -1, patch.h, patch.w});  // from before patches were a convolution
    return resample_patch_kernel(t, patch, how);
  });
}

StateDict for_sequences(const Vit& vit, const StateDict& weights) {
  StateDict w = weights;
  const Size2 patch = vit.patches().patch(), grid = vit.patches().grid();
  const bool linear = vit.cfg().naflex.embed_proj_type == NaflexProjection::linear,
             channels_last = vit.cfg().naflex.patchify_channels_last;
  // Patches of linear layers lie there as the model reads them.
  change(w, "patch_embed.proj.weight", [&](const Tensor& t) {
    const int64_t out = t.dim(0);
    Tensor k = t;
    if (t.rank() == 2) k = permute(reshape(t, {out, patch.h, patch.w, -1}), {0, 3, 1, 2});
    k = resample_patch_kernel(k, patch);
    return !linear ? k : reshape(channels_last ? permute(k, {0, 2, 3, 1}) : k, {out, -1});
  });
  const auto length = [&](const char* name) { return w.contains(name) ? w.at(name).dim(1) : 0; };
  if (w.contains("pos_embed") && w.at("pos_embed").rank() == 3) {
    const Tensor positions = w.at("pos_embed");
    const int64_t cls = length("cls_token"), prefix = cls + length("reg_token"), all = positions.dim(1);
    const auto square = [](int64_t n) {
      const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(n))));
      return side * side == n;
    };
    const int64_t own = square(all - prefix) && !square(all) ? prefix : 0;  // positions of the prefix itself
    const auto add_own = [&](const char* name, int64_t first, int64_t last) {
      if (own > 0 && last > first)
        change(w, name, [&](const Tensor& t) { return t + slice(positions, 1, first, last); });
    };
    add_own("cls_token", 0, cls);
    add_own("reg_token", cls, prefix);
    const Tensor patches = slice(positions, 1, own, all);
    const bool fits = all - own == static_cast<int64_t>(grid.h) * grid.w;
    w.set("pos_embed", contiguous(reshape(fits ? patches : resample_positions(patches, grid, {}, 0),
                                          {1, grid.h, grid.w, positions.dim(2)})));
  }
  StateDict out;
  for (const auto& [name, t] : w) {
    const bool token = name == "cls_token" || name == "reg_token" || name == "pos_embed";
    out.set(name.starts_with("patch_embed.") ? "embeds." + name.substr(12) : token ? "embeds." + name : name, t);
  }
  return out;
}

StateDict adapt_vit(ImageModel& model, StateDict weights) {
  const auto& vit = dynamic_cast<const Vit&>(model);
  const NoGrad no_grad;
  const bool jax = weights.size() > 0 && weights.begin()->first.find('/') != std::string::npos;
  ResampleOptions how = vit.resample();
  if (jax) how = {.mode = Interpolation::linear, .antialias = false};
  StateDict w = with_our_names(vit, std::move(weights));
  if (vit.takes_sequences()) w = for_sequences(vit, w);
  else fit_to_patches(vit, w, how);
  const bool pools = vit.global_pool() == "map";  // SigLIP's towers are used with and without their pooling
  for (const std::string& name : w.names()) {
    const bool hidden = name.starts_with("pre_logits.");
    if (hidden) say_adapted(str_cat(name, " is left out: the model has no such layer"));
    if (hidden || (!pools && name.starts_with("attn_pool."))) w.erase(name);
  }
  return w;
}

}  // namespace fovea::zoo
