// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit.cpp — patches and other tokens, blocks, norm, pooling, classifier.
#include "zoo/blocks/vit.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/checkpoint.h"
#include "nn/layers/token_pool.h"
#include "zoo/blocks/hybrid_embed.h"
#include "zoo/blocks/stages.h"

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
  constexpr std::string_view names[] = {"automatic", "no", "yes", "for_avg"};
  return named(v, names);
}
std::string_view name_of(VitPositions v) {
  constexpr std::string_view names[] = {"none", "learned", "factorized"};
  return named(v, names);
}
bool read_setting(std::string_view text, VitPositions& v) {
  bool on = false;
  if (text.empty() || read_setting(text, on)) return v = on ? VitPositions::learned : VitPositions::none, true;
  for (const VitPositions known : {VitPositions::none, VitPositions::learned, VitPositions::factorized})
    if (text == name_of(known) || (text == "learn" && known == VitPositions::learned)) return v = known, true;
  return false;
}
std::string_view name_of(NaflexResample v) {
  constexpr std::string_view names[] = {"bicubic", "bilinear"};
  return named(v, names);
}
std::string_view name_of(NaflexProjection v) {
  constexpr std::string_view names[] = {"linear", "conv"};
  return named(v, names);
}
std::string_view name_of(VitResample v) {
  constexpr std::string_view names[] = {"cubic", "linear", "linear_corners"};
  return named(v, names);
}

// ---- building ---------------------------------------------------------------------------------------------------

Vit::Vit(const VitCfg& c, const ModelOptions& o, std::unique_ptr<TokenEmbed> embed)
    : TokenHeadModel(o, pools_of(c)),
      cfg_(c) {
  default_levels_ = 3;
  const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
  if (c.naflex.use_naflex) {
    if (embed || c.tokens.distilled || c.rel_pos.rel_pos_type != RelPosType::none || global_pool() == "prr")
      throw Error(Error::Kind::argument, "this model does not take use_naflex");
    naflex_ = add("embeds", NaflexEmbed(c, o.in_chans.value_or(3), Size2(size[0], size[1])));
  } else if (!embed) {
    embed = std::make_unique<PatchEmbed>(
        o.in_chans.value_or(3), c.embed_dim,
        PatchEmbedOptions{.image = {size[0], size[1]},
                          .patch = c.patch_size,
                          .bias = !c.ends.pre_norm,
                          .norm = c.ends.embed_norm ? norm() : TokenNorm{.kind = TokenNorm::Kind::none},
                          .strict_size = !c.tokens.dynamic_img_size,
                          .pad = c.tokens.dynamic_img_pad,
                          .flatten = !c.tokens.dynamic_img_size});
  }
  if (naflex_) patch_embed_ = Ref<TokenEmbed>(naflex_.get());
  else patch_embed_ = add("patch_embed", std::move(embed));
  if (!naflex_) add_tokens();
  add_positions();
  add_blocks(static_cast<double>(o.drop_path_rate.value_or(0.0f)));
  add_ends();
  start_values();
}

void Vit::add_tokens() {
  const int dim = cfg_.embed_dim;
  const VitTokens& t = cfg_.tokens;
  const bool eva = cfg_.training.weight_init == VitInit::eva;
  const Init token = eva ? init::trunc_normal(0.02) : init::normal(1e-6), spread = init::trunc_normal(0.02);
  if (t.class_token) cls_token = param("cls_token", {1, 1, dim}, token);
  if (t.reg_tokens > 0) reg_token = param("reg_token", {1, t.reg_tokens, dim}, token);
  if (t.pos_embed == VitPositions::factorized)
    throw Error(Error::Kind::argument, "position embeddings are factorized in NaFlex models alone",
                "create it with use_naflex");
  if (t.pos_embed == VitPositions::learned)
    pos_embed = param("pos_embed", {1, patch_embed_->patches() + embedded_prefix(), dim}, spread);
  if (t.distilled) dist_token = param("dist_token", {1, 1, dim}, spread);
}

void Vit::add_positions() {
  const VitCfg& c = cfg_;
  const VitRope& r = c.rope;
  if (!naflex_) pos_drop_ = add("pos_drop", Dropout(c.training.pos_drop_rate));
  if (c.training.patch_drop_rate > 0)
    patch_drop_ = add("patch_drop", PatchDropout(c.training.patch_drop_rate, prefix_tokens()));
  if (c.rel_pos.shared_rel_pos)
    rel_pos_ = add(c.rel_pos.rel_pos_type == RelPosType::own_bias ? "rel_pos_bias" : "shared_rel_pos",
                   position_bias(position_bias_options(), c.num_heads));
  if (r.rope_grid_indexing != "ij" && r.rope_grid_indexing != "xy")
    throw Error(Error::Kind::argument, str_cat("rope_grid_indexing is '", r.rope_grid_indexing, "'"), "it is ij or xy");
  if (r.rope_type != RopeType::none)
    rope_ = add("rope", RotaryEmbedding({.type = r.rope_type,
                                         .head_dim = head_channels(c.embed_dim, c.num_heads),
                                         .heads = c.num_heads,
                                         .depth = c.depth,
                                         .prefix = prefix_tokens(),
                                         .temperature = r.rope_temperature,
                                         .grid_offset = r.rope_grid_offset,
                                         .columns_first = r.rope_grid_indexing == "xy",
                                         .rotate_half = r.rope_rotate_half,
                                         .ref_feat_shape = r.ref_feat_shape,
                                         .mrope_section = r.rope_mrope_section,
                                         .shift_coords = r.rope_shift_coords,
                                         .jitter_coords = r.rope_jitter_coords,
                                         .rescale_coords = r.rope_rescale_coords}));
  if (c.ends.pre_norm) norm_pre_ = add("norm_pre", token_norm(norm(), c.embed_dim));
}

PositionBiasOptions Vit::position_bias_options() const {
  return {.type = cfg_.rel_pos.rel_pos_type,
          .window = patch_embed_->grid(),
          .class_token = prefix_tokens() > 0,
          .hidden = cfg_.rel_pos.rel_pos_dim};
}

void Vit::add_blocks(double drop_path_rate) {
  const VitCfg& c = cfg_;
  const VitBlockCfg& b = c.block;
  DropPathRamp drop_path(drop_path_rate, c.depth);
  Sequential all;
  for (int i = 0; i < c.depth; ++i) {
    const bool full = i < b.full_attn_blocks || i >= c.depth - b.full_attn_blocks;
    const SelfAttentionOptions attn{.heads = c.num_heads,
                                    .kv_heads = full ? 0 : b.num_kv_heads,
                                    .qkv_fused = b.qkv_fused,
                                    .qkv_bias = b.qkv_bias,
                                    .k_bias = b.k_bias,
                                    .proj_bias = b.proj_bias,
                                    .qk_norm = b.qk_norm,
                                    .scale_norm = b.scale_attn_norm,
                                    .gated = b.gated_attn,
                                    .rel_pos = rel_pos_ ? PositionBiasOptions{} : position_bias_options(),
                                    .attn_drop = c.training.attn_drop_rate,
                                    .proj_drop = c.training.proj_drop_rate};
    blocks_.push_back(all.add(vit_block(b.block_fn, {.dim = c.embed_dim,
                                                     .hidden = static_cast<int>(c.embed_dim * c.mlp_ratio),
                                                     .attn = attn,
                                                     .diff_attention = b.diff_attention,
                                                     .layer_scale = b.init_values,
                                                     .attn_only_layer_scale = b.attn_only_layer_scale,
                                                     .norm = norm(),
                                                     .act = b.act_layer,
                                                     .mlp = b.mlp,
                                                     .swiglu_align_to = b.swiglu_align_to,
                                                     .scale_mlp_norm = b.scale_mlp_norm,
                                                     .drop_path = drop_path.next(),
                                                     .index = i}))
                          .get());
  }
  add("blocks", std::move(all));
}

void Vit::add_ends() {
  const VitCfg& c = cfg_;
  const VitEnds& e = c.ends;
  const std::string& pool = global_pool();
  const bool behind = e.fc_norm == FcNorm::automatic ? statistic(pool)
                      : e.fc_norm == FcNorm::for_avg ? pool == "avg"
                                                     : e.fc_norm == FcNorm::yes;
  if (e.final_norm && !behind) norm_ = add("norm", token_norm(norm(), c.embed_dim));
  if (pool == "map") {
    const AttentionPoolOptions map{.heads = e.attn_pool_num_heads ? e.attn_pool_num_heads : c.num_heads,
                                   .mlp_ratio = e.attn_pool_mlp_ratio > 0 ? e.attn_pool_mlp_ratio : c.mlp_ratio,
                                   .norm = norm(),
                                   .act = c.block.act_layer};
    attn_pool_ = add("attn_pool", std::unique_ptr<Module>(std::make_unique<AttentionPoolLatent>(c.embed_dim, map)));
  }
  if (pool == "prr")
    attn_pool_ = add("attn_pool", std::unique_ptr<Module>(std::make_unique<AttentionPoolPrr>(
                                      c.embed_dim, c.num_heads, c.tokens.class_token ? "token" : "avg")));
  if (e.final_norm && behind) fc_norm_ = add("fc_norm", token_norm(norm(), c.embed_dim));
  add_head(c.embed_dim);
}

void Vit::start_values() {
  const VitTraining& t = cfg_.training;
  const bool eva = t.weight_init == VitInit::eva && !naflex_;
  start_vit_values(*this, naflex_ && t.weight_init == VitInit::eva ? VitInit::timm : t.weight_init, num_classes_);
  if (auto* head = dynamic_cast<Linear*>(find("head")); head && eva && t.head_init_scale > 0)
    scale(head->weight.slot().init, t.head_init_scale);
  if ((!t.fix_init && !eva && !naflex_) || t.weight_init == VitInit::reset) return;
  for (size_t i = 0; i < blocks_.size(); ++i)
    for (std::string_view name : {"attn.proj", "mlp.fc2"})
      if (auto* linear = dynamic_cast<Linear*>(blocks_[i]->find(name)))
        scale(linear->weight.slot().init, 1 / std::sqrt(2 * (static_cast<double>(i) + 1)));
}

// ---- running ----------------------------------------------------------------------------------------------------

Tensor Vit::embed(const Tensor& patches) {
  Tensor x = patches;
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
  return positions || rope_ ? pos_drop_(x) : x;
}

Tensor Vit::run_block(VitBlock& block, const Tensor& x, const AttentionContext& c) {
  const Scope scope("blocks");
  if (!recomputes()) return block(x, c);
  const auto call = [&block, c](std::span<const Tensor> in) -> Tensors { return {block(in[0], c)}; };
  return checkpointed(block, call, std::span(&x, 1))[0];
}

Tensor Vit::forward_features(const Tensor& image, const AttentionMask& m) {
  const Size2 grid = patch_embed_->grid_of(image.dim(2), image.dim(3));
  // a backbone is worth recomputing
  const bool hybrid = dynamic_cast<HybridEmbed*>(patch_embed_.get()) != nullptr;
  const Tensor patches = hybrid ? run(*patch_embed_, image) : patch_embed_(image);
  return through(some_of(naflex_ ? patches : embed(patches)), m,
                 [&](int block) { return rope_->at(grid, block, image.device()); });
}

SequenceFeatures Vit::sequence_features(const PatchSequence& s) {
  if (!naflex_)
    throw Error(Error::Kind::unsupported, str_cat(full_name(), " takes no sequences of patches"),
                "create it with use_naflex");
  const Tensor places = cast(s.coords, DType::f32), sizes = amax(places, {1}, keep_dims) + 1;
  const PatchDropout::Kept some = some_of([&] {
    const Scope scope("embeds");
    return naflex_->of(s);
  }());
  const Tensor valid = some.index ? gather(s.valid, 1, some.index) : s.valid;
  const int64_t n = valid.dim(0), tokens = valid.dim(1) + prefix_tokens();
  const Tensor prefix = full({n, prefix_tokens()}, 1, DType::boolean, valid.device());
  const Tensor mask = prefix_tokens() > 0 ? cat({prefix, valid}, 1) : valid;
  return {.tokens = through(some, {.mask = reshape(mask, {n, 1, 1, tokens})},
                            [&](int block) { return rope_->at(places, sizes, block); }),
          .valid = valid};
}

PatchDropout::Kept Vit::some_of(const Tensor& tokens) {
  if (!patch_drop_) return {.tokens = tokens, .index = {}};
  const Scope scope("patch_drop");
  return patch_drop_->keep(tokens);
}

template <class Turns>
Tensor Vit::through(const PatchDropout::Kept& some, const AttentionMask& m, Turns turns) {
  Tensor x = norm_pre_(some.tokens);
  AttentionContext c(m);
  if (rel_pos_) c.mask = rel_pos_->bias();
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (rope_ && (i == 0 || rope_->differs())) {
      c.rotary = turns(static_cast<int>(i));
      if (some.index) c.rotary = kept(c.rotary, some.index, prefix_tokens());
    }
    x = run_block(*blocks_[i], x, c);
    if (tap(str_cat("blocks.", i), x)) break;
  }
  return norm_(x);
}

Tensor Vit::forward_masked(const Tensor& image, const AttentionMask& m) {
  if (cfg_.rel_pos.rel_pos_type != RelPosType::none)
    throw Error(Error::Kind::unsupported, str_cat(full_name(), " takes no attention mask"),
                "its scores have relative positions added already");
  return forward_features(image, m);
}

Tensor Vit::pool(const Tensor& tokens) {
  const bool all = cfg_.ends.pool_include_prefix || global_pool() == "prr";
  if (!attn_pool_.get()) return pool_tokens(tokens, global_pool(), prefix_tokens(), all);
  const bool whole = all || (cfg_.ends.attn_pool_prefix && !naflex_) || prefix_tokens() == 0;
  return attn_pool_(whole ? tokens : slice(tokens, 1, prefix_tokens(), tokens.dim(1)));
}

Tensor Vit::sequence_head(const SequenceFeatures& f, bool pre_logits) {
  const auto& [features, valid] = f;
  const std::string& type = global_pool();
  const int prefix = prefix_tokens();
  const bool whole = cfg_.ends.pool_include_prefix || prefix == 0;
  if (!attn_pool_.get() && !statistic(type)) return forward_head(features, pre_logits);
  const Tensor all = full({valid.dim(0), prefix}, 1, DType::boolean, valid.device());
  const Tensor counts = whole && prefix > 0 ? cat({all, valid}, 1) : valid;
  const Tensor tokens = whole ? features : slice(features, 1, prefix, features.dim(1));
  if (attn_pool_.get()) return head(dynamic_cast<AttentionPoolLatent&>(*attn_pool_.get())(tokens, counts), pre_logits);
  return head(pool_valid_tokens(tokens, counts, type), pre_logits);
}

// ---- changing ---------------------------------------------------------------------------------------------------

void Vit::reset_classifier(int num_classes, std::optional<std::string_view> global_pool) {
  if (global_pool && *global_pool != this->global_pool()) {
    check_pool(*global_pool);
    if (attentive(*global_pool))
      throw Error(Error::Kind::unsupported,
                  str_cat("attention pooling '", *global_pool, "' cannot be added to a finished model"),
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
    throw Error(Error::Kind::argument, str_cat("an image of ", image[0], " x ", image[1], " is smaller than a patch"));
  if (now == before) return;
  if (rel_pos_) rel_pos_->set_window(now);
  for (VitBlock* block : blocks_) block->set_window(now);
  if (!pos_embed) return;
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

std::vector<std::string> Vit::no_weight_decay() const {
  std::vector<std::string> names{"pos_embed", "cls_token", "reg_token", "dist_token"};
  if (cfg_.rel_pos.rel_pos_type == RelPosType::own_bias) names.emplace_back("relative_position_bias_table");
  if (cfg_.rope.rope_type == RopeType::mixed) names.emplace_back("freqs");
  return names;
}

std::vector<LayerGroup> Vit::group_matcher(bool) const {
  std::vector<LayerGroup> rows;
  if (naflex_) rows.push_back({.group = 0, .pattern = "^embeds"});
  else
    for (const char* stem :
         {"^cls_token", "^reg_token", "^dist_token", "^pos_embed", "^patch_embed", "^norm_pre", "^rel_pos_bias"})
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
