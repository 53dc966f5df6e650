// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/hiera.h — what Hiera and the image encoder of SAM 2 share: where blocks widen and pool, the end of a
// block, first values, and the head. https://arxiv.org/abs/2306.00989
#pragma once
#include <array>
#include <string_view>
#include <vector>

#include "nn/layers/act.h"
#include "nn/layers/conv.h"
#include "nn/layers/token_norm.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/settings.h"

namespace fovea::zoo {

struct HieraCfg {
  int embed_dim = 96, num_heads = 1;
  std::array<int, 4> stages{2, 3, 16, 3};  // blocks
  int q_pool = 3;                          // so many stages behind the first begin with pooling
  std::array<int, 2> q_stride{2, 2};
  double dim_mul = 2, head_mul = 2;  // from stage to stage
  std::array<int, 2> patch_kernel{7, 7}, patch_stride{4, 4}, patch_padding{3, 3};
  double init_values = 0;  // what the factors of branches start as; 0: there are none
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  std::string_view weight_init{};  // "": truncated normal; "jax"; "skip": PyTorch's
  bool fix_init = true;            // the layers that end branches start smaller, the deeper the block
  double head_init_scale = 0.001;
};
FOVEA_SETTINGS(HieraCfg, embed_dim, num_heads, stages, q_pool, q_stride, dim_mul, head_mul, patch_kernel, patch_stride,
               patch_padding, init_values, norm_layer, weight_init, fix_init, head_init_scale)

/// What differs from block to block.
struct HieraPlace {
  int block = 0, stage = 0, in = 0, out = 0, heads = 1;
  bool first = false;  // of a stage that is not the first: attention is still that of the stage before
  Size2 stride = 1;    // of the pooling
  int pools = 0;       // how often was pooled, here included
  double drop_path = 0;
  int attended_as() const { return first ? stage - 1 : stage; }
};
std::vector<HieraPlace> hiera_places(const HieraCfg& c, const ModelOptions& o);

Conv2d hiera_patches(const HieraCfg& c, int in_chans);

class HieraBlock : public Module {
 protected:
  /// All children behind the attention.
  void end_block(const HieraCfg& c, const HieraPlace& p, double mlp_ratio, const Act& act);
  Tensor finish(const Tensor& shortcut, const Tensor& attended);

 private:
  Maybe<Module> ls1_, ls2_;
  Ref<Module> norm2_, mlp_, drop1_, drop2_;
};

class HieraModel : public HeadedModel {
 public:
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed"}; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

 protected:
  explicit HieraModel(const HieraCfg& c, const ModelOptions& o);
  /// Ends the constructor.
  void hiera_head(const HieraCfg& c, int features);
  /// The children of "blocks", as far as they are needed. `level` makes what a stage's end offers: N,H,W,C.
  template <class F>
  Tensor run_blocks(Tensor x, F level) {
    Module& blocks = *find("blocks");
    for (size_t i = 0, stage = 0; i < blocks.children().size(); ++i) {
      x = run_block(blocks, i, x);
      if (static_cast<int>(i) != ends_[stage]) continue;
      if (tap(str_cat("blocks.", i), level(x, stage++), TapKind::block, 3)) break;
    }
    return x;
  }
  void drop_head() override;

 private:
  Tensor run_block(Module& blocks, size_t i, const Tensor& x);
  std::array<int, 4> ends_{};
};

}  // namespace fovea::zoo
