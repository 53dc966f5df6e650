// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_block.h — the transformer blocks of the ViT families, as one choice.
#pragma once
#include <memory>
#include <string_view>

#include "nn/layers/act.h"
#include "nn/layers/attention.h"
#include "nn/layers/token_norm.h"
#include "nn/module.h"

namespace fovea::zoo {

enum class VitBlockKind : uint8_t {
  pre_norm,       // norm, attention, norm, MLP
  post_norm,      // norms at the end of each branch
  parallel,       // attention and MLP side by side, https://arxiv.org/abs/2302.05442
  parallel_diff,  // the same with differential attention
  pairs,          // two attentions, then two MLPs, https://arxiv.org/abs/2203.09795
};
std::string_view name_of(VitBlockKind k);

enum class VitMlp : uint8_t { mlp, swiglu, swiglu_packed };
std::string_view name_of(VitMlp m);

struct VitBlockOptions {
  int dim = 768, hidden = 3072, heads = 12;
  bool qkv_bias = true, proj_bias = true, qk_norm = false;
  bool scale_attn_norm = false, scale_mlp_norm = false;
  bool diff_attention = false;
  double layer_scale = 0;  // what it starts as; 0: none
  TokenNorm norm;
  Act act = act::gelu;
  VitMlp mlp = VitMlp::mlp;
  double attn_drop = 0, proj_drop = 0, drop_path = 0;
  int index = 0;  // of the block in the net
};

/// A block over tokens [N, L, C].
class VitBlock : public Module {
 public:
  Tensor operator()(const Tensor& x, const AttentionMask& m);
  Tensor operator()(const Tensor& x) { return (*this)(x, {}); }
  Tensor forward(const Tensor& x) override { return pass(x, {}); }

 protected:
  virtual Tensor pass(const Tensor& x, const AttentionMask& m) = 0;
};
std::unique_ptr<VitBlock> vit_block(VitBlockKind kind, const VitBlockOptions& o);

}  // namespace fovea::zoo
