// SPDX-License-Identifier: Apache-2.0
// zoo/families/vision_transformer_hybrid.cpp — ViTs over the maps of ResNets and of a convolutional stem.
// timm.models.vision_transformer_hybrid; https://arxiv.org/abs/2010.11929, https://arxiv.org/abs/2311.17049
#include "weights_tools/edit.h"
#include "zoo/blocks/hybrid_embed.h"
#include "zoo/blocks/resnet.h"
#include "zoo/blocks/resnetv2.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::vision_transformer_hybrid {
namespace {

// ResNetV2 with norms behind its convolutions: its stem alone, or so many blocks a stage; ResNet-D; three convolutions
enum class Backbone : uint8_t { stem, r26, r50, r50_s16, resnet26d, resnet50d, resnet50d_s16, mci };
constexpr std::string_view name_of(Backbone b) {
  constexpr std::string_view names[] = {"stem",      "r26",       "r50",           "r50_s16",
                                        "resnet26d", "resnet50d", "resnet50d_s16", "mci"};
  return static_cast<size_t>(b) < std::size(names) ? names[static_cast<size_t>(b)] : std::string_view();
}

struct Cfg {
  Backbone backbone = Backbone::stem;
  VitCfg vit{.patch_size = 1};
};
FOVEA_SETTINGS(Cfg, backbone, vit)

struct Bare final : Module {
  Ref<Conv2d> conv;
  Bare(int in, int out, int kernel) {
    conv = add("conv", Conv2d(in, out, kernel, {.stride = kernel, .padding = 0, .bias = true}));
  }
  Tensor forward(const Tensor& x) override { return conv(x); }
};

// MobileCLIP's.
std::unique_ptr<Module> conv_stem(int in, int out) {
  const auto halving = [](int from, int to, int kernel) {
    return ConvNormAct(from, to, kernel, {.conv = {.stride = kernel, .padding = 0}, .act = act::gelu});
  };
  auto s = std::make_unique<Sequential>();
  s->add(halving(in, out / 4, 4));
  s->add(halving(out / 4, out / 4, 2));
  s->add(Bare(out / 4, out, 2));
  return s;
}

ResNetV2Cfg resnetv2(const std::array<int, 4>& layers) {
  return {.layers = layers,
          .stem_type = ResNetV2Stem::same,
          .preact = false,
          .norm_layer = NormSpec::Kind::group,
          .standardize = 1e-8,
          .padding = Padding::Kind::same,
          .zero_init_last = true};
}

std::unique_ptr<Module> backbone(const Cfg& c, int in) {
  const ModelOptions o{.num_classes = 0, .in_chans = in, .global_pool = ""};
  const auto v2 = [&](const std::array<int, 4>& layers) { return std::make_unique<ResNetV2>(resnetv2(layers), o); };
  const auto v1 = [&](const std::array<int, 4>& layers) {
    return std::make_unique<ResNet>(
        ResNetCfg{.layers = layers, .stem_width = 32, .stem = ResNetStem::deep, .avg_down = true}, o);
  };
  switch (c.backbone) {
    case Backbone::r26: return v2({2, 2, 2, 2});
    case Backbone::r50: return v2({3, 4, 6, 3});
    case Backbone::r50_s16: return v2({3, 4, 9, 0});
    case Backbone::resnet26d: return v1({2, 2, 2, 2});
    case Backbone::resnet50d: return v1({3, 4, 6, 3});
    case Backbone::resnet50d_s16: return v1({3, 4, 6, 0});
    case Backbone::mci: return conv_stem(in, c.vit.embed_dim);
    case Backbone::stem: break;
  }
  return std::make_unique<Sequential>(resnetv2_stem(resnetv2({}), in));
}

std::unique_ptr<TokenEmbed> token_embed(const Cfg& c, const ModelOptions& o) {
  const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
  const int in = o.in_chans.value_or(3);
  return std::make_unique<HybridEmbed>(backbone(c, in),
                                       HybridEmbedOptions{.channels = in,
                                                          .dim = c.vit.embed_dim,
                                                          .image = {size[0], size[1]},
                                                          .patch = c.vit.patch_size,
                                                          .proj = c.backbone != Backbone::mci,
                                                          .bias = !c.vit.ends.pre_norm,
                                                          .strict_size = !c.vit.tokens.dynamic_img_size,
                                                          .pad = c.vit.tokens.dynamic_img_pad,
                                                          .flatten = !c.vit.tokens.dynamic_img_size});
}

struct HybridVit final : Vit {
  HybridVit(const Cfg& c, const ModelOptions& o) : Vit(c.vit, o, token_embed(c, o)) {}
};

// ---- checkpoints ------------------------------------------------------------------------------------------------

constexpr Rename kMobileClip[] = {
    {"^patch_emb.#.block.conv", "patch_embed.backbone.$1.conv"},
    {"^patch_emb.#.block.norm", "patch_embed.backbone.$1.bn"},
    {"^post_transformer_norm", "norm"},
    {"^transformer.#", "blocks.$1"},
    {"pre_norm_mha.0", "norm1"},
    {"pre_norm_mha.1", "attn"},
    {"pre_norm_ffn.0", "norm2"},
    {"pre_norm_ffn.1", "mlp.fc1"},
    {"pre_norm_ffn.4", "mlp.fc2"},
    {"qkv_proj", "qkv"},
    {"out_proj", "proj"},
    {"^pos_embed.pos_embed.pos_embed", "pos_embed"},
    {"^classifier.proj", "head.weight"},
};

StateDict from_mobile_clip(const StateDict& weights) {
  StateDict w = rename(below(weights, "image_encoder.model."), kMobileClip);
  change(w, "pos_embed", [](const Tensor& t) { return t.rank() == 4 ? squeeze(t, 0) : t; });
  change(w, "head.weight", [](const Tensor& t) { return transpose(t, 0, 1); });
  if (const Tensor* head = w.find("head.weight")) w.set("head.bias", zeros({head->dim(0)}, head->dtype()));
  return w;
}

/// The convolutions of JAX archives, whose blocks count from one and whose kernels are H, W, in, out.
class JaxBackbone {
 public:
  JaxBackbone(const StateDict& from, std::string prefix, bool whole)
      : from_(from),
        prefix_(std::move(prefix)),
        ours_("patch_embed.backbone."),
        stem_(whole ? "stem." : "") {}
  StateDict translated() {
    kernel("conv_root", stem_ + "conv");
    norm("gn_root", stem_ + "norm");
    for (int s = 0; s < 4; ++s)
      for (int b = 0;; ++b) {
        const std::string theirs = cat("block", s + 1, "/unit", b + 1, '/'),
                          ours = cat("stages.", s, ".blocks.", b, '.');
        if (!kernel(theirs + "conv1", ours + "conv1")) break;
        norm(theirs + "gn1", ours + "norm1");
        for (const char n : {'2', '3'}) {
          kernel(cat(theirs, "conv", n), cat(ours, "conv", n));
          norm(cat(theirs, "gn", n), cat(ours, "norm", n));
        }
        kernel(theirs + "conv_proj", ours + "downsample.conv");
        norm(theirs + "gn_proj", ours + "downsample.norm");
      }
    return std::move(out_);
  }

 private:
  bool kernel(const std::string& theirs, const std::string& ours) {
    const Tensor* t = from_.find(cat(prefix_, theirs, "/kernel"));
    if (t) out_.set(cat(ours_, ours, ".weight"), contiguous(permute(*t, {3, 2, 0, 1})));
    return t != nullptr;
  }
  void norm(const std::string& theirs, const std::string& ours) {
    for (const auto& [part, called] : {std::pair{"/scale", ".weight"}, {"/bias", ".bias"}})
      if (const Tensor* t = from_.find(cat(prefix_, theirs, part))) out_.set(cat(ours_, ours, called), flatten(*t));
  }
  const StateDict& from_;
  std::string prefix_, ours_, stem_;
  StateDict out_;
};

StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("image_encoder.model.patch_emb.0.block.conv.weight"))
    return adapt_vit(model, from_mobile_clip(weights));
  StateDict convs;
  for (std::string_view prefix : {"", "opt/target/", "params/"})
    if (weights.contains(cat(prefix, "conv_root/kernel")))
      convs =
          JaxBackbone(weights, std::string(prefix), model.find("patch_embed.backbone.stem") != nullptr).translated();
  StateDict w = adapt_vit(model, std::move(weights));
  for (const auto& [name, t] : convs) w.set(name, t);
  return w;
}

// ---- variants ---------------------------------------------------------------------------------------------------

constexpr Cfg tiny{.backbone = Backbone::stem, .vit{.embed_dim = 192, .num_heads = 3, .patch_size = 8}},
    small_r26{.backbone = Backbone::r26, .vit{.embed_dim = 384, .num_heads = 6, .patch_size = 1}},
    large_r50{.backbone = Backbone::r50, .vit{.embed_dim = 1024, .depth = 24, .num_heads = 16, .patch_size = 1}};
constexpr Cfg base(Backbone b) { return {.backbone = b, .vit{.patch_size = 1}}; }
constexpr Cfg small(Backbone b) {
  return {.backbone = b, .vit{.depth = 8, .num_heads = 8, .patch_size = 1, .mlp_ratio = 3}};
}
constexpr Variant<Cfg> variants[] = {
    {"vit_base_mci_224", {.backbone = Backbone::mci, .vit{.patch_size = 1, .tokens{.no_embed_class = true}}}},
    {"vit_base_r26_s32_224", base(Backbone::r26)},
    {"vit_base_r50_s16_224", base(Backbone::r50_s16)},
    {"vit_base_r50_s16_384", base(Backbone::r50_s16)},
    {"vit_base_resnet26d_224", base(Backbone::resnet26d)},
    {"vit_base_resnet50d_224", base(Backbone::resnet50d)},
    {"vit_large_r50_s32_224", large_r50},
    {"vit_large_r50_s32_384", large_r50},
    {"vit_small_r26_s32_224", small_r26},
    {"vit_small_r26_s32_384", small_r26},
    {"vit_small_resnet26d_224", small(Backbone::resnet26d)},
    {"vit_small_resnet50d_s16_224", small(Backbone::resnet50d_s16)},
    {"vit_tiny_r_s16_p8_224", tiny},
    {"vit_tiny_r_s16_p8_384", tiny},
};

}  // namespace

FOVEA_FAMILY(vision_transformer_hybrid, HybridVit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::vision_transformer_hybrid
