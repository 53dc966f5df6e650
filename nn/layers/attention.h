// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention.h — multi-head self-attention over tokens [N, L, C], plain and differential.
#pragma once
#include <array>

#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/layers/position_bias.h"
#include "nn/layers/rotary.h"
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
  Tensor mask{};        // broadcasts to [N, heads, L, L]: bool or added to the scores
  bool causal = false;  // tokens see only those before them
};

/// What attention is told beside its tokens.
struct AttentionContext {
  Tensor mask{};
  bool causal = false;
  Rotary rotary{};
  AttentionContext() = default;
  AttentionContext(const AttentionMask& m) : mask(m.mask), causal(m.causal) {}  // NOLINT: a mask is one
};

/// Attention of tokens [N, L, C] to each other.
class SelfAttention : public Module {
 public:
  Tensor operator()(const Tensor& x, const AttentionContext& c);
  Tensor operator()(const Tensor& x) { return (*this)(x, {}); }
  Tensor forward(const Tensor& x) override { return attend(x, {}); }

 protected:
  virtual Tensor attend(const Tensor& x, const AttentionContext& c) = 0;
};

struct SelfAttentionOptions {
  int heads = 8;
  int head_dim = 0, out = 0;  // 0: dim / heads; dim
  int kv_heads = 0;           // 0: as many as there are queries; else several share keys and values
  bool qkv_fused = true;      // one product for queries, keys and values
  bool qkv_bias = false, k_bias = true, proj_bias = true;  // k_bias false: queries and values only
  bool qk_norm = false, scale_norm = false;  // norms of queries and keys; of what attention gives
  bool gated = false;                        // a sigmoid of the input scales what attention gives
  PositionBiasOptions rel_pos{};             // added to the scores
  TokenNorm norm{};
  double attn_drop = 0, proj_drop = 0;
};

/// timm's Attention, AttentionRope and EvaAttention.
class Attention final : public SelfAttention, public RelativeTableOwner {
 public:
  explicit Attention(int dim, const SelfAttentionOptions& o = {});
  const RelativeTable& relative_table() const override { return table_; }
  void set_window(Size2 window);  // of the relative positions, if it has any

 private:
  Tensor attend(const Tensor& x, const AttentionContext& c) override;
  void add_products(int dim, int head, const SelfAttentionOptions& o);
  std::array<Tensor, 3> products(const Tensor& x);
  Tensor masked(const Tensor& mask);
  int heads_, kv_heads_;
  double attn_drop_;
  Param q_bias_, k_bias_, v_bias_;
  RelativeTable table_;
  Ref<Linear> qkv_, q_proj_, k_proj_, v_proj_, proj_;
  Ref<PositionBias> rel_pos_;
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
  Tensor attend(const Tensor& x, const AttentionContext& c) override;
  int heads_;
  double attn_drop_;
  DifferentialLambda lambda_;
  Maybe<Module> q_norm_, k_norm_, norm_;
  Ref<Dropout> proj_drop_;
  Ref<RmsNorm> sub_norm_;
};

}  // namespace fovea
