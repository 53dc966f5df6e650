// SPDX-License-Identifier: Apache-2.0
// zoo/families/deepseek_vit.cpp — the vision encoder of DeepSeek-V4, which projects tokens for a language model, by
// itself and with a classifier. timm.models.deepseek_vit; https://arxiv.org/abs/2609.19969
#include "nn/checkpoint.h"
#include "nn/layers/rotary.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/vit_block.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::deepseek_vit {
namespace {

struct Cfg {
  bool encoder_only = false;
  std::string_view encoder_pool = "";  // of the encoder in front of a classifier: "align" projects tokens
  int out_features = 5120;             // channels of projected tokens
  int patch_size = 14, embed_dim = 1024, depth = 32, num_heads = 16;
  double mlp_ratio = 2.75;
  int downsample_ratio = 3;  // so many rows and columns of tokens become one
  double rope_temperature = 10000, norm_eps = 1e-6;
  bool final_norm = true;  // in front of the classifier
  double proj_drop_rate = 0, attn_drop_rate = 0;
  bool dynamic_img_pad = false;
};
FOVEA_SETTINGS(Cfg, encoder_only, encoder_pool, out_features, patch_size, embed_dim, depth, num_heads, mlp_ratio,
               downsample_ratio, rope_temperature, norm_eps, final_norm, proj_drop_rate, attn_drop_rate,
               dynamic_img_pad)

/// Squares of tokens become one each, for a language model: N,H,W,C -> [N, L, out].
class Aligner final : public Module {
 public:
  explicit Aligner(const Cfg& c) : side_(c.downsample_ratio) {
    if (c.out_features < 1 || side_ < 1)
      throw Error(Error::Kind::argument, "out_features and downsample_ratio of the aligner are positive");
    fc1_ = add("fc1", Linear(c.embed_dim * side_ * side_, c.out_features));
    fc2_ = add("fc2", Linear(c.out_features, c.out_features));
  }
  Tensor operator()(const Tensor& x, bool hidden_only = false) {
    const Scope scope(name());
    const auto missing = [&](int64_t size) { return (side_ - size % side_) % side_; };
    const int64_t more_h = missing(x.dim(1)), more_w = missing(x.dim(2));
    const Tensor whole = more_h > 0 || more_w > 0 ? pad_last(x, {0, 0, 0, more_w, 0, more_h}) : x;
    const int64_t n = x.dim(0), h = whole.dim(1) / side_, w = whole.dim(2) / side_, c = x.dim(3);
    const Tensor squares = permute(reshape(whole, {n, h, side_, w, side_, c}), {0, 1, 3, 5, 2, 4});
    const Tensor y = activate(fc1_(reshape(squares, {n, h * w, c * side_ * side_})), act::gelu);
    return hidden_only ? y : fc2_(y);
  }

 private:
  int side_;
  Ref<Linear> fc1_, fc2_;
};

struct Parts {
  Ref<PatchEmbed> patch_embed;
  Ref<RotaryEmbedding> rope;
  std::vector<Ref<VitBlock>> blocks;
  Ref<Module> norm;
  Ref<Aligner> aligner;
};

/// `add` makes them children of whoever has them.
template <class Add>
Parts parts_of(const Cfg& c, const ModelOptions& o, bool aligns, Add add) {
  const TokenNorm norm{.kind = TokenNorm::Kind::rms, .eps = c.norm_eps};
  Parts p;
  p.patch_embed =
      add("patch_embed", PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                    {.image = 0, .patch = c.patch_size, .pad = c.dynamic_img_pad, .flatten = false}));
  p.rope = add("rope", RotaryEmbedding({.head_dim = head_channels(c.embed_dim, c.num_heads),
                                        .heads = c.num_heads,
                                        .depth = c.depth,
                                        .prefix = 0,
                                        .temperature = c.rope_temperature,
                                        .rotate_half = true}));
  DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.0f)), c.depth);
  Sequential blocks;
  for (int i = 0; i < c.depth; ++i)
    p.blocks.push_back(blocks.add(vit_block(
        VitBlockKind::pre_norm,
        {.dim = c.embed_dim,
         .hidden = 2 * static_cast<int>(c.embed_dim * c.mlp_ratio),
         .attn = {.heads = c.num_heads, .qkv_bias = true, .attn_drop = c.attn_drop_rate, .proj_drop = c.proj_drop_rate},
         .norm = norm,
         .act = act::silu,
         .mlp = VitMlp::swiglu_packed,
         .mlp_bias = false,
         .drop_path = drop_path.next()})));
  add("blocks", std::move(blocks));
  p.norm = add("norm", token_norm(norm, c.embed_dim));
  if (aligns) p.aligner = add("aligner", Aligner(c));
  return p;
}

struct Encoder final : Module {
  Parts parts;
  Encoder(const Cfg& c, const ModelOptions& o, bool aligns) {
    parts = parts_of(c, o, aligns, [this](const char* called, auto part) { return add(called, std::move(part)); });
  }
};

/// By itself the encoder's parts are the model's own; else they are those of its child "encoder".
class DeepseekVit final : public ImageModel, public TokenModel {
 public:
  DeepseekVit(const Cfg& c, const ModelOptions& o)
      : ImageModel(o),
        cfg_(c),
        path_(c.encoder_only ? "" : "encoder"),
        pool_(wanted_pool(c.encoder_only ? "align" : "avg")) {
    default_levels_ = 3;
    check_pool(pool_);
    if (!c.encoder_pool.empty() && c.encoder_pool != "align")
      throw Error(Error::Kind::argument, cat("no pooling '", c.encoder_pool, "' of the encoder"), "there is align");
    const bool aligns = alone() ? pool_ == "align" : c.encoder_pool == "align";
    if (alone()) {
      num_classes_ = 0;
      parts_ = parts_of(c, o, aligns, [this](const char* called, auto part) { return add(called, std::move(part)); });
    } else {
      parts_ = add("encoder", Encoder(c, o, aligns))->parts;
      if (c.final_norm) norm_ = add("norm", final_norm_of(width()));
      head_drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
      head_ = add("head", classifier_layer(width(), num_classes_));
      classifier_name_ = "head";
    }
    measure_width();
    start_vit_values(*this, VitInit::eva, num_classes_);  // gates stay as they are
  }

  /// Normalised tokens N,H,W,C; in front of a classifier those that were projected, where they are, [N, L, C].
  Tensor forward_features(const Tensor& image) override {
    const Tensor map = tokens(image);
    return parts_.aligner && !alone() ? aligned(map, false) : map;
  }
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override {
    if (alone()) {
      if (parts_.aligner) return aligned(features, pre_logits);
      return pool_ == "avg" ? mean(features, {1, 2}) : features;
    }
    Tensor x = features.rank() == 4 ? flatten(features, 1, 2) : features;
    if (pool_ == "avg") x = mean(x, {1});
    x = head_drop_(norm_(x));
    return pre_logits ? x : head_(x);
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override {
    if (num_classes < 0 || (alone() && num_classes > 0))
      throw Error(Error::Kind::argument, cat("num_classes is ", num_classes),
                  alone() ? "the encoder by itself has no classifier" : "0 takes the classifier away");
    if (global_pool) {
      check_pool(*global_pool);
      if (alone() && *global_pool == "align" && !parts_.aligner)
        throw Error(Error::Kind::unsupported, "an aligner cannot be added to a finished model");
      pool_ = *global_pool;
    }
    num_classes_ = num_classes;
    if (!alone()) head_ = replace("head", classifier_layer(width(), num_classes));
  }
  const std::string& global_pool() const override { return pool_; }
  Size2 token_grid(int64_t height, int64_t width) const override { return parts_.patch_embed->grid_of(height, width); }
  std::vector<LayerGroup> group_matcher(bool) const override {
    const std::string below = alone() ? "^" : "^encoder.";
    std::vector<LayerGroup> rows{{0, below + "patch_embed"}, {1, below + "blocks.#"}};
    for (const char* last : {"norm", "aligner"})
      rows.push_back({.group = 1, .pattern = below + last, .joins_previous = true});
    if (!alone())
      for (const char* last : {"^norm", "^head"}) rows.push_back({.group = 1, .pattern = last, .joins_previous = true});
    return rows;
  }
  const Cfg& cfg() const { return cfg_; }
  bool alone() const { return path_.empty(); }
  bool aligns() const { return static_cast<bool>(parts_.aligner); }
  std::string within(std::string_view name) const { return alone() ? std::string(name) : cat(path_, '.', name); }

 protected:
  Tensor final_norm(const Tap& tapped) override {
    const Scope scope(path_);
    return parts_.norm(tapped.value);
  }
  AfterLevels after_levels() const override {
    return {.norms = {alone() ? "norm" : "encoder.norm"}, .convs = {}, .one_width = true};
  }
  void vacate_behind(std::string_view level, std::string_view) override {
    bool behind = false;
    for (size_t i = 0; i < parts_.blocks.size(); ++i) {
      if (behind) parts_.blocks[i]->vacate();
      behind = behind || level == block_path(i);
    }
  }
  void drop_head() override {
    if (parts_.aligner) parts_.aligner->vacate();
    parts_.aligner = {};
    if (norm_) norm_ = replace("norm", final_norm_of(width()));
    measure_width();
    reset_classifier(0, alone() ? std::optional<std::string_view>("") : std::nullopt);
  }

 private:
  int width() const { return parts_.aligner ? cfg_.out_features : cfg_.embed_dim; }  // of what a head would get
  void measure_width() {
    head_hidden_size_ = width();
    num_features_ = alone() ? cfg_.embed_dim : width();
  }
  std::unique_ptr<Module> final_norm_of(int channels) const {
    return std::make_unique<RmsNorm>(channels, cfg_.norm_eps, false);
  }
  std::string block_path(size_t i) const { return within(cat("blocks.", i)); }
  void check_pool(std::string_view pool) const {
    if (!pool.empty() && pool != "avg" && (pool != "align" || !alone()))
      throw Error(Error::Kind::argument, cat("no pooling '", pool, "' of this model's tokens"),
                  alone() ? "there are align, avg, and \"\" for none" : "there is avg, and \"\" for none");
  }

  Tensor tokens(const Tensor& image) {
    Tensor map, x;
    AttentionContext c;
    {
      const Scope scope(path_);
      map = parts_.patch_embed(image);
      c.rotary = parts_.rope->at({static_cast<int>(map.dim(1)), static_cast<int>(map.dim(2))});
    }
    x = flatten(map, 1, 2);
    for (size_t i = 0; i < parts_.blocks.size(); ++i) {
      {
        const Scope encoder(path_), list("blocks");
        x = run_block(*parts_.blocks[i], x, c);
      }
      if (tap(block_path(i), x)) break;
    }
    const Scope scope(path_);
    return unflatten(parts_.norm(x), 1, {map.dim(1), map.dim(2)});
  }
  Tensor run_block(VitBlock& block, const Tensor& x, const AttentionContext& c) {
    if (!recomputes()) return block(x, c);
    const auto call = [&block, c](std::span<const Tensor> in) -> Tensors { return {block(in[0], c)}; };
    return checkpointed(block, call, std::span(&x, 1))[0];
  }
  Tensor aligned(const Tensor& map, bool hidden_only) {
    const Scope scope(path_);
    return (*parts_.aligner)(map, hidden_only);
  }

  Cfg cfg_;
  std::string path_, pool_;
  Parts parts_;
  Maybe<Module> norm_;
  Ref<Dropout> head_drop_;
  Ref<Module> head_;
};

// ---- checkpoints ------------------------------------------------------------------------------------------------

constexpr Rename kOriginal[] = {
    {"attn.wqkv", "attn.qkv"}, {"attn.wo", "attn.proj"},       {"mlp.w1", "mlp.fc1"},
    {"mlp.w2", "mlp.fc2"},     {"^aligner.w1", "aligner.fc1"}, {"^aligner.w2", "aligner.fc2"},
};

// Of files that hold the language model as well only the encoder is wanted; its names are those of the bare encoder.
StateDict encoder_of(const StateDict& weights, bool aligns) {
  const bool source = any_below(weights, "vision."), classifier = !source && any_below(weights, "encoder.");
  StateDict w = source ? below(weights, "vision.") : classifier ? below(weights, "encoder.") : weights;
  if (source)
    for (const auto& [name, t] : below(weights, "aligner.")) w.set("aligner." + name, t);
  w = rename(w, kOriginal);
  for (const std::string& name : w.names()) {
    bool known = false;
    for (const char* part : {"patch_embed.", "blocks.", "norm.", "aligner."}) known = known || name.starts_with(part);
    if (!known || (!aligns && name.starts_with("aligner."))) w.erase(name);
  }
  return w;
}

StateDict adapt(ImageModel& model, StateDict weights) {
  const auto& vit = dynamic_cast<const DeepseekVit&>(model);
  StateDict encoder = encoder_of(weights, vit.aligns()), w;
  change(encoder, "patch_embed.proj.weight", [&](const Tensor& t) {  // patches were read by a linear layer
    return t.rank() == 2 ? reshape(t, {t.dim(0), -1, vit.cfg().patch_size, vit.cfg().patch_size}) : t;
  });
  for (const auto& [name, t] : encoder) w.set(vit.within(name), t);
  if (!vit.alone() && any_below(weights, "encoder.") && !any_below(weights, "vision."))
    for (const auto& [name, t] : weights)
      if (name.starts_with("norm.") || name.starts_with("head.")) w.set(name, t);
  return w;
}

constexpr Variant<Cfg> variants[] = {
    {"deepseek_vit_412m", {}},
    {"deepseek_vit_412m_align", {.encoder_pool = "align"}},
    {"deepseek_vit_412m_enc", {.encoder_only = true}},
};

}  // namespace

FOVEA_FAMILY(deepseek_vit, DeepseekVit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::deepseek_vit
