// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention.h — multi-head self-attention over tokens [N, L, C], plain and differential.
#pragma once
#include <array>

#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/layers/token_norm.h"
#include "nn/module.h"

namespace fovea {

Tensor split_heads(const Tensor& x, int64_t heads);  // [N, L, heads * D] -> [N, heads, L, D]
Tensor merge_heads(const Tensor& x);                 // the way back
/// [N, L, 3 * heads * D], queries first -> query, key, value as [N, heads, L, D].
std::array<Tensor, 3> split_qkv(const Tensor& x, int64_t heads);
/// Channels of a head; throws Error(argument) when the heads do not divide them.
int head_channels(int dim, int heads);

/// Whom a token may look at.
struct AttentionMask {
  Tensor mask;          // broadcasts to [N, heads, L, L]: bool or added to the scores
  bool causal = false;  // tokens see only those before them
};

/// Attention of tokens [N, L, C] to each other.
class SelfAttention : public Module {
 public:
  Tensor operator()(const Tensor& x, const AttentionMask& m);
  Tensor operator()(const Tensor& x) { return (*this)(x, {}); }
  Tensor forward(const Tensor& x) override { return attend(x, {}); }

 protected:
  virtual Tensor attend(const Tensor& x, const AttentionMask& m) = 0;
};

struct SelfAttentionOptions {
  int heads = 8;
  int head_dim = 0, out = 0;  // 0: dim / heads; dim
  bool qkv_bias = false, proj_bias = true;
  bool qk_norm = false, scale_norm = false;  // norms of queries and keys; of what attention gives
  bool gated = false;                        // a sigmoid of the input scales what attention gives
  TokenNorm norm;
  double attn_drop = 0, proj_drop = 0;
};

/// timm's Attention: one product for queries, keys and values.
class Attention final : public SelfAttention {
 public:
  explicit Attention(int dim, const SelfAttentionOptions& o = {});
  Ref<Linear> qkv, proj;

 private:
  Tensor attend(const Tensor& x, const AttentionMask& m) override;
  int heads_;
  double attn_drop_;
  Maybe<Module> q_norm_, k_norm_, norm_, gate_;
  Ref<Dropout> proj_drop_;
};

/// What differential attention learns beside its products: lambda = exp(q1 k1) - exp(q2 k2) + start, and start
/// grows with the depth.
struct DifferentialLambda {
  Param q1, k1, q2, k2;
  double start = 0.8;
  static double start_at(int depth);
  Tensor value() const;
};
/// The difference of two attention maps over halved heads, https://arxiv.org/abs/2410.05258:
/// q, k [N, 2 heads, L, D], v [N, heads, L, 2 D]. The result is not yet normalised.
Tensor differential_attention(const Tensor& q, const Tensor& k, const Tensor& v, const DifferentialLambda& lambda,
                              const AttentionMask& m = {}, double dropout = 0, int64_t key = 0);

/// timm's DiffAttention; `depth` is the block's number.
class DiffAttention final : public SelfAttention {
 public:
  DiffAttention(int dim, const SelfAttentionOptions& o, int depth);
  Ref<Linear> qkv, proj;

 private:
  Tensor attend(const Tensor& x, const AttentionMask& m) override;
  int heads_;
  double attn_drop_;
  DifferentialLambda lambda_;
  Maybe<Module> q_norm_, k_norm_, norm_;
  Ref<Dropout> proj_drop_;
  Ref<RmsNorm> sub_norm_;
};

}  // namespace fovea
