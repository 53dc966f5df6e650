// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit.cpp — patches and other tokens, blocks, norm, pooling, classifier.
#include "zoo/blocks/vit.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/token_pool.h"

namespace fovea::zoo {
namespace {

template <class E, size_t N>
std::string_view named(E value, const std::string_view (&names)[N]) {
  return static_cast<size_t>(value) < N ? names[static_cast<size_t>(value)] : std::string_view();
}

bool statistic(std::string_view pool) { return pool == "avg" || pool == "avgmax" || pool == "max"; }
bool attentive(std::string_view pool) { return pool == "map" || pool == "prr"; }

int prefix_of(const VitTokens& t) { return (t.class_token ? 1 : 0) + (t.distilled ? 1 : 0) + t.reg_tokens; }

TokenPools pools_of(const VitCfg& c) {
  const std::string_view known = c.tokens.distilled     ? "token"
                                 : c.tokens.class_token ? "token,avg,max,avgmax,map,prr"
                                                        : "avg,max,avgmax,map,prr";
  return {.pool = c.ends.global_pool, .known = known, .prefix = prefix_of(c.tokens), .distilled = c.tokens.distilled};
}

void scale(Init& init, double factor) {
  for (double* v : {&init.a, &init.b, &init.lo, &init.hi}) *v *= factor;
}

}  // namespace

std::string_view name_of(FcNorm v) {
  constexpr std::string_view names[] = {"automatic", "no", "yes"};
  return named(v, names);
}
std::string_view name_of(VitResample v) {
  constexpr std::string_view names[] = {"cubic", "linear", "linear_corners"};
  return named(v, names);
}

// ---- building ---------------------------------------------------------------------------------------------------

Vit::Vit(const VitCfg& c, const ModelOptions& o) : TokenHeadModel(o, pools_of(c)), cfg_(c) {
  default_levels_ = 3;
  const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
  add_tokens(o.in_chans.value_or(3), {size[0], size[1]});
  add_blocks(static_cast<double>(o.drop_path_rate.value_or(0.0f)));
  add_ends();
  start_values();
}

void Vit::add_tokens(int channels, Size2 image) {
  const VitCfg& c = cfg_;
  const VitTokens& t = c.tokens;
  patch_embed_ =
      add("patch_embed", PatchEmbed(channels, c.embed_dim,
                                    {.image = image,
                                     .patch = c.patch_size,
                                     .bias = !c.ends.pre_norm,
                                     .norm = c.ends.embed_norm ? norm() : TokenNorm{.kind = TokenNorm::Kind::none},
                                     .strict_size = !t.dynamic_img_size,
                                     .pad = t.dynamic_img_pad,
                                     .flatten = !t.dynamic_img_size}));
  if (t.class_token) cls_token = param("cls_token", {1, 1, c.embed_dim}, init::normal(1e-6));
  if (t.reg_tokens > 0) reg_token = param("reg_token", {1, t.reg_tokens, c.embed_dim}, init::normal(1e-6));
  if (t.pos_embed)
    pos_embed =
        param("pos_embed", {1, patch_embed_->patches() + embedded_prefix(), c.embed_dim}, init::trunc_normal(0.02));
  if (t.distilled) dist_token = param("dist_token", {1, 1, c.embed_dim}, init::trunc_normal(0.02));
  pos_drop_ = add("pos_drop", Dropout(c.training.pos_drop_rate));
  if (c.training.patch_drop_rate > 0)
    patch_drop_ = add("patch_drop", PatchDropout(c.training.patch_drop_rate, prefix_tokens()));
  if (c.ends.pre_norm) norm_pre_ = add("norm_pre", token_norm(norm(), c.embed_dim));
}

void Vit::add_blocks(double drop_path_rate) {
  const VitCfg& c = cfg_;
  const VitBlockCfg& b = c.block;
  Sequential all;
  for (int i = 0; i < c.depth; ++i) {
    const double share = c.depth > 1 ? static_cast<double>(i) / (c.depth - 1) : 0;
    blocks_.push_back(all.add(vit_block(b.block_fn, {.dim = c.embed_dim,
                                                     .hidden = static_cast<int>(c.embed_dim * c.mlp_ratio),
                                                     .heads = c.num_heads,
                                                     .qkv_bias = b.qkv_bias,
                                                     .proj_bias = b.proj_bias,
                                                     .qk_norm = b.qk_norm,
                                                     .scale_attn_norm = b.scale_attn_norm,
                                                     .scale_mlp_norm = b.scale_mlp_norm,
                                                     .diff_attention = b.diff_attention,
                                                     .layer_scale = b.init_values,
                                                     .norm = norm(),
                                                     .act = b.act_layer,
                                                     .mlp = b.mlp,
                                                     .attn_drop = c.training.attn_drop_rate,
                                                     .proj_drop = c.training.proj_drop_rate,
                                                     .drop_path = drop_path_rate * share,
                                                     .index = i}))
                          .get());
  }
  add("blocks", std::move(all));
}

void Vit::add_ends() {
  const VitCfg& c = cfg_;
  const VitEnds& e = c.ends;
  const std::string& pool = global_pool();
  const bool behind = e.fc_norm == FcNorm::automatic ? statistic(pool) : e.fc_norm == FcNorm::yes;
  if (e.final_norm && !behind) norm_ = add("norm", token_norm(norm(), c.embed_dim));
  if (pool == "map")
    attn_pool_ =
        add("attn_pool",
            std::unique_ptr<Module>(std::make_unique<AttentionPoolLatent>(
                c.embed_dim,
                AttentionPoolOptions{
                    .heads = c.num_heads, .mlp_ratio = c.mlp_ratio, .norm = norm(), .act = c.block.act_layer})));
  if (pool == "prr")
    attn_pool_ = add("attn_pool", std::unique_ptr<Module>(std::make_unique<AttentionPoolPrr>(
                                      c.embed_dim, c.num_heads, c.tokens.class_token ? "token" : "avg")));
  if (e.final_norm && behind) fc_norm_ = add("fc_norm", token_norm(norm(), c.embed_dim));
  add_head(c.embed_dim);
}

void Vit::start_values() {
  start_vit_values(*this, cfg_.training.weight_init, num_classes_);
  if (!cfg_.training.fix_init || cfg_.training.weight_init == VitInit::reset) return;
  for (size_t i = 0; i < blocks_.size(); ++i)
    for (std::string_view name : {"attn.proj", "mlp.fc2"})
      if (auto* linear = dynamic_cast<Linear*>(blocks_[i]->find(name)))
        scale(linear->weight.slot().init, 1 / std::sqrt(2 * (static_cast<double>(i) + 1)));
}

// ---- running ----------------------------------------------------------------------------------------------------

Tensor Vit::embed(const Tensor& image) {
  Tensor x = patch_embed_(image);
  const int64_t n = x.dim(0), c = cfg_.embed_dim;
  Tensor positions = pos_embed;
  if (x.rank() == 4) {
    const Size2 grid(static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)));
    if (positions) positions = resample_positions(positions, grid, patch_embed_->grid(), embedded_prefix());
    x = reshape(x, {n, x.dim(1) * x.dim(2), c});
  }
  if (positions && cfg_.tokens.no_embed_class) x = x + positions;
  Tensors tokens;
  for (const Param& t : {cls_token, dist_token, reg_token})
    if (t) tokens.push_back(expand(t, {n, t->dim(1), c}));
  tokens.push_back(x);
  if (tokens.size() > 1) x = cat(tokens, 1);
  if (positions && !cfg_.tokens.no_embed_class) x = x + positions;
  return norm_pre_(patch_drop_(positions ? pos_drop_(x) : x));
}

Tensor Vit::forward_features(const Tensor& image, const AttentionMask& m) {
  Tensor x = embed(image);
  const bool masked = m.mask || m.causal;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    {
      const Scope scope("blocks");
      x = masked ? (*blocks_[i])(x, m) : run(*blocks_[i], x);
    }
    if (tap(cat("blocks.", i), x)) break;
  }
  return norm_(x);
}

Tensor Vit::pool(const Tensor& tokens) {
  const bool all = cfg_.ends.pool_include_prefix || global_pool() == "prr";
  if (!attn_pool_.get()) return pool_tokens(tokens, global_pool(), prefix_tokens(), all);
  return attn_pool_(all || prefix_tokens() == 0 ? tokens : slice(tokens, 1, prefix_tokens(), tokens.dim(1)));
}

// ---- changing ---------------------------------------------------------------------------------------------------

void Vit::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (global_pool && *global_pool != this->global_pool()) {
    check_pool(*global_pool);
    if (attentive(*global_pool))
      throw Error(Error::Kind::unsupported,
                  cat("attention pooling '", *global_pool, "' cannot be added to a finished model"),
                  "give global_pool when creating it");
    if (attn_pool_.get()) {
      replace("attn_pool", std::make_unique<Identity>());
      attn_pool_ = {};
    }
  }
  TokenHeadModel::reset_classifier(num_classes, global_pool);
}

void Vit::resize_input(std::array<int, 2> image, std::optional<int> patch) {
  const Size2 before = patch_embed_->grid();
  patch_embed_->set_input_size(Size2(image[0], image[1]), patch ? std::optional(Size2(*patch)) : std::nullopt);
  const Size2 now = patch_embed_->grid();
  if (now.h < 1 || now.w < 1)
    throw Error(Error::Kind::argument, cat("an image of ", image[0], " x ", image[1], " is smaller than a patch"));
  if (!pos_embed || now == before) return;
  const bool wants = pos_embed->requires_grad();
  const NoGrad no_grad;
  if (pos_embed->has_bytes()) {
    pos_embed.set(contiguous(resample_positions(pos_embed->detach(), now, before, embedded_prefix())));
  } else {
    pos_embed.set(
        meta_tensor(make_meta(pos_embed->dtype(), {1, patch_embed_->patches() + embedded_prefix(), cfg_.embed_dim})));
  }
  pos_embed.slot().value.set_requires_grad(wants);
}

std::vector<std::string> Vit::no_weight_decay() const { return {"pos_embed", "cls_token", "reg_token", "dist_token"}; }

std::vector<LayerGroup> Vit::group_matcher(bool) const {
  std::vector<LayerGroup> rows;
  for (const char* stem : {"^cls_token", "^reg_token", "^dist_token", "^pos_embed", "^patch_embed", "^norm_pre"})
    rows.push_back({.group = 0, .pattern = stem});
  rows.push_back({.group = 1, .pattern = "^blocks.#"});
  rows.push_back({.group = 1, .pattern = "^norm", .joins_previous = true});
  return rows;
}

ResampleOptions Vit::resample() const {
  if (cfg_.tokens.resample == VitResample::cubic) return {};
  return {.mode = Interpolation::linear,
          .antialias = false,
          .align_corners = cfg_.tokens.resample == VitResample::linear_corners};
}

}  // namespace fovea::zoo
