// SPDX-License-Identifier: Apache-2.0
// zoo/families/efficientvit_msra.cpp — EfficientViT of Microsoft: attention in windows whose heads read different
// channels, each with the answer of the head before. timm.models.efficientvit_msra; https://arxiv.org/abs/2305.07027
#include <algorithm>
#include <utility>

#include "engine/ops/ops.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/distance_bias.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::efficientvit_msra {
namespace {

struct Cfg {
  std::array<int, 3> embed_dim{64, 128, 192}, key_dim{16, 16, 16}, depth{1, 2, 3}, num_heads{4, 4, 4};
  std::array<int, 3> window_size{7, 7, 7};
  std::array<int, 4> kernels{5, 5, 5, 5};  // of the convolution of each head's queries
  std::array<int, 3> down_ops{0, 1, 1};    // 1: the stage begins by halving the map
};
FOVEA_SETTINGS(Cfg, embed_dim, key_dim, depth, num_heads, window_size, kernels, down_ops)

constexpr int kPatch = 16;

struct ConvNorm final : zoo::ConvNorm {
  ConvNorm(int in, int out, int kernel = 1, const Conv2dOptions& o = {}, double gain = 1)
      : zoo::ConvNorm("conv", in, out, kernel, o, gain) {}
};
ConvNorm depthwise(int channels, int kernel, double gain = 1, int stride = 1) {
  return {channels, channels, kernel, {.stride = stride, .groups = channels, .padding = kernel / 2}, gain};
}

struct ConvMlp final : Module {
  Ref<Module> pw1, pw2;
  ConvMlp(int channels, int hidden) {
    pw1 = add("pw1", ConvNorm(channels, hidden));
    pw2 = add("pw2", ConvNorm(hidden, channels, 1, {}, 0));
  }
  Tensor forward(const Tensor& x) override { return pw2(relu(pw1(x))); }
};

struct Residual final : Module {
  Ref<Module> m;
  template <class M>
  explicit Residual(M module) : m(add("m", std::move(module))) {}
  Tensor forward(const Tensor& x) override { return x + m(x); }
};

struct PatchMerging final : Module {
  Ref<Module> conv1, conv2, se, conv3;
  PatchMerging(int in, int out) {
    const int hidden = 4 * in;
    conv1 = add("conv1", ConvNorm(in, hidden));
    conv2 = add("conv2", depthwise(hidden, 3, 1, 2));
    se = add("se", SEModule(hidden, {.ratio = 0.25}));
    conv3 = add("conv3", ConvNorm(hidden, out));
  }
  Tensor forward(const Tensor& x) override { return conv3(se(relu(conv2(relu(conv1(x)))))); }
};

/// Of the pixels of a window, N,C,H,W.
struct CascadedAttention final : DistanceBiased {
  int key, value;
  std::vector<Ref<Module>> qkvs, dws;
  Ref<Module> proj;
  CascadedAttention(const Cfg& c, size_t s, int side) : key(c.key_dim[s]) {
    const int dim = c.embed_dim[s], heads = c.num_heads[s];
    if (heads < 1 || heads > static_cast<int>(c.kernels.size()) || dim % heads != 0)
      throw Error(Error::Kind::argument, str_cat(dim, " channels cannot have ", heads, " cascaded heads"),
                  str_cat("there are kernels for ", c.kernels.size(), ", and they divide the channels"));
    value = static_cast<int>(static_cast<double>(dim) / (key * heads) * key);
    add_biases(side, heads);
    Sequential products, queries, out;
    for (int i = 0; i < heads; ++i) {
      qkvs.push_back(products.add(ConvNorm(dim / heads, 2 * key + value)));
      dws.push_back(queries.add(depthwise(key, c.kernels[static_cast<size_t>(i)])));
    }
    add("qkvs", std::move(products));
    add("dws", std::move(queries));
    out.add(Activation(act::relu));
    out.add(ConvNorm(value * heads, dim, 1, {}, 0));
    proj = add("proj", std::move(out));
  }
  Tensor forward(const Tensor& x) override {
    const int64_t height = x.dim(2), width = x.dim(3);
    const std::vector<Tensor> group = chunk(x, static_cast<int64_t>(qkvs.size()), 1);
    const Tensor bias = biases(height, width);
    Tensors answers;
    for (size_t i = 0; i < qkvs.size(); ++i) {
      const std::vector<Tensor> part =
          split(qkvs[i](i == 0 ? group[0] : answers.back() + group[i]), {key, key, value}, 1);
      const Tensor answer = sdpa(split_map_heads(dws[i](part[0]), 1), split_map_heads(part[1], 1),
                                 split_map_heads(part[2], 1), select(bias, 0, static_cast<int64_t>(i)));
      answers.push_back(merge_map_heads(answer, height, width));
    }
    return proj(cat(answers, 1));
  }
};

struct WindowAttention final : Module {
  Ref<CascadedAttention> attn;
  int window, side;  // wanted; where the map is smaller
  WindowAttention(const Cfg& c, size_t s, int map) : window(c.window_size[s]), side(std::min(window, map)) {
    attn = add("attn", CascadedAttention(c, s, side));
  }
  void set_map(int map) {
    side = std::min(window, map);
    attn->set_grid(side);
  }
  Tensor forward(const Tensor& x) override {
    if (x.dim(2) == side && x.dim(3) == side) return attn(x);
    const Tensor y = in_windows(permute(x, {0, 2, 3, 1}), side, [&](const Tensor& tokens) {
      const Tensor windows = permute(unflatten(tokens, 1, {side, side}), {0, 3, 1, 2});
      return flatten(permute(attn(windows), {0, 2, 3, 1}), 1, 2);
    });
    return permute(y, {0, 3, 1, 2});
  }
};

struct Block final : Module {
  Ref<Module> dw0, ffn0, mixer, dw1, ffn1;
  Block(const Cfg& c, size_t s, int map) {
    const int dim = c.embed_dim[s];
    dw0 = add("dw0", Residual(depthwise(dim, 3, 0)));
    ffn0 = add("ffn0", Residual(ConvMlp(dim, 2 * dim)));
    mixer = add("mixer", Residual(WindowAttention(c, s, map)));
    dw1 = add("dw1", Residual(depthwise(dim, 3, 0)));
    ffn1 = add("ffn1", Residual(ConvMlp(dim, 2 * dim)));
  }
  Tensor forward(const Tensor& x) override { return ffn1(dw1(mixer(ffn0(dw0(x))))); }
};

Sequential mixed(int dim) {
  Sequential s;
  s.add(Residual(depthwise(dim, 3)));
  s.add(Residual(ConvMlp(dim, 2 * dim)));
  return s;
}

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  bool halves;
  /// The side of the map is the stage's own afterwards.
  Stage(const Cfg& c, size_t s, int& map) : halves(c.down_ops[s] != 0) {
    const int in = c.embed_dim[s > 0 ? s - 1 : 0], out = c.embed_dim[s];
    if (halves) {
      Sequential down;
      down.add("res1", mixed(in));
      down.add("patchmerge", PatchMerging(in, out));
      down.add("res2", mixed(out));
      downsample = add("downsample", std::move(down));
    } else if (in != out) {
      throw Error(Error::Kind::argument, str_cat("stage ", s, " has ", out, " channels behind ", in),
                  "only a stage that halves the map changes them");
    }
    shrink(map);
    Sequential all;
    for (int i = 0; i < c.depth[s]; ++i) all.add(Block(c, s, map));
    blocks = add("blocks", std::move(all));
  }
  void shrink(int& map) const { map = halves ? (map - 1) / 2 + 1 : map; }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

Sequential patch_embedding(int in, int dim) {
  Sequential s;
  for (int i = 1; i <= 4; ++i) {
    const int out = dim >> (4 - i);
    s.add(str_cat("conv", i), ConvNorm(in, out, 3, {.stride = 2, .padding = 1}));
    if (i < 4) s.add(str_cat("relu", i), Activation(act::relu));
    in = out;
  }
  return s;
}

class EfficientVitMsra final : public Chained<ImageModel>, public SizedModel {
 public:
  EfficientVitMsra(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    int map = std::min(image[0], image[1]) / kPatch;
    add("patch_embed", patch_embedding(o.in_chans.value_or(3), c.embed_dim[0]));
    stem("patch_embed");
    Sequential stages;
    for (size_t s = 0; s < 3; ++s) stages.add(Stage(c, s, map));
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2});
    num_features_ = c.embed_dim[2];
    classifier_name_ = "head";
    add_pool(wanted_pool("avg"), num_classes_);
    head_ = add("head", classifier_of(num_classes_));
  }
  Tensor forward_head(const Tensor& features, bool pre_logits) override {
    const Tensor x = pool_(features);
    return pre_logits ? x : head_(x);
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool) override {
    if (num_classes < 0)
      throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
    add_pool(global_pool.value_or(pool_->type()), num_classes);
    num_classes_ = num_classes;
    head_ = replace("head", classifier_of(num_classes));
  }
  const std::string& global_pool() const override { return pool_->type(); }
  void resize_input(std::array<int, 2> image, std::optional<int> patch) override {
    if (patch && *patch != kPatch)
      throw Error(Error::Kind::unsupported, str_cat("EfficientViT's patches are of ", kPatch, " pixels, not ", *patch));
    int map = std::min(image[0], image[1]) / kPatch;
    for (const auto& stage : find("stages")->children()) {
      if (const auto* s = dynamic_cast<Stage*>(stage.get())) s->shrink(map);
      stage->visit([&](const std::string&, Module& m) {
        if (auto* attention = dynamic_cast<WindowAttention*>(&m)) attention->set_map(map);
      });
    }
  }
  std::vector<std::string> no_weight_decay() const override { return {"attention_biases"}; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^patch_embed"}, {1, "^stages.#"}};
    return {
        {0, "^patch_embed"}, {.group = 1, .pattern = "^stages.#.downsample", .number = 0}, {1, "^stages.#.blocks.#"}};
  }

 private:
  void add_pool(std::string_view type, int classes) {
    auto pool = std::make_unique<GlobalPool>(type);
    if (pool->identity() && classes > 0)
      throw Error(Error::Kind::argument, str_cat("EfficientViT's ", classes, " classes need pooled features"),
                  "with global_pool '' goes num_classes 0");
    pool_ = pool_ ? replace("global_pool", std::move(pool)) : add("global_pool", std::move(pool));
    head_hidden_size_ = num_features_ * pool_->width();
  }
  std::unique_ptr<Module> classifier_of(int classes) const {
    if (classes == 0) return std::make_unique<Identity>();
    return std::make_unique<NormLinear>("linear", head_hidden_size_, classes, static_cast<double>(drop_rate_));
  }
  Ref<GlobalPool> pool_;
  Ref<Module> head_;
};

constexpr Rename kNames[] = {{"^**.attention_bias_idxs", nullptr}};

// Biases of another image size are resampled; weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("patch_embed.conv1.weight")) fuse(model);
  model.visit([&](const std::string& path, Module& m) {
    const std::string name = str_cat(path, ".attention_biases");
    if (const auto* biased = dynamic_cast<DistanceBiased*>(&m); biased && weights.contains(name))
      weights.set(name, biased->resampled(weights.at(name)));
  });
  return weights;
}

constexpr std::array<int, 4> kFalling{7, 5, 3, 3};
constexpr Variant<Cfg> variants[] = {
    {"efficientvit_m0", {}},
    {"efficientvit_m1", {.embed_dim{128, 144, 192}, .num_heads{2, 3, 3}, .kernels = kFalling}},
    {"efficientvit_m2", {.embed_dim{128, 192, 224}, .num_heads{4, 3, 2}, .kernels = kFalling}},
    {"efficientvit_m3", {.embed_dim{128, 240, 320}, .num_heads{4, 3, 4}}},
    {"efficientvit_m4", {.embed_dim{128, 256, 384}, .kernels = kFalling}},
    {"efficientvit_m5", {.embed_dim{192, 288, 384}, .depth{1, 3, 4}, .num_heads{3, 3, 4}, .kernels = kFalling}},
};

}  // namespace

FOVEA_FAMILY(efficientvit_msra, EfficientVitMsra, variants, .accepts = {.img_size = true, .drop_path_rate = false},
             .renames = kNames, .adapt = adapt)

}  // namespace fovea::zoo::efficientvit_msra
