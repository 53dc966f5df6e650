// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights.cpp — which code base wrote the weights, its names as rows, and what rows cannot say.
#include "zoo/blocks/vit_weights.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/adapted.h"
#include "weights_tools/rename.h"
#include "zoo/blocks/vit.h"

namespace fovea::zoo {
namespace {

constexpr Rename kClip[] = {
    {"^conv1", "patch_embed.proj"},
    {"^positional_embedding", "pos_embed"},
    {"^class_embedding", "cls_token"},
    {"^transformer.resblocks.", "blocks."},
    {"^ln_pre", "norm_pre"},
    {"^ln_post", "norm"},
    {"ln_1", "norm1"},
    {"ln_2", "norm2"},
    {"in_proj_weight", "qkv.weight"},
    {"in_proj_bias", "qkv.bias"},
    {"out_proj", "proj"},
    {"mlp.c_fc", "mlp.fc1"},
    {"mlp.c_proj", "mlp.fc2"},
    {"^proj", "head.weight"},
};
constexpr Rename kDinov2[] = {{"^mask_token", nullptr}, {"mlp.w12", "mlp.fc1"}, {"mlp.w3", "mlp.fc2"}};
constexpr Rename kAim[] = {
    {"norm_1", "norm1"},
    {"norm_2", "norm2"},
    {"^preprocessor.patchifier.", "patch_embed."},
    {"^preprocessor.pos_embed", "pos_embed"},
    {"^trunk.", ""},
    {"post_trunk_norm", "norm"},
    {"mlp.fc1", "mlp.fc1_g"},
    {"mlp.fc3", "mlp.fc1_x"},
};
// Branch A sees images, branch B text.
constexpr Rename kBeit3[] = {
    {"B", nullptr},
    {"^beit3.text_embed", nullptr},
    {"^beit3.vision_embed.mask_token", nullptr},
    {"^beit3.", ""},
    {"^vision_embed.cls_token", "cls_token"},
    {"^vision_embed.", "patch_embed."},
    {"^encoder.", ""},
    {"embed_positions", "pos_embed"},
    {"layers", "blocks"},
    {"ffn_layernorm", "norm"},
    {"ffn", "mlp"},
    {"self_attn_layer_norm", "norm1"},
    {"self_attn", "attn"},
    {"final_layer_norm", "norm2"},
    {"inner_attn_ln", "norm"},
    {"out_proj", "proj"},
    {"A.", ""},
};
constexpr Rename kRadio[] = {
    {"^patch_generator.embedder", "patch_embed.proj"},
    {"^patch_generator.pos_embed", "pos_embed"},
    {"^patch_generator.cls_token.token", "tokens"},
    {"grandma", "gamma"},
    {"^patch_generator.**", nullptr},
};

template <class F>
void change(StateDict& w, std::string_view name, F f) {
  if (const Tensor* t = w.find(name)) w.set(name, contiguous(f(*t)));
}

StateDict from_clip(const StateDict& weights, std::string_view prefix) {
  StateDict w = rename(below(weights, prefix), kClip);
  change(w, "cls_token", [](const Tensor& t) { return reshape(t, {1, 1, t.dim(0)}); });
  change(w, "pos_embed", [](const Tensor& t) { return unsqueeze(t, 0); });
  change(w, "head.weight", [](const Tensor& t) { return transpose(t, 0, 1); });
  if (const Tensor* head = w.find("head.weight")) w.set("head.bias", zeros({head->dim(0)}, head->dtype()));
  return w;
}

// With registers, the positions of the class token move into that token: no token in front of the patches has one here.
StateDict from_dinov2(const StateDict& weights) {
  StateDict w = rename(weights, kDinov2);
  const Tensor* registers = w.find("register_tokens");
  if (!registers) return w;
  w.set("reg_token", *registers);
  w.erase("register_tokens");
  const Tensor positions = w.at("pos_embed");
  change(w, "cls_token", [&](const Tensor& t) { return t + slice(positions, 1, 0, 1); });
  change(w, "pos_embed", [](const Tensor& t) { return slice(t, 1, 1, t.dim(1)); });
  return w;
}

StateDict from_beit3(const StateDict& weights) {
  const StateDict renamed = rename(weights, kBeit3);
  StateDict w;
  for (const auto& [name, t] : renamed) {
    const size_t q = name.find("attn.q_proj.");
    if (q != std::string::npos) {
      const std::string start = name.substr(0, q + 5), kind = name.substr(q + 12);
      w.set(cat(start, "qkv.", kind),
            cat({t, renamed.at(cat(start, "k_proj.", kind)), renamed.at(cat(start, "v_proj.", kind))}, 0));
    } else if (name == "pos_embed.weight") {  // its first two rows stand for no token
      w.set("pos_embed", contiguous(unsqueeze(slice(t, 0, 2, t.dim(0)), 0)));
    } else if (name.find("attn.k_proj.") == std::string::npos && name.find("attn.v_proj.") == std::string::npos) {
      w.set(name, t);
    }
  }
  return w;
}

// Patches are linear there, tokens of several teachers and registers lie in one tensor, and there are positions for
// 128 x 128 patches, of which an image takes the top left of a square.
StateDict from_radio(const StateDict& weights, const Vit& vit) {
  StateDict w = rename(below(weights, "radio_model.model."), kRadio);
  for (const std::string& name : w.names())
    if (!name.starts_with("blocks.") && name != "patch_embed.proj.weight" && name != "pos_embed" && name != "tokens")
      w.erase(name);
  const auto side =
      static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(w.at("patch_embed.proj.weight").dim(1)) / 3)));
  change(w, "patch_embed.proj.weight", [&](const Tensor& t) { return reshape(t, {t.dim(0), 3, side, side}); });
  const Tensor& kernel = w.at("patch_embed.proj.weight");
  w.set("patch_embed.proj.bias", zeros({kernel.dim(0)}, kernel.dtype()));
  if (const Tensor* tokens = w.find("tokens")) {
    const Tensor t = unsqueeze(*tokens, 0);
    w.set("cls_token", contiguous(slice(t, 1, 0, 1)));
    w.set("reg_token", contiguous(slice(t, 1, 1, t.dim(1))));
    w.erase("tokens");
  }
  const Size2 grid = vit.patches().grid();
  const int most = std::max(grid.h, grid.w);
  change(w, "pos_embed", [&](const Tensor& t) {
    const AdaptedLines unheard;  // all its weights are used so
    const Tensor square =
        reshape(resample_positions(t, most, std::nullopt, 0, vit.resample()), {1, most, most, t.dim(2)});
    return reshape(slice(slice(square, 1, 0, grid.h), 2, 0, grid.w), {1, -1, t.dim(2)});
  });
  return w;
}

StateDict from_open_clip(const StateDict& weights, std::string_view prefix, const Vit& vit) {
  StateDict w = below(weights, prefix);
  const Tensor* head = weights.find("visual.head.proj.weight");
  if (!head || vit.num_classes() == 0) return w;
  w.set("head.weight", *head);
  w.set("head.bias", zeros({head->dim(0)}, head->dtype()));
  return w;
}

StateDict with_our_names(const Vit& vit, StateDict w) {
  const auto any = [&](std::string_view prefix) {
    return std::any_of(w.begin(), w.end(), [&](const auto& e) { return e.first.starts_with(prefix); });
  };
  if (w.contains("visual.class_embedding")) return from_clip(w, "visual.");
  if (w.contains("module.visual.class_embedding")) return from_clip(w, "module.visual.");
  if (w.contains("mask_token")) return from_dinov2(w);
  if (w.contains("vision_encoder.mask_token")) return from_dinov2(below(w, "vision_encoder."));
  if (any("beit3.")) return from_beit3(w);
  if (any("encoder.module.blocks.")) return below(w, "encoder.module.");
  if (any("visual.trunk.blocks.")) return from_open_clip(w, "visual.trunk.", vit);
  if (any("module.visual.trunk.blocks.")) return below(w, "module.visual.trunk.");
  if (w.contains("preprocessor.patchifier.proj.weight")) return rename(w, kAim);
  if (any("radio_model.model.")) return from_radio(w, vit);
  return from_jax_vit(w, vit.cfg().depth);
}

// The grid that the weights were made for, where their image size is known.
std::optional<Size2> grid_of_weights(const Vit& vit, const StateDict& w, int64_t tokens) {
  const Tensor* kernel = w.find("patch_embed.proj.weight");
  if (!kernel || kernel->rank() != 4) return {};
  const std::array<int, 3> size = vit.pretrained_cfg().input_size;
  const Size2 grid(size[1] / static_cast<int>(kernel->dim(2)), size[2] / static_cast<int>(kernel->dim(3)));
  if (static_cast<int64_t>(grid.h) * grid.w != tokens) return {};
  return grid;
}

void fit(const Vit& vit, StateDict& w, const ResampleOptions& how) {
  const Size2 patch = vit.patches().patch(), grid = vit.patches().grid();
  if (vit.pos_embed && w.contains("pos_embed")) {
    const int prefix = vit.cfg().tokens.no_embed_class ? 0 : vit.prefix_tokens();
    const int64_t tokens = w.at("pos_embed").dim(1) - prefix;
    const std::optional<Size2> old = grid_of_weights(vit, w, tokens);
    const bool fits = tokens == static_cast<int64_t>(grid.h) * grid.w && (!old || *old == grid);
    if (!fits) change(w, "pos_embed", [&](const Tensor& t) { return resample_positions(t, grid, old, prefix, how); });
  }
  change(w, "patch_embed.proj.weight", [&](const Tensor& t) {
    if (t.rank() < 4)
      return reshape(t, {vit.cfg().embed_dim, -1, patch.h, patch.w});  // from before patches were a convolution
    return resample_patch_kernel(t, patch, how);
  });
}

}  // namespace

StateDict adapt_vit(ImageModel& model, StateDict weights) {
  const auto& vit = dynamic_cast<const Vit&>(model);
  const NoGrad no_grad;
  const bool jax = weights.size() > 0 && weights.begin()->first.find('/') != std::string::npos;
  ResampleOptions how = vit.resample();
  if (jax) how = {.mode = Interpolation::linear, .antialias = false};
  StateDict w = with_our_names(vit, std::move(weights));
  fit(vit, w, how);
  const bool pools = vit.global_pool() == "map";  // SigLIP's towers are used with and without their pooling
  for (const std::string& name : w.names()) {
    const bool hidden = name.starts_with("pre_logits.");
    if (hidden) say_adapted(cat(name, " is left out: the model has no such layer"));
    if (hidden || (!pools && name.starts_with("attn_pool."))) w.erase(name);
  }
  return w;
}

// ---- the archives of the JAX code -------------------------------------------------------------------------------

namespace {

class JaxVit {
 public:
  JaxVit(const StateDict& from, std::string prefix) : from_(from), prefix_(std::move(prefix)) {
    big_vision_ = prefix_.starts_with("params/") || has("pos_embedding") || has(stacked("LayerNorm_0/scale"));
  }
  StateDict translated(int blocks) {
    put("cls_token", "cls");
    put("pos_embed", big_vision_ ? "pos_embedding" : "Transformer/posembed_input/pos_embedding");
    out_.set("patch_embed.proj.weight", contiguous(permute(get("embedding/kernel"), {3, 2, 0, 1})));
    put("patch_embed.proj.bias", "embedding/bias");
    for (int i = 0; i < blocks; ++i) block(i);
    norm("norm", "Transformer/encoder_norm");
    if (has("MAPHead_0/probe")) pool();
    if (has("head/bias")) dense("head", "head");
    return std::move(out_);
  }

 private:
  static std::string stacked(std::string_view name) { return cat("Transformer/encoderblock/", name); }
  bool has(std::string_view name) const { return from_.contains(prefix_ + std::string(name)); }
  // All blocks may lie in one tensor, one behind the other.
  Tensor get(const std::string& name) const {
    const Tensor& t = from_.at(prefix_ + name);
    return index_ < 0 ? t : select(t, 0, index_);
  }
  void put(const std::string& ours, const std::string& theirs) {
    if (has(theirs)) out_.set(ours, contiguous(get(theirs)));
  }
  void norm(const std::string& ours, const std::string& theirs) {
    put(ours + ".weight", theirs + "/scale");
    put(ours + ".bias", theirs + "/bias");
  }
  void dense(const std::string& ours, const std::string& theirs) {
    out_.set(ours + ".weight", contiguous(transpose(get(theirs + "/kernel"), 0, 1)));
    put(ours + ".bias", theirs + "/bias");
  }
  // Products into heads [C, heads, D] and out of them [heads, D, C].
  void into_heads(const std::string& ours, const std::string& mha, std::initializer_list<const char*> parts) {
    Tensors weights, biases;
    for (const char* part : parts) {
      weights.push_back(transpose(flatten(get(cat(mha, part, "/kernel")), 1), 0, 1));
      biases.push_back(flatten(get(cat(mha, part, "/bias"))));
    }
    out_.set(ours + ".weight", cat(weights, 0));
    out_.set(ours + ".bias", cat(biases, 0));
  }
  void out_of_heads(const std::string& ours, const std::string& mha) {
    out_.set(ours + ".weight", contiguous(transpose(flatten(get(mha + "out/kernel"), 0, 1), 0, 1)));
    put(ours + ".bias", mha + "out/bias");
  }
  void block(int i) {
    const bool in_one = has(stacked("LayerNorm_0/scale"));
    const std::string theirs = in_one ? stacked("") : cat("Transformer/encoderblock_", i, '/'),
                      ours = cat("blocks.", i, '.');
    index_ = in_one ? i : -1;
    const std::string mha = cat(theirs, "MultiHeadDotProductAttention_", big_vision_ ? 0 : 1, '/');
    norm(ours + "norm1", theirs + "LayerNorm_0");
    into_heads(ours + "attn.qkv", mha, {"query", "key", "value"});
    out_of_heads(ours + "attn.proj", mha);
    norm(ours + "norm2", cat(theirs, "LayerNorm_", big_vision_ ? 1 : 2));
    for (int layer : {0, 1})
      dense(cat(ours, "mlp.fc", layer + 1), cat(theirs, "MlpBlock_", big_vision_ ? 0 : 3, "/Dense_", layer));
    index_ = -1;
  }
  void pool() {
    const std::string mha = "MAPHead_0/MultiHeadDotProductAttention_0/";
    put("attn_pool.latent", "MAPHead_0/probe");
    into_heads("attn_pool.q", mha, {"query"});
    into_heads("attn_pool.kv", mha, {"key", "value"});
    out_of_heads("attn_pool.proj", mha);
    norm("attn_pool.norm", "MAPHead_0/LayerNorm_0");
    for (int layer : {0, 1}) dense(cat("attn_pool.mlp.fc", layer + 1), cat("MAPHead_0/MlpBlock_0/Dense_", layer));
  }

  const StateDict& from_;
  std::string prefix_;
  bool big_vision_ = false;
  int64_t index_ = -1;
  StateDict out_;
};

}  // namespace

StateDict from_jax_vit(const StateDict& weights, int blocks) {
  for (std::string_view prefix : {"", "opt/target/", "params/", "params/img/"})
    if (weights.contains(cat(prefix, "embedding/kernel")))
      return JaxVit(weights, std::string(prefix)).translated(blocks);
  return weights;
}

}  // namespace fovea::zoo
