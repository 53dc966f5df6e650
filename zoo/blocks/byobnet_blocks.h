// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/byobnet_blocks.h — the blocks of ByobNet, and reading their text.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "zoo/blocks/byobnet.h"

namespace fovea::zoo {

enum class ByobBlockKind : uint8_t { basic, bottle, dark, edge, rep, one };
std::string_view name_of(ByobBlockKind k);

/// One block as its text says.
struct ByobBlock {
  ByobBlockKind kind = ByobBlockKind::bottle;
  int out = 0;  // 0: as many as come in
  int stride = 1, group_size = 0, kernel = 3, branches = 1;
  double ratio = 1;
  bool squeezes = false;  // "se", whatever the net's attention is
};
/// The blocks of each stage. Throws Error(argument) that quotes what is wrong.
std::vector<std::vector<ByobBlock>> byob_stages(std::string_view text);

/// Where a block stands.
struct ByobPlace {
  int in = 0, out = 0, stride = 1, first_dilation = 1, dilation = 1;
  DropBlockOptions drop_block{};
  double drop_path = 0;
};
std::unique_ptr<Module> byob_block(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p);
/// A convolution as all blocks of the net have it.
ConvNormActOptions byob_conv(const ByobCfg& c, const Conv2dOptions& conv, bool activated = true);
/// First values as timm draws them, of all there is.
void start_byob_values(Module& model);

}  // namespace fovea::zoo
