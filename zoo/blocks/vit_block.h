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
  gamma,          // the same with the factors of both branches as gamma_1 and gamma_2
  post_norm,      // norms at the end of each branch
  parallel,       // attention and MLP side by side, https://arxiv.org/abs/2302.05442
  parallel_diff,  // the same with differential attention
  pairs,          // two attentions, then two MLPs, https://arxiv.org/abs/2203.09795
};
std::string_view name_of(VitBlockKind k);

enum class VitMlp : uint8_t {
  mlp,
  swiglu,         // gate and value from two layers
  swiglu_packed,  // ... from one
  geglu,          // a norm, and then gate and value from two layers
};
std::string_view name_of(VitMlp m);

struct VitBlockOptions {
  int dim = 768, hidden = 3072;
  SelfAttentionOptions attn{.heads = 12, .qkv_bias = true};  // its norms are of the block's kind
  bool diff_attention = false;
  double layer_scale = 0;  // what it starts as; 0: none
  bool attn_only_layer_scale = false;
  TokenNorm norm;
  Act act = act::gelu;
  VitMlp mlp = VitMlp::mlp;
  bool mlp_bias = true;         // else none in the MLP
  int swiglu_align_to = 0;      // rounds the hidden channels of swiglu up to a multiple
  bool scale_mlp_norm = false;  // a norm in front of the MLP's last layer
  double drop_path = 0;
  int index = 0;  // of the block in the net
};

/// A block over tokens [N, L, C].
class VitBlock : public Module {
 public:
  Tensor operator()(const Tensor& x, const AttentionContext& c);
  Tensor operator()(const Tensor& x) { return (*this)(x, {}); }
  Tensor forward(const Tensor& x) override { return pass(x, {}); }

  /// Of the relative positions of its attention, where it has some.
  void set_window(Size2 window);

 protected:
  virtual Tensor pass(const Tensor& x, const AttentionContext& c) = 0;
};
std::unique_ptr<VitBlock> vit_block(VitBlockKind kind, const VitBlockOptions& o);

}  // namespace fovea::zoo
