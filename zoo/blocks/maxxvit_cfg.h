// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/maxxvit_cfg.h — what MaxxViT's blocks can be: those that convolve and those that attend.
#pragma once
#include <string>
#include <string_view>

#include "nn/layers/conv.h"
#include "zoo/settings.h"

namespace fovea::zoo::maxxvit {

template <class E, size_t N>
constexpr std::string_view name_in(const std::string_view (&names)[N], E v) {
  return static_cast<size_t>(v) < N ? names[static_cast<size_t>(v)] : std::string_view();
}
// What halves a map: a mean or a maximum of 2x2 or of 3x3 pixels.
enum class Pool : uint8_t { avg2, max2, avg, max };
constexpr std::string_view name_of(Pool p) {
  constexpr std::string_view names[] = {"avg2", "max2", "avg", "max"};
  return name_in(names, p);
}
// What strides in a block that halves the map: pooling in front, the depthwise convolution, the one in front of it.
enum class StrideMode : uint8_t { pool, dw, pointwise };
constexpr std::string_view name_of(StrideMode s) {
  constexpr std::string_view names[] = {"pool", "dw", "1x1"};
  return name_in(names, s);
}
enum class ConvKind : uint8_t { mbconv, convnext };
constexpr std::string_view name_of(ConvKind k) {
  constexpr std::string_view names[] = {"mbconv", "convnext"};
  return name_in(names, k);
}
// mlp: a small network reads offsets. bias: a table. bias_tf: a table as TensorFlow's code lays it out.
enum class RelPos : uint8_t { none, mlp, bias, bias_tf };
constexpr std::string_view name_of(RelPos r) {
  constexpr std::string_view names[] = {"none", "mlp", "bias", "bias_tf"};
  return name_in(names, r);
}
// Of maps; of tokens.
enum class MapNorm : uint8_t { batchnorm2d, layernorm2d, groupnorm, groupnorm1, rmsnorm2d, simplenorm2d, evonorms0 };
constexpr std::string_view name_of(MapNorm n) {
  constexpr std::string_view names[] = {"batchnorm2d", "layernorm2d",  "groupnorm", "groupnorm1",
                                        "rmsnorm2d",   "simplenorm2d", "evonorms0"};
  return name_in(names, n);
}
enum class ClNorm : uint8_t { layernorm, rmsnorm, simplenorm };
constexpr std::string_view name_of(ClNorm n) {
  constexpr std::string_view names[] = {"layernorm", "rmsnorm", "simplenorm"};
  return name_in(names, n);
}

/// Two numbers, or one for both: "64", "32,64". Zeros: not given.
struct Two {
  int first = 0, second = 0;
  constexpr Two(int both = 0) : first(both), second(both) {}  // NOLINT: meant to be implicit
  constexpr Two(int a, int b) : first(a), second(b) {}
  Size2 size() const { return {first, second}; }
  explicit operator bool() const { return first > 0 && second > 0; }
};
inline bool read_setting(std::string_view text, Two& v) {
  const size_t comma = text.find(',');
  if (!zoo::read_setting(text.substr(0, comma), v.first)) return false;
  if (comma == std::string_view::npos) v.second = v.first;
  return (comma == std::string_view::npos || zoo::read_setting(text.substr(comma + 1), v.second)) && v.first >= 0 &&
         v.second >= 0;
}
inline std::string write_setting(const Two& v) {
  return v.first == v.second ? str_cat(v.first) : str_cat(v.first, ',', v.second);
}

struct ConvCfg {
  ConvKind conv_block_type = ConvKind::mbconv;
  double conv_expand_ratio = 4;
  bool conv_expand_output = true;  // the hidden channels count from what comes out, not from what comes in
  int conv_kernel_size = 3;        // of mbconv; convnext's is 7
  int conv_group_size = 1;         // channels of a group; 0: one group
  bool conv_pre_norm_act = false;  // an activation behind the first norm
  bool conv_output_bias = true;    // of the shortcut's and the last convolution
  StrideMode conv_stride_mode = StrideMode::dw;
  Pool conv_pool_type = Pool::avg2, conv_downsample_pool_type = Pool::avg2;  // of the shortcut; of what strides
  Padding conv_padding{};
  bool conv_attn_early = false;  // attention between channels in front of the second norm, not behind it
  std::string_view conv_attn_layer = "se";
  Act conv_attn_act_layer = act::silu;
  double conv_attn_ratio = 0.25;
  double conv_init_values = 1e-6;  // what the factors of convnext's branches start as; 0: there are none
  Act conv_act_layer = act::gelu;
  MapNorm conv_norm_layer = MapNorm::batchnorm2d;
  double conv_norm_eps = 1e-5;
};
FOVEA_SETTINGS(ConvCfg, conv_block_type, conv_expand_ratio, conv_expand_output, conv_kernel_size, conv_group_size,
               conv_pre_norm_act, conv_output_bias, conv_stride_mode, conv_pool_type, conv_downsample_pool_type,
               conv_padding, conv_attn_early, conv_attn_layer, conv_attn_act_layer, conv_attn_ratio, conv_init_values,
               conv_act_layer, conv_norm_layer, conv_norm_eps)

struct TransformerCfg {
  int transformer_dim_head = 32;
  bool transformer_head_first = true;  // a head's queries, keys and values stand side by side; not: all queries first
  double transformer_expand_ratio = 4;
  bool transformer_expand_first = true;  // attention that widens has as many channels inside as it gives
  bool transformer_shortcut_bias = true, transformer_attn_bias = true;
  double transformer_attn_drop = 0, transformer_proj_drop = 0;
  Pool transformer_pool_type = Pool::avg2;
  RelPos transformer_rel_pos_type = RelPos::bias;
  int transformer_rel_pos_dim = 512;     // hidden channels of the network over offsets
  int transformer_partition_ratio = 32;  // windows have this part of the image's size, unless one is given
  Two transformer_window_size{}, transformer_grid_size{};
  bool transformer_no_block_attn = false;  // tokens attend to those of other windows alone
  bool transformer_use_nchw_attn = false;  // 1x1 convolutions instead of linear layers in windows, too
  double transformer_init_values = 0;      // what the factors of branches start as; 0: there are none
  Act transformer_act_layer = act::gelu;
  MapNorm transformer_norm_layer = MapNorm::layernorm2d;
  ClNorm transformer_norm_layer_cl = ClNorm::layernorm;
  double transformer_norm_eps = 1e-6;
};
FOVEA_SETTINGS(TransformerCfg, transformer_dim_head, transformer_head_first, transformer_expand_ratio,
               transformer_expand_first, transformer_shortcut_bias, transformer_attn_bias, transformer_attn_drop,
               transformer_proj_drop, transformer_pool_type, transformer_rel_pos_type, transformer_rel_pos_dim,
               transformer_partition_ratio, transformer_window_size, transformer_grid_size, transformer_no_block_attn,
               transformer_use_nchw_attn, transformer_init_values, transformer_act_layer, transformer_norm_layer,
               transformer_norm_layer_cl, transformer_norm_eps)

}  // namespace fovea::zoo::maxxvit
