// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/byobnet_blocks.h — the blocks of ByobNet, and reading their text.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "zoo/blocks/byobnet.h"
#include "zoo/blocks/pixel_attention.h"

namespace fovea::zoo {

enum class ByobBlockKind : uint8_t { basic, bottle, dark, edge, rep, one, bot, halo, lambda, mvit, mvit2 };
std::string_view name_of(ByobBlockKind k);

/// One block as its text says.
struct ByobBlock {
  ByobBlockKind kind = ByobBlockKind::bottle;
  int out = 0;  // 0: as many as come in
  int stride = 1, group_size = 0, kernel = 3, branches = 1;
  double ratio = 1;
  bool squeezes = false;                 // "se", whatever the net's attention is
  PixelAttentionOptions attention{};     // of bot, halo and lambda
  int tokens = 0, depth = 2, patch = 8;  // of mvit and mvit2: channels of the transformer, blocks, pixels a side
};
/// The blocks of each stage. Throws Error(argument) that quotes what is wrong.
std::vector<std::vector<ByobBlock>> byob_stages(std::string_view text);

/// Where a block stands.
struct ByobPlace {
  int in = 0, out = 0, stride = 1, first_dilation = 1, dilation = 1;
  Size2 map = 0;  // what comes in, where the image's size is known
  DropBlockOptions drop_block{};
  double drop_path = 0;
};
/// All but mvit and mvit2, which are their family's.
std::unique_ptr<Module> byob_block(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p);
/// How many groups of the block's size there are.
int byob_groups(const ByobBlock& b, int channels);
/// A convolution as all blocks of the net have it.
ConvNormActOptions byob_conv(const ByobCfg& c, const Conv2dOptions& conv, bool activated = true);
/// First values as timm draws them, of all there is.
void start_byob_values(Module& model);

}  // namespace fovea::zoo
