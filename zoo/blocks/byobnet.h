// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/byobnet.h — ByobNet: networks whose stages are lists of blocks of any kind, written as text; what several
// timm modules make of timm.models.byobnet.
#pragma once
#include <string_view>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/family.h"

namespace fovea::zoo {

// 3x3, 7x7: one convolution. tiered, deep: three 3x3, that widen from 3/8 or do not. quad, quad2: four that double,
// quad2 with norms in the last two alone. rep, one: a block of that kind.
enum class ByobStem : uint8_t { conv3, conv7, quad, quad2, tiered, deep, rep, one };
std::string_view name_of(ByobStem s);
// What makes logits: pooling and a layer; the same with a hidden layer; attention with learned or rotary positions.
enum class ByobHead : uint8_t { classifier, mlp, attn_abs, attn_rot };
std::string_view name_of(ByobHead h);

struct ByobCfg {
  // Stages between spaces; a stage: blocks with '+' between, and "3*" in front of some to repeat them, up to '/'.
  // A block: its kind (basic, bottle, dark, edge, rep, one), then with '_' between d: repeats, c: channels (default: as
  // before), s: stride of a stage that begins with it, gs: channels of a group (0: one group), br: the share of
  // channels in the middle, k: kernel, n: branches, se: squeeze-and-excitation whatever attn_layer says.
  std::string_view blocks{};
  std::string_view downsample = "conv1x1";  // shortcuts where shapes change: conv1x1, avg or none ("")
  ByobStem stem_type = ByobStem::conv3;
  std::string_view stem_pool = "maxpool";  // maxpool, avgpool (3x3), max2, avg2 (2x2) or ""
  std::string_view stem_chs = "32";        // "32,32,64": of several convolutions
  double width_factor = 1;
  int num_features = 0;  // of a last 1x1 convolution; 0: none
  bool zero_init_last = true;
  Act act_layer = act::relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  int norm_group_size = 0;
  std::string_view aa_layer{};
  ByobHead head_type = ByobHead::classifier;
  int head_hidden_size = 0;  // of the mlp and the attention; 0: as many as the features
  std::string_view attn_layer{};
  double attn_rd_ratio = 0;  // 0: its default
  int attn_rd_divisor = 0, attn_block_size = 0;
  // of bottlenecks: a second kxk convolution; the middle counts from the input. Of any block: no activation at its end
  bool extra_conv = false, bottle_in = false, linear_out = false;
  double drop_block_rate = 0;  // of the last two stages
  int drop_block_size = 3;
};
FOVEA_SETTINGS(ByobCfg, blocks, downsample, stem_type, stem_pool, stem_chs, width_factor, num_features, zero_init_last,
               act_layer, norm_layer, norm_group_size, aa_layer, head_type, head_hidden_size, attn_layer, attn_rd_ratio,
               attn_rd_divisor, attn_block_size, extra_conv, bottle_in, linear_out, drop_block_rate, drop_block_size)

class ByobNet : public Chained<HeadedModel> {
 public:
  ByobNet(const ByobCfg& c, const ModelOptions& o);
  std::vector<LayerGroup> group_matcher(bool coarse) const override;
  ByobHead head_type() const { return head_type_; }

 private:
  struct Reached {
    int channels, reduction;
  };
  Reached add_stem(const ByobCfg& c, const ModelOptions& o, bool level_behind);
  Reached add_stages(const ByobCfg& c, const ModelOptions& o, Reached at);
  void add_head(const ByobCfg& c, const ModelOptions& o, int features, int reduction);
  ByobHead head_type_;
};

}  // namespace fovea::zoo
