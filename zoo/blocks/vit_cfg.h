// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_cfg.h — the settings of Vision Transformers, in parts.
#pragma once
#include <array>
#include <string_view>

#include "nn/layers/position_bias.h"
#include "nn/layers/rotary.h"
#include "zoo/blocks/vit_block.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/settings.h"

namespace fovea::zoo {

/// Whether the last norm stands behind the pooling: automatic means for avg, max and avgmax pooling,
/// for_avg for avg alone.
enum class FcNorm : uint8_t { automatic, no, yes, for_avg };
std::string_view name_of(FcNorm v);
/// How position embeddings and patch kernels of published weights are resized.
enum class VitResample : uint8_t { cubic, linear, linear_corners };
std::string_view name_of(VitResample v);

/// What is added to patches by their places: nothing, an embedding each, or (of NaFlex alone) one of the row and one of
/// the column.
enum class VitPositions : uint8_t { none, learned, factorized };
std::string_view name_of(VitPositions v);
bool read_setting(std::string_view text, VitPositions& v);  // timm's other words, too: learn, true, false

/// Which tokens there are beside the patches, and where they have positions.
struct VitTokens {
  bool class_token = true, distilled = false;  // distilled: a second token with a classifier of its own
  int reg_tokens = 0;
  VitPositions pos_embed = VitPositions::learned;
  bool no_embed_class = false;  // positions for the patches only
  bool dynamic_img_size = false, dynamic_img_pad = false;
  VitResample resample = VitResample::cubic;
};
FOVEA_SETTINGS(VitTokens, class_token, distilled, reg_tokens, pos_embed, no_embed_class, dynamic_img_size,
               dynamic_img_pad, resample)

/// What attention adds to scores by the places of two tokens.
struct VitRelPos {
  RelPosType rel_pos_type = RelPosType::none;
  int rel_pos_dim = 128;        // hidden channels of the network
  bool shared_rel_pos = false;  // one for all blocks
};
FOVEA_SETTINGS(VitRelPos, rel_pos_type, rel_pos_dim, shared_rel_pos)

/// By which angles queries and keys turn.
struct VitRope {
  RopeType rope_type = RopeType::none;
  double rope_temperature = 10000, rope_grid_offset = 0;
  std::string_view rope_grid_indexing = "ij";  // ij: rows first; xy: columns first
  bool rope_rotate_half = false;
  int ref_feat_shape = 0;
  std::array<int, 3> rope_mrope_section{8, 12, 12};
  double rope_shift_coords = 0, rope_jitter_coords = 0, rope_rescale_coords = 0;
};
FOVEA_SETTINGS(VitRope, rope_type, rope_temperature, rope_grid_offset, rope_grid_indexing, rope_rotate_half,
               ref_feat_shape, rope_mrope_section, rope_shift_coords, rope_jitter_coords, rope_rescale_coords)

/// What lies around the blocks: norms and pooling.
struct VitEnds {
  std::string_view global_pool = "token";  // token, avg, max, avgmax, map, prr
  bool pool_include_prefix = false;
  bool embed_norm = false, pre_norm = false,
       final_norm = true;  // behind the patches; in front of and behind the blocks
  FcNorm fc_norm = FcNorm::automatic;
  int attn_pool_num_heads = 0;  // of pooling by map; 0: as the blocks
  double attn_pool_mlp_ratio = 0;
  bool attn_pool_prefix = false;  // pooling by map looks at the prefix, too
};
FOVEA_SETTINGS(VitEnds, global_pool, pool_include_prefix, embed_norm, pre_norm, final_norm, fc_norm,
               attn_pool_num_heads, attn_pool_mlp_ratio, attn_pool_prefix)

/// How each block is made.
struct VitBlockCfg {
  VitBlockKind block_fn = VitBlockKind::pre_norm;
  bool qkv_bias = true, k_bias = true, qkv_fused = true, proj_bias = true;
  bool qk_norm = false, scale_attn_norm = false, scale_mlp_norm = false;
  bool diff_attention = false, gated_attn = false;
  int num_kv_heads = 0;      // fewer heads of keys and values; 0: as many as of queries
  int full_attn_blocks = 0;  // but not in so many blocks at both ends
  double init_values = 0;    // of layer scale; 0: none
  bool attn_only_layer_scale = false;
  TokenNorm::Kind norm = TokenNorm::Kind::layer;
  double norm_eps = 1e-6;
  Act act_layer = act::gelu;
  VitMlp mlp = VitMlp::mlp;
  int swiglu_align_to = 0;
};
FOVEA_SETTINGS(VitBlockCfg, block_fn, qkv_bias, k_bias, qkv_fused, proj_bias, qk_norm, scale_attn_norm, scale_mlp_norm,
               diff_attention, gated_attn, num_kv_heads, full_attn_blocks, init_values, attn_only_layer_scale, norm,
               norm_eps, act_layer, mlp, swiglu_align_to)

/// How position embeddings of a NaFlex model are fitted to the grid of an image.
enum class NaflexResample : uint8_t { bicubic, bilinear };
std::string_view name_of(NaflexResample v);
enum class NaflexProjection : uint8_t { linear, conv };
std::string_view name_of(NaflexProjection v);

/// NaFlex: images keep their aspect ratio and become sequences of patches.
struct VitNaflex {
  bool use_naflex = false;
  std::array<int, 2> pos_embed_grid_size{0, 0};  // 0: as many as the image size has patches
  NaflexResample pos_embed_interp_mode = NaflexResample::bicubic;
  bool pos_embed_ar_preserving = false, pos_embed_antialias = true, pos_embed_align_corners = false;
  bool pos_embed_use_grid_sample = false;
  NaflexProjection embed_proj_type = NaflexProjection::linear;
  bool patchify_channels_last = true;
  bool enable_patch_interpolator = false;  // patches of other sizes will do: their projection is resampled
};
FOVEA_SETTINGS(VitNaflex, use_naflex, pos_embed_grid_size, pos_embed_interp_mode, pos_embed_ar_preserving,
               pos_embed_antialias, pos_embed_align_corners, pos_embed_use_grid_sample, embed_proj_type,
               patchify_channels_last, enable_patch_interpolator)

/// What training draws.
struct VitTraining {
  double pos_drop_rate = 0, patch_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
  VitInit weight_init = VitInit::timm;
  bool fix_init = false;           // the deeper, the smaller the first values of projections
  double head_init_scale = 0.001;  // of VitInit::eva
};
FOVEA_SETTINGS(VitTraining, pos_drop_rate, patch_drop_rate, proj_drop_rate, attn_drop_rate, weight_init, fix_init,
               head_init_scale)

struct VitCfg {
  int embed_dim = 768, depth = 12, num_heads = 12, patch_size = 16;
  double mlp_ratio = 4;
  VitTokens tokens{};
  VitRelPos rel_pos{};
  VitRope rope{};
  VitEnds ends{};
  VitBlockCfg block{};
  VitTraining training{};
  VitNaflex naflex{};
};
FOVEA_SETTINGS(VitCfg, embed_dim, depth, num_heads, patch_size, mlp_ratio, tokens, rel_pos, rope, ends, block, training,
               naflex)

}  // namespace fovea::zoo
