// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights/radio.cpp — RADIO.
#include <algorithm>
#include <cmath>

#include "engine/ops/ops.h"
#include "nn/adapted.h"
#include "weights_tools/edit.h"
#include "weights_tools/rename.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights/sources.h"

namespace fovea::zoo {
namespace {

constexpr Rename kRadio[] = {
    {"^patch_generator.embedder", "patch_embed.proj"},
    {"^patch_generator.pos_embed", "pos_embed"},
    {"^patch_generator.cls_token.token", "tokens"},
    {"grandma", "gamma"},
    {"^patch_generator.**", nullptr},
};

}  // namespace

// Patches are linear there, tokens of several teachers and registers lie in one tensor, and there are positions for
// 128 x 128 patches, of which an image takes the top left of a square.
StateDict from_radio(const StateDict& weights, const Vit& vit) {
  StateDict w = rename(below(weights, "radio_model.model."), kRadio);
  for (const std::string& name : w.names())
    if (!name.starts_with("blocks.") && name != "patch_embed.proj.weight" && name != "pos_embed" && name != "tokens")
      w.erase(name);
  const auto side =
      static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(w.at("patch_embed.proj.weight").dim(1)) / 3)));
  change(w, "patch_embed.proj.weight", [&](const Tensor& t) { return reshape(t, {t.dim(0), 3, side, side}); });
  const Tensor& kernel = w.at("patch_embed.proj.weight");
  w.set("patch_embed.proj.bias", zeros({kernel.dim(0)}, kernel.dtype()));
  if (const Tensor* tokens = w.find("tokens")) {
    const Tensor t = unsqueeze(*tokens, 0);
    w.set("cls_token", contiguous(slice(t, 1, 0, 1)));
    w.set("reg_token", contiguous(slice(t, 1, 1, t.dim(1))));
    w.erase("tokens");
  }
  if (vit.takes_sequences()) return w;
  const Size2 grid = vit.patches().grid();
  const int most = std::max(grid.h, grid.w);
  change(w, "pos_embed", [&](const Tensor& t) {
    const AdaptedLines unheard;  // all its weights are used so
    const Tensor square =
        reshape(resample_positions(t, most, std::nullopt, 0, vit.resample()), {1, most, most, t.dim(2)});
    return reshape(slice(slice(square, 1, 0, grid.h), 2, 0, grid.w), {1, -1, t.dim(2)});
  });
  return w;
}

}  // namespace fovea::zoo
