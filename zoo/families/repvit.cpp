// SPDX-License-Identifier: Apache-2.0
// zoo/families/repvit.cpp — RepViT, whose branches and norms are single convolutions after training:
// https://arxiv.org/abs/2307.09283; timm.models.repvit
#include "zoo/blocks/chained.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/family.h"

namespace fovea::zoo::repvit {
namespace {

struct Cfg {
  std::array<int, 4> embed_dim{48, 96, 192, 384}, depth{2, 2, 14, 2};
  double mlp_ratio = 2;
  int kernel_size = 3;
  Act act_layer = act::gelu;
  bool distillation = true;  // two classifiers, whose mean counts
  bool legacy = false;       // norms in the branches instead of behind their sum
};
FOVEA_SETTINGS(Cfg, embed_dim, depth, mlp_ratio, kernel_size, act_layer, distillation, legacy)

struct ConvNorm final : zoo::ConvNorm {
  ConvNorm(int in, int out, int kernel = 1, const Conv2dOptions& o = {}, double gain = 1)
      : zoo::ConvNorm("c", in, out, kernel, o, gain) {}
};

// A depthwise convolution, one of single pixels and the map itself.
struct RepVggDw final : FusibleLayer {
  Ref<ConvNorm> conv;
  Ref<Module> conv1;
  Maybe<Module> bn;
  RepVggDw(const Cfg& c, int channels) {
    conv = add("conv", ConvNorm(channels, channels, c.kernel_size, {.groups = channels}));
    if (c.legacy) {
      conv1 = add("conv1", ConvNorm(channels, channels, 1, {.groups = channels}));
    } else {
      conv1 = add("conv1", Conv2d(channels, channels, 1, {.groups = channels, .bias = true}));
      bn = add("bn", BatchNorm2d(channels));
    }
  }
  Tensor branches(const Tensor& x) override { return bn(conv(x) + conv1(x) + x); }
  std::unique_ptr<Module> layer() override {
    return fused_conv(*this, *conv->conv, Branches([this](const Tensor& x) { return branches(x); }));
  }
};

struct RepVitMlp final : Module {
  Ref<Module> conv1, conv2;
  Act act;
  RepVitMlp(const Cfg& c, int channels) : act(c.act_layer) {
    const int hidden = static_cast<int>(channels * c.mlp_ratio);
    conv1 = add("conv1", ConvNorm(channels, hidden));
    conv2 = add("conv2", ConvNorm(hidden, channels, 1, {}, 0));
  }
  Tensor forward(const Tensor& x) override { return conv2(activate(conv1(x), act)); }
};

struct Block final : Module {
  Ref<Module> token_mixer, channel_mixer;
  Maybe<Module> se;
  Block(const Cfg& c, int channels, bool squeezes) {
    token_mixer = add("token_mixer", RepVggDw(c, channels));
    if (squeezes) se = add("se", SEModule(channels, {.ratio = 0.25}));
    channel_mixer = add("channel_mixer", RepVitMlp(c, channels));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = se(token_mixer(x));
    return y + channel_mixer(y);
  }
};

struct Stem final : Module {
  Ref<Module> conv1, conv2;
  Act act;
  Stem(const Cfg& c, int in, int out) : act(c.act_layer) {
    conv1 = add("conv1", ConvNorm(in, out / 2, 3, {.stride = 2, .padding = 1}));
    conv2 = add("conv2", ConvNorm(out / 2, out, 3, {.stride = 2, .padding = 1}));
  }
  Tensor forward(const Tensor& x) override { return conv2(activate(conv1(x), act)); }
};

struct Downsample final : Module {
  Ref<Module> pre_block, spatial, channel, ffn;
  Downsample(const Cfg& c, int in, int out) {
    pre_block = add("pre_block", Block(c, in, false));
    const Conv2dOptions half{.stride = 2, .groups = in, .padding = (c.kernel_size - 1) / 2};
    spatial = add("spatial_downsample", ConvNorm(in, in, c.kernel_size, half));
    channel = add("channel_downsample", ConvNorm(in, out));
    ffn = add("ffn", RepVitMlp(c, out));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = channel(spatial(pre_block(x)));
    return y + ffn(y);
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t s) {
    const int channels = c.embed_dim[s];
    if (s > 0) downsample = add("downsample", Downsample(c, c.embed_dim[s - 1], channels));
    Sequential all;
    for (int i = 0; i < c.depth[s]; ++i) all.add(Block(c, channels, i % 2 == 0));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

// One classifier or the mean of two, each with a norm in front.
struct RepVitClassifier final : FusibleLayer {
  Ref<NormLinear> head, head_dist;
  int in, classes;
  RepVitClassifier(int features, int n, bool distilled) : in(features), classes(n) {
    if (classes == 0) return;
    head = add("head", NormLinear("l", in, classes));
    if (distilled) head_dist = add("head_dist", NormLinear("l", in, classes));
  }
  Tensor branches(const Tensor& x) override {
    if (!head) return x;
    return head_dist ? (head(x) + head_dist(x)) * 0.5 : head(x);
  }
  std::unique_ptr<Module> layer() override {
    if (!head) return nullptr;
    return fused_linear(*this, in, classes, Branches([this](const Tensor& x) { return branches(x); }));
  }
};

class RepVit final : public Chained<ImageModel> {
 public:
  RepVit(const Cfg& c, const ModelOptions& o) : Chained(o) {
    add("stem", Stem(c, o.in_chans.value_or(3), c.embed_dim[0]));
    stem("stem");
    Sequential all;
    for (size_t s = 0; s < 4; ++s) all.add(Stage(c, s));
    add("stages", std::move(all));
    parts("stages", {0, 1, 2, 3});
    num_features_ = head_hidden_size_ = c.embed_dim[3];
    classifier_name_ = "head";
    pool_ = wanted_pool("avg");
    check_pool(pool_);
    if (drop_rate_ > 0) drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
    head_ = add("head", RepVitClassifier(num_features_, num_classes_, c.distillation));
  }

  Tensor forward_head(const Tensor& features, bool pre_logits) override {
    const Tensor x = drop_(pool_.empty() ? features : mean(features, {2, 3}));
    return pre_logits ? x : head_(x);
  }
  /// One classifier, also where there were two.
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool) override {
    if (num_classes < 0)
      throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
    if (global_pool) {
      check_pool(*global_pool);
      pool_ = *global_pool;
    }
    num_classes_ = num_classes;
    head_hidden_size_ = num_features_;
    head_ = replace("head", std::make_unique<RepVitClassifier>(num_features_, num_classes, false));
  }
  const std::string& global_pool() const override { return pool_; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    return {{0, "^stem"}, {.group = 1, .pattern = "^stages.#.downsample", .number = 0}, {1, "^stages.#.blocks.#"}};
  }

 private:
  static void check_pool(std::string_view pool) {
    if (!pool.empty() && pool != "avg")
      throw Error(Error::Kind::argument, str_cat("RepViT has no pooling '", pool, "'"), "there are avg and ''");
  }
  std::string pool_;
  Maybe<Module> drop_;
  Ref<Module> head_;
};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stem.conv1.weight")) fuse(model);
  return weights;
}

constexpr Variant<Cfg> variants[] = {
    {"repvit_m0_9", {}},
    {"repvit_m1", {.legacy = true}},
    {"repvit_m1_0", {.embed_dim{56, 112, 224, 448}}},
    {"repvit_m1_1", {.embed_dim{64, 128, 256, 512}, .depth{2, 2, 12, 2}}},
    {"repvit_m1_5", {.embed_dim{64, 128, 256, 512}, .depth{4, 4, 24, 4}}},
    {"repvit_m2", {.embed_dim{64, 128, 256, 512}, .depth{2, 2, 12, 2}, .legacy = true}},
    {"repvit_m2_3", {.embed_dim{80, 160, 320, 640}, .depth{6, 6, 34, 2}}},
    {"repvit_m3", {.embed_dim{64, 128, 256, 512}, .depth{4, 4, 18, 2}, .legacy = true}},
};

}  // namespace

FOVEA_FAMILY(repvit, RepVit, variants, .accepts = {.img_size = true, .drop_path_rate = false}, .adapt = adapt)
}  // namespace fovea::zoo::repvit
