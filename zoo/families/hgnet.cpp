// SPDX-License-Identifier: Apache-2.0
// zoo/families/hgnet.cpp — PP-HGNet and its second version: chains of convolutions, gathered and weighed;
// timm.models.hgnet
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::hgnet {
namespace {

enum class StemKind : uint8_t { v1, v2 };
constexpr std::string_view name_of(StemKind k) {
  constexpr std::string_view names[] = {"v1", "v2"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

// The second version has another stem, another aggregation, and light blocks of 5x5 in the last two stages.
struct Cfg {
  StemKind stem_type = StemKind::v2;
  std::array<int, 3> stem_chs{};  // v1: of its convolutions; v2: in the middle, at the end
  std::array<int, 4> mid_chs{}, out_chs{}, blocks{1, 1, 2, 1};
  int layers = 6;               // of a block
  bool use_lab = false;         // a learned scale and offset behind each activation
  int head_hidden_size = 2048;  // 0: no layer between pooling and classifier
};
FOVEA_SETTINGS(Cfg, stem_type, stem_chs, mid_chs, out_chs, blocks, layers, use_lab, head_hidden_size)

struct LearnableAffine final : Module {
  Param scale, bias;
  LearnableAffine() {
    scale = param("scale", {1}, init::ones());
    bias = param("bias", {1}, init::zeros());
  }
  Tensor forward(const Tensor& x) override { return x * scale + bias; }
};

struct ConvOf {
  int stride = 1, groups = 1;
  bool act = true;
};
struct ConvBnAct final : Module {
  Ref<Module> conv, bn;
  Maybe<Module> lab;
  ConvBnAct(const Cfg& c, int in, int out, int kernel, const ConvOf& o = {}) {
    conv = add("conv", Conv2d(in, out, kernel, {.stride = o.stride, .groups = o.groups}));
    bn = add("bn", BatchNorm2d(out, {}, o.act ? act::relu : act::none));
    if (o.act && c.use_lab) lab = add("lab", LearnableAffine());
  }
  Tensor forward(const Tensor& x) override { return lab(bn(conv(x))); }
};

struct LightConvBnAct final : Module {
  Ref<Module> conv1, conv2;
  LightConvBnAct(const Cfg& c, int in, int out, int kernel) {
    conv1 = add("conv1", ConvBnAct(c, in, out, 1, {.act = false}));
    conv2 = add("conv2", ConvBnAct(c, out, out, kernel, {.groups = out}));
  }
  Tensor forward(const Tensor& x) override { return conv2(conv1(x)); }
};

struct EseModule final : Module {
  Ref<Module> conv;
  explicit EseModule(int channels) { conv = add("conv", Conv2d(channels, channels, 1, {.bias = true})); }
  Tensor forward(const Tensor& x) override { return x * sigmoid(conv(mean(x, {2, 3}, keep_dims))); }
};

struct StemV1 final : Module {
  Ref<Module> stem, pool;
  StemV1(const Cfg& c, int in) {
    Sequential chain;
    for (size_t i = 0; i < c.stem_chs.size(); ++i)
      chain.add(ConvBnAct(c, i == 0 ? in : c.stem_chs[i - 1], c.stem_chs[i], 3, {.stride = i == 0 ? 2 : 1}));
    stem = add("stem", std::move(chain));
    pool = add("pool", MaxPool2d(3, {.stride = 2, .padding = 1}));
  }
  Tensor forward(const Tensor& x) override { return pool(stem(x)); }
};

// Kernels of two pixels: what they lack is padded at the right and at the bottom.
struct StemV2 final : Module {
  Ref<Module> stem1, stem2a, stem2b, stem3, stem4, pool;
  StemV2(const Cfg& c, int in) {
    const int mid = c.stem_chs[0];
    stem1 = add("stem1", ConvBnAct(c, in, mid, 3, {.stride = 2}));
    stem2a = add("stem2a", ConvBnAct(c, mid, mid / 2, 2));
    stem2b = add("stem2b", ConvBnAct(c, mid / 2, mid, 2));
    stem3 = add("stem3", ConvBnAct(c, mid * 2, mid, 3, {.stride = 2}));
    stem4 = add("stem4", ConvBnAct(c, mid, c.stem_chs[1], 1));
    pool = add("pool", MaxPool2d(2, {.stride = 1, .padding = 0, .ceil_mode = true}));
  }
  Tensor forward(const Tensor& image) override {
    const auto padded = [](const Tensor& x) { return pad_last(x, {0, 1, 0, 1}); };
    const Tensor x = padded(stem1(image));
    return stem4(stem3(cat({pool(x), stem2b(padded(stem2a(x)))}, 1)));
  }
};

struct Block final : Module {
  Ref<Sequential> layers;
  Ref<Module> aggregation;
  Maybe<Module> drop_path;
  bool residual;
  Block(const Cfg& c, size_t stage, int in, bool adds, double drop_rate) : residual(adds) {
    const int mid = c.mid_chs[stage], out = c.out_chs[stage], total = in + c.layers * mid;
    const bool light = c.stem_type == StemKind::v2 && stage >= 2;
    Sequential chain, gather;
    for (int i = 0; i < c.layers; ++i) {
      if (light) chain.add(LightConvBnAct(c, i == 0 ? in : mid, mid, 5));
      else chain.add(ConvBnAct(c, i == 0 ? in : mid, mid, 3));
    }
    layers = add("layers", std::move(chain));
    if (c.stem_type == StemKind::v2) {
      gather.add(ConvBnAct(c, total, out / 2, 1));
      gather.add(ConvBnAct(c, out / 2, out, 1));
    } else {
      gather.add(ConvBnAct(c, total, out, 1));
      gather.add(EseModule(out));
    }
    aggregation = add("aggregation", std::move(gather));
    if (drop_rate > 0) drop_path = add("drop_path", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    Tensors all{x};
    {
      const Scope scope("layers");
      for (const auto& layer : layers->children()) all.push_back((*layer)(all.back()));
    }
    const Tensor y = aggregation(cat(all, 1));
    return residual ? drop_path(y) + x : y;
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t stage, int in, DropPathRamp& drop_path) {
    if (stage > 0) downsample = add("downsample", ConvBnAct(c, in, in, 3, {.stride = 2, .groups = in, .act = false}));
    Sequential all;
    for (int i = 0; i < c.blocks[stage]; ++i)
      all.add(Block(c, stage, i == 0 ? in : c.out_chs[stage], i > 0, drop_path.next()));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

// Pooling, a layer without norm, dropout and the classifier.
class HgHead final : public Head {
 public:
  HgHead(const Cfg& c, int features, int classes, std::string_view pool, double drop_rate)
      : features_(features),
        hidden_(c.head_hidden_size) {
    pool_ = add("global_pool", pooling(pool, classes));
    if (hidden_) {
      Sequential layer;
      layer.add(Conv2d(features, hidden_, 1));
      layer.add(Activation(act::relu));
      if (c.use_lab) layer.add(LearnableAffine());
      last_conv_ = add("last_conv", std::move(layer));
    }
    drop_ = add("dropout", Dropout(drop_rate));
    fc_ = add("fc", classifier_layer(num_features(), classes));
  }
  void reset(int classes, std::optional<std::string_view> pool = {}) override {
    if (pool) pool_ = replace("global_pool", pooling(*pool, classes));
    fc_ = replace("fc", classifier_layer(num_features(), classes));
  }
  void shorten(int features) override {
    if (last_conv_) last_conv_->vacate();
    hidden_ = 0;
    features_ = features;
  }
  int num_features() const override { return hidden_ ? hidden_ : features_; }
  const std::string& pool() const override { return pool_->type(); }

 private:
  static std::unique_ptr<GlobalPool> pooling(std::string_view type, int classes) {
    auto pool = std::make_unique<GlobalPool>(type, false);
    if (pool->width() != 1 || (pool->identity() && classes > 0))
      throw Error(Error::Kind::argument, str_cat("HGNet's head has no pooling '", type, "' for ", classes, " classes"),
                  "avg, max and avgmax fit its layers; '' is for none");
    return pool;
  }
  Tensor apply(const Tensor& x, bool pre_logits) override {
    Tensor y = drop_(last_conv_(pool_(x)));
    if (!pool_->identity()) y = flatten(y, 1);
    return pre_logits ? y : fc_(y);
  }
  int features_, hidden_;
  Ref<GlobalPool> pool_;
  Maybe<Module> last_conv_;
  Ref<Module> drop_, fc_;
};

class HgNet final : public Chained<HeadedModel> {
 public:
  HgNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const int in = o.in_chans.value_or(3);
    const bool v1 = c.stem_type == StemKind::v1;
    if (v1) add("stem", StemV1(c, in));
    else add("stem", StemV2(c, in));
    stem("stem");
    int channels = c.stem_chs[v1 ? 2 : 1];
    DropPathRamp drop_path(o, c.blocks);
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) {
      stages.add(Stage(c, s, channels, drop_path));
      channels = c.out_chs[s];
    }
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    head(channels,
         std::make_unique<HgHead>(c, channels, num_classes_, wanted_pool("avg"), static_cast<double>(drop_rate_)));
    he_normal_convs(*this, Fan::out);
    if (auto* fc = dynamic_cast<Linear*>(find("head.fc"))) fc->bias.slot().init = init::zeros();
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    return {{0, "^stem"}, {.group = 1, .pattern = "^stages.#.downsample", .number = 0}, {1, "^stages.#.blocks.#"}};
  }

 protected:
  // The pooling stays.
  void drop_head() override {
    HeadedModel::drop_head();
    reset_classifier(0, "avg");
  }
};

constexpr Cfg v1(std::array<int, 3> stem, std::array<int, 4> mid, std::array<int, 4> out, int layers) {
  return {.stem_type = StemKind::v1, .stem_chs = stem, .mid_chs = mid, .out_chs = out, .layers = layers};
}
constexpr std::array<int, 4> kOut{128, 512, 1024, 2048};

constexpr Variant<Cfg> variants[] = {
    {"hgnet_base",
     {.stem_type = StemKind::v1,
      .stem_chs{96, 96, 160},
      .mid_chs{192, 224, 256, 288},
      .out_chs{320, 640, 960, 1280},
      .blocks{1, 2, 3, 2},
      .layers = 7}},
    {"hgnet_small", v1({64, 64, 128}, {128, 160, 192, 224}, {256, 512, 768, 1024}, 6)},
    {"hgnet_tiny", v1({48, 48, 96}, {96, 128, 160, 192}, {224, 448, 512, 768}, 5)},
    {"hgnetv2_b0",
     {.stem_chs{16, 16}, .mid_chs{16, 32, 64, 128}, .out_chs{64, 256, 512, 1024}, .layers = 3, .use_lab = true}},
    {"hgnetv2_b1",
     {.stem_chs{24, 32}, .mid_chs{32, 48, 96, 192}, .out_chs{64, 256, 512, 1024}, .layers = 3, .use_lab = true}},
    {"hgnetv2_b2",
     {.stem_chs{24, 32},
      .mid_chs{32, 64, 128, 256},
      .out_chs{96, 384, 768, 1536},
      .blocks{1, 1, 3, 1},
      .layers = 4,
      .use_lab = true}},
    {"hgnetv2_b3",
     {.stem_chs{24, 32},
      .mid_chs{32, 64, 128, 256},
      .out_chs = kOut,
      .blocks{1, 1, 3, 1},
      .layers = 5,
      .use_lab = true}},
    {"hgnetv2_b4", {.stem_chs{32, 48}, .mid_chs{48, 96, 192, 384}, .out_chs = kOut, .blocks{1, 1, 3, 1}}},
    {"hgnetv2_b5", {.stem_chs{32, 64}, .mid_chs{64, 128, 256, 512}, .out_chs = kOut, .blocks{1, 2, 5, 2}}},
    {"hgnetv2_b6",
     {.stem_chs{48, 96}, .mid_chs{96, 192, 384, 768}, .out_chs{192, 512, 1024, 2048}, .blocks{2, 3, 6, 3}}},
};

}  // namespace

FOVEA_FAMILY(hgnet, HgNet, variants)
}  // namespace fovea::zoo::hgnet
