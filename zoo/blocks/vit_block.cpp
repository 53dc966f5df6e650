// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_block.cpp — five ways to put attention and an MLP on a residual path.
#include "zoo/blocks/vit_block.h"

#include "engine/ops/ops.h"
#include "nn/layers/glu_mlp.h"
#include "nn/layers/layer_scale.h"
#include "nn/layers/norm.h"

namespace fovea::zoo {
namespace {

std::unique_ptr<SelfAttention> attention(const VitBlockOptions& o) {
  SelfAttentionOptions options = o.attn;
  options.norm = o.norm;
  if (o.diff_attention) return std::make_unique<DiffAttention>(o.dim, options, o.index);
  return std::make_unique<Attention>(o.dim, options);
}

// ViTamin's.
struct GeGluMlp final : Module {
  Ref<Module> norm, w0, w1, w2, drop1, drop2;
  Act act_;
  explicit GeGluMlp(const VitBlockOptions& o) : act_(o.act) {
    norm = add("norm", LayerNorm(o.dim));
    w0 = add("w0", Linear(o.dim, o.hidden, o.mlp_bias));
    w1 = add("w1", Linear(o.dim, o.hidden, o.mlp_bias));
    drop1 = add("drop1", Dropout(o.attn.proj_drop));
    w2 = add("w2", Linear(o.hidden, o.dim, o.mlp_bias));
    drop2 = add("drop2", Dropout(o.attn.proj_drop));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = norm(x);
    return drop2(w2(drop1(activate(w0(y), act_) * w1(y))));
  }
};

std::unique_ptr<Module> mlp(const VitBlockOptions& o) {
  const bool bias = o.attn.proj_bias && o.mlp_bias;
  const TokenNorm norm = o.scale_mlp_norm ? o.norm : TokenNorm{.kind = TokenNorm::Kind::none};
  switch (o.mlp) {
    case VitMlp::swiglu:
      return std::make_unique<SwiGLU>(o.dim, SwiGLUOptions{.hidden = o.hidden,
                                                           .align_to = o.swiglu_align_to,
                                                           .act = o.act,
                                                           .norm = norm,
                                                           .bias = bias,
                                                           .drop = o.attn.proj_drop});
    case VitMlp::swiglu_packed:
      return std::make_unique<GluMlp>(o.dim, GluMlpOptions{.hidden = o.hidden,
                                                           .act = o.act,
                                                           .norm = norm,
                                                           .bias = bias,
                                                           .gate_last = false,
                                                           .drop = o.attn.proj_drop});
    case VitMlp::geglu: return std::make_unique<GeGluMlp>(o);
    case VitMlp::mlp: break;
  }
  return std::make_unique<Mlp>(
      o.dim,
      MlpOptions{.hidden = o.hidden, .act = o.act, .norm = norm, .bias = bias, .drop = o.attn.proj_drop});
}

std::unique_ptr<Module> layer_scale(const VitBlockOptions& o) {
  return o.layer_scale != 0 ? std::make_unique<LayerScale>(o.dim, o.layer_scale) : nullptr;
}

class PreNorm final : public VitBlock {
 public:
  explicit PreNorm(const VitBlockOptions& o) {
    norm1_ = add("norm1", token_norm(o.norm, o.dim));
    attn_ = add("attn", attention(o));
    ls1_ = add("ls1", layer_scale(o));
    drop1_ = add("drop_path1", DropPath(o.drop_path));
    norm2_ = add("norm2", token_norm(o.norm, o.dim));
    mlp_ = add("mlp", mlp(o));
    ls2_ = add("ls2", layer_scale(o));
    drop2_ = add("drop_path2", DropPath(o.drop_path));
  }

 private:
  Tensor pass(const Tensor& x, const AttentionContext& c) override {
    const Tensor y = x + drop1_(ls1_(attn_(norm1_(x), c)));
    return y + drop2_(ls2_(mlp_(norm2_(y))));
  }
  Ref<Module> norm1_, norm2_, mlp_;
  Ref<SelfAttention> attn_;
  Maybe<Module> ls1_, ls2_;
  Ref<DropPath> drop1_, drop2_;
};

class Gamma final : public VitBlock {
 public:
  explicit Gamma(const VitBlockOptions& o) {
    const Init start = init::constant(o.layer_scale);
    if (o.layer_scale != 0) gamma_1_ = param("gamma_1", {o.dim}, start);
    if (o.layer_scale != 0 && !o.attn_only_layer_scale) gamma_2_ = param("gamma_2", {o.dim}, start);
    norm1_ = add("norm1", token_norm(o.norm, o.dim));
    attn_ = add("attn", attention(o));
    drop1_ = add("drop_path1", DropPath(o.drop_path));
    norm2_ = add("norm2", token_norm(o.norm, o.dim));
    mlp_ = add("mlp", mlp(o));
    drop2_ = add("drop_path2", DropPath(o.drop_path));
  }

 private:
  Tensor pass(const Tensor& x, const AttentionContext& c) override {
    const auto scaled = [](const Tensor& t, const Param& gamma) { return gamma ? t * *gamma : t; };
    const Tensor y = x + drop1_(scaled(attn_(norm1_(x), c), gamma_1_));
    return y + drop2_(scaled(mlp_(norm2_(y)), gamma_2_));
  }
  Param gamma_1_, gamma_2_;
  Ref<Module> norm1_, norm2_, mlp_;
  Ref<SelfAttention> attn_;
  Ref<DropPath> drop1_, drop2_;
};

class PostNorm final : public VitBlock {
 public:
  explicit PostNorm(const VitBlockOptions& o) {
    attn_ = add("attn", attention(o));
    norm1_ = add("norm1", token_norm(o.norm, o.dim));
    drop1_ = add("drop_path1", DropPath(o.drop_path));
    mlp_ = add("mlp", mlp(o));
    norm2_ = add("norm2", token_norm(o.norm, o.dim));
    drop2_ = add("drop_path2", DropPath(o.drop_path));
    if (o.layer_scale == 0) return;
    for (const Ref<Module>& norm : {norm1_, norm2_})
      norm->own_parameters()[0].slot().init = init::constant(o.layer_scale);
  }

 private:
  Tensor pass(const Tensor& x, const AttentionContext& c) override {
    const Tensor y = x + drop1_(norm1_(attn_(x, c)));
    return y + drop2_(norm2_(mlp_(y)));
  }
  Ref<SelfAttention> attn_;
  Ref<Module> norm1_, norm2_, mlp_;
  Ref<DropPath> drop1_, drop2_;
};

// What both parallel blocks begin with: one product gives the MLP's hidden values, queries, keys and values.
class Parallel : public VitBlock {
 protected:
  struct Parts {
    Tensor mlp, q, k, v;  // [N, L, hidden], [N, L, dim]
  };
  explicit Parallel(const VitBlockOptions& o) : o_(o) {
    if (o.attn.scale_norm || o.scale_mlp_norm)
      throw Error(Error::Kind::argument, "parallel blocks have no norms behind attention or inside of the MLP");
    if (!o.attn.qkv_bias) mlp_bias_ = param("mlp_bias", {o.hidden}, init::zeros());
  }
  void begin(int head) {
    in_norm_ = add("in_norm", token_norm(o_.norm, o_.dim));
    in_proj_ = add("in_proj", Linear(o_.dim, o_.hidden + 3 * o_.dim, o_.attn.qkv_bias));
    if (!o_.attn.qk_norm) return;
    q_norm_ = add("q_norm", token_norm(o_.norm, head));
    k_norm_ = add("k_norm", token_norm(o_.norm, head));
  }
  void end() {
    mlp_drop_ = add("mlp_drop", Dropout(o_.attn.proj_drop));
    ls_ = add("ls", layer_scale(o_));
    drop_path_ = add("drop_path", DropPath(o_.drop_path));
  }
  Parts parts(const Tensor& x) {
    const std::vector<Tensor> each = split(in_proj_(in_norm_(x)), {o_.hidden, o_.dim, o_.dim, o_.dim}, -1);
    const Tensor wide = mlp_bias_ ? each[0] + *mlp_bias_ : each[0];
    return {mlp_drop_(activate(wide, o_.act)), each[1], each[2], each[3]};
  }
  bool drops() const { return training() && o_.attn.attn_drop > 0; }

  VitBlockOptions o_;
  Param mlp_bias_;
  Ref<Module> in_norm_;
  Ref<Linear> in_proj_;
  Maybe<Module> q_norm_, k_norm_, ls_;
  Ref<Dropout> mlp_drop_;
  Ref<DropPath> drop_path_;
};

class ParallelScaling final : public Parallel {
 public:
  explicit ParallelScaling(const VitBlockOptions& o) : Parallel(o) {
    begin(head_channels(o.dim, o.attn.heads));
    attn_out_ = add("attn_out_proj", Linear(o.dim, o.dim, o.attn.proj_bias));
    mlp_out_ = add("mlp_out_proj", Linear(o.hidden, o.dim, o.attn.proj_bias));
    end();
  }

 private:
  Tensor pass(const Tensor& x, const AttentionContext& c) override {
    const Parts p = parts(x);
    const AttentionOptions options{
        .scale = {}, .causal = c.causal, .dropout = drops() ? o_.attn.attn_drop : 0, .key = drops() ? next_key() : 0};
    const Tensor q = rotated(q_norm_(split_heads(p.q, o_.attn.heads)), c.rotary),
                 k = rotated(k_norm_(split_heads(p.k, o_.attn.heads)), c.rotary);
    const Tensor y = merge_heads(sdpa(q, k, split_heads(p.v, o_.attn.heads), c.mask, options));
    return x + drop_path_(ls_(attn_out_(y) + mlp_out_(p.mlp)));
  }
  Ref<Linear> attn_out_, mlp_out_;
};

class ParallelDiff final : public Parallel {
 public:
  explicit ParallelDiff(const VitBlockOptions& o) : Parallel(o) {
    const int head = head_channels(o.dim, 2 * o.attn.heads);
    lambda_.q1 = param("lambda_q1", {head}, init::normal(0.1));
    lambda_.k1 = param("lambda_k1", {head}, init::normal(0.1));
    lambda_.q2 = param("lambda_q2", {head}, init::normal(0.1));
    lambda_.k2 = param("lambda_k2", {head}, init::normal(0.1));
    lambda_.start = DifferentialLambda::start_at(o.index);
    begin(head);
    sub_norm_ = add("sub_norm", RmsNorm(2 * head, 1e-5));
    out_ = add("out_proj", Linear(o.dim + o.hidden, o.dim, o.attn.proj_bias));
    end();
  }

 private:
  Tensor pass(const Tensor& x, const AttentionContext& c) override {
    const Parts p = parts(x);
    const Tensor q = rotated(q_norm_(split_heads(p.q, 2 * o_.attn.heads)), c.rotary),
                 k = rotated(k_norm_(split_heads(p.k, 2 * o_.attn.heads)), c.rotary);
    const Tensor y = differential_attention(q, k, split_heads(p.v, o_.attn.heads), lambda_, {c.mask, c.causal},
                                            drops() ? o_.attn.attn_drop : 0, drops() ? next_key() : 0);
    const Tensor attended = merge_heads(sub_norm_(y) * (1 - lambda_.start));
    return x + drop_path_(ls_(out_(cat({attended, p.mlp}, -1))));
  }
  DifferentialLambda lambda_;
  Ref<RmsNorm> sub_norm_;
  Ref<Linear> out_;
};

// One of the branches that stand side by side.
class Branch final : public Module {
 public:
  Branch(const VitBlockOptions& o, bool attends) {
    norm_ = add("norm", token_norm(o.norm, o.dim));
    if (attends) attn_ = add("attn", attention(o));
    else mlp_ = add("mlp", mlp(o));
    ls_ = add("ls", layer_scale(o));
    drop_path_ = add("drop_path", DropPath(o.drop_path));
  }
  Tensor operator()(const Tensor& x, const AttentionContext& c) {
    const Scope scope(name());
    const Tensor y = norm_(x);
    return drop_path_(ls_(attn_ ? attn_(y, c) : mlp_(y)));
  }

 private:
  Ref<Module> norm_, mlp_;
  Ref<SelfAttention> attn_;
  Maybe<Module> ls_;
  Ref<DropPath> drop_path_;
};

class Pairs final : public VitBlock {
 public:
  explicit Pairs(const VitBlockOptions& o) {
    Sequential attns, ffns;
    for (size_t i = 0; i < 2; ++i) {
      attns_[i] = attns.add(Branch(o, true));
      ffns_[i] = ffns.add(Branch(o, false));
    }
    add("attns", std::move(attns));
    add("ffns", std::move(ffns));
  }

 private:
  Tensor pass(const Tensor& x, const AttentionContext& c) override {
    const auto both = [&](std::string_view called, const std::array<Ref<Branch>, 2>& branches, const Tensor& t) {
      const Scope scope(called);
      return t + (branches[0](t, c) + branches[1](t, c));
    };
    return both("ffns", ffns_, both("attns", attns_, x));
  }
  std::array<Ref<Branch>, 2> attns_, ffns_;
};

}  // namespace

std::string_view name_of(VitBlockKind k) {
  constexpr std::string_view names[] = {"pre_norm", "gamma", "post_norm", "parallel", "parallel_diff", "pairs"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

std::string_view name_of(VitMlp m) {
  constexpr std::string_view names[] = {"mlp", "swiglu", "swiglu_packed", "geglu"};
  return static_cast<size_t>(m) < std::size(names) ? names[static_cast<size_t>(m)] : std::string_view();
}

Tensor VitBlock::operator()(const Tensor& x, const AttentionContext& c) {
  const Scope scope(name());
  return pass(x, c);
}

void VitBlock::set_window(Size2 window) {
  if (auto* attn = dynamic_cast<Attention*>(find("attn"))) attn->set_window(window);
}

std::unique_ptr<VitBlock> vit_block(VitBlockKind kind, const VitBlockOptions& o) {
  switch (kind) {
    case VitBlockKind::gamma: return std::make_unique<Gamma>(o);
    case VitBlockKind::post_norm: return std::make_unique<PostNorm>(o);
    case VitBlockKind::parallel: return std::make_unique<ParallelScaling>(o);
    case VitBlockKind::parallel_diff: return std::make_unique<ParallelDiff>(o);
    case VitBlockKind::pairs: return std::make_unique<Pairs>(o);
    case VitBlockKind::pre_norm: break;
  }
  return std::make_unique<PreNorm>(o);
}

}  // namespace fovea::zoo
