// SPDX-License-Identifier: Apache-2.0
// nn/layers/token_pool.h — from tokens [N, L, C] to one vector: by a statistic or by attention.
#pragma once
#include <memory>
#include <string_view>

#include "nn/layers/mlp.h"
#include "nn/layers/token_norm.h"
#include "nn/module.h"

namespace fovea {

/// "token": the first one; "avg", "max", "avgmax": over all but the prefix, or over all; "": x itself.
Tensor pool_tokens(const Tensor& x, std::string_view type, int prefix_tokens = 1, bool include_prefix = false);
/// avg, max or avgmax over those that are valid, bool [N, L].
Tensor pool_valid_tokens(const Tensor& x, const Tensor& valid, std::string_view type);

struct AttentionPoolOptions {
  int heads = 8, out = 0;  // out 0: as many as come in; -1: no projection and no MLP
  double mlp_ratio = 4, drop = 0;
  bool qkv_bias = true, q_proj = true, qk_norm = false;
  int latents = 1;                  // how many queries are learned
  int positions = 0;                // not 0: position embeddings for that many tokens
  std::string_view pool = "token";  // of the queries' answers: token, avg, or "" to keep them all
  TokenNorm norm{.kind = TokenNorm::Kind::none};
  Act act = act::gelu;
};
/// Learned queries look at all tokens: what SigLIP calls a MAP head.
class AttentionPoolLatent final : public Module {
 public:
  explicit AttentionPoolLatent(int channels, const AttentionPoolOptions& o = {});
  Tensor forward(const Tensor& x) override { return attend(x, {}); }
  /// Only tokens that are valid count, bool [N, L].
  Tensor operator()(const Tensor& x, const Tensor& valid);

 private:
  Tensor attend(const Tensor& x, const Tensor& mask);
  int heads_;
  std::string_view pool_;
  Param pos_embed_, latent_;
  Maybe<Linear> q_, proj_;
  Ref<Linear> kv_;
  Maybe<Module> q_norm_, k_norm_, norm_;
  Ref<Dropout> proj_drop_;
  Maybe<Mlp> mlp_;
};

/// Self-attention without any weights before a token or the mean is taken: Patch Representation Refinement.
class AttentionPoolPrr final : public Module {
 public:
  AttentionPoolPrr(int channels, int heads, std::string_view pool);
  Tensor forward(const Tensor& x) override;

 private:
  int heads_;
  std::string_view pool_;
};

}  // namespace fovea
