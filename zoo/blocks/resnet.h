// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/resnet.h — the frame of ResNet and its relatives: stem, four stages of residual blocks, classifier.
#pragma once
#include <array>
#include <memory>
#include <string_view>

#include "nn/layers/drop_block.h"
#include "zoo/blocks/chained.h"
#include "zoo/family.h"

namespace fovea::zoo {

// one 7x7 convolution; three 3x3; three that widen step by step
enum class ResNetStem : uint8_t { conv7, deep, tiered };
std::string_view name_of(ResNetStem s);

struct ResNetCfg {
  std::string_view block = "bottleneck";  // or "basic", or one for each stage with commas between
  std::array<int, 4> layers{3, 4, 6, 3}, channels{64, 128, 256, 512};
  // bottlenecks: channels / 64 * base_width * cardinality in the middle
  int cardinality = 1, base_width = 64;
  int stem_width = 64;
  ResNetStem stem = ResNetStem::conv7;
  bool avg_down = false;                  // shortcuts pool and then convolve
  bool stem_conv_pool = false;            // a convolution with a stride in place of the stem's max-pool
  int down_kernel = 1, reduce_first = 1;  // of shortcuts; divides the channels of a block's first convolution
  std::string_view attention{};
  double attention_ratio = 0;  // 0: its default
  std::string_view anti_alias{};
  NormSpec::Kind norm = NormSpec::Kind::batch;
  Act act = act::relu;
  double drop_block_rate = 0;  // of the last two stages
  bool zero_init_last = true;
  // a stage: its channels, then those of the first two convolutions of each block
  std::string_view pruned{};
};
/// The settings of all who have this frame: neither `block` nor `pruned`.
SettingsRef frame_settings(ResNetCfg& c);
SettingsRef settings_of(ResNetCfg& c);

/// Where a block sits, and its channels: through the first convolution, the second, and at the end.
struct ResNetPlace {
  bool bottleneck = true;
  int in = 0, mid = 0, width = 0, out = 0;
  int attended = 0;  // channels that the attention is made for
  int stride = 1, first_dilation = 1, dilation = 1;
  double drop_path = 0;
  DropBlockOptions drop_block;
};

/// What residual blocks end with.
struct Residual : Module {
  Maybe<Module> drop_block, aa, se, drop_path, downsample;
  Ref<Module> last_act;
  void close(const ResNetCfg& c, const ResNetPlace& p, Module& last_norm, std::string_view act_name);
  Tensor join(const Tensor& y, const Tensor& x) { return last_act(drop_path(se(y)) + downsample(x)); }
};

/// ResNet's own blocks: two 3x3 convolutions; a 3x3 between two 1x1.
std::unique_ptr<Module> resnet_basic(const ResNetCfg& c, const ResNetPlace& p);
std::unique_ptr<Module> resnet_bottleneck(const ResNetCfg& c, const ResNetPlace& p);

/// Makes the blocks of a net.
struct ResNetBlocks {
  virtual ~ResNetBlocks() = default;
  virtual std::unique_ptr<Module> block(const ResNetPlace& p) const = 0;
};

class ResNetFrame : public Chained<ImageModel> {
 public:
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

 protected:
  ResNetFrame(const ResNetCfg& c, const ModelOptions& o, const ResNetBlocks& blocks);

 private:
  int add_stages(const ResNetCfg& c, const ModelOptions& o, int channels, const ResNetBlocks& blocks);
};

/// The net of these own blocks.
class ResNet final : public ResNetFrame {
 public:
  ResNet(const ResNetCfg& c, const ModelOptions& o);
};

}  // namespace fovea::zoo
