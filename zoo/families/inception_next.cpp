// SPDX-License-Identifier: Apache-2.0
// zoo/families/inception_next.cpp — InceptionNeXt: ConvNeXt whose depthwise convolutions are a square, two bands and
// nothing, each on its share of the channels. timm.models.inception_next; https://arxiv.org/abs/2303.16900
#include <algorithm>

#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::inception_next {
namespace {

struct Cfg {
  std::array<int, 4> depths{3, 3, 9, 3}, dims{96, 192, 384, 768};
  int square_kernel_size = 3, band_kernel_size = 11;
  double branch_ratio = 0.125;  // of the channels that each convolution takes
  std::array<int, 4> mlp_ratios{4, 4, 4, 3};
  double ls_init_value = 1e-6;  // what gamma starts as; 0: there is none
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  Act act_layer = act::gelu;
};
FOVEA_SETTINGS(Cfg, depths, dims, square_kernel_size, band_kernel_size, branch_ratio, mlp_ratios, ls_init_value,
               norm_layer, act_layer)

std::unique_ptr<Module> norm(const Cfg& c, int channels) { return norm2d({.kind = c.norm_layer}, channels); }

/// The first channels pass as they are.
struct InceptionDepthwise final : Module {
  std::vector<int64_t> shares;
  Ref<Conv2d> square, wide, high;
  InceptionDepthwise(const Cfg& c, int channels, int dilation) {
    const int share = static_cast<int>(channels * c.branch_ratio);
    shares = {channels - 3 * share, share, share, share};
    const auto depthwise = [&](std::string_view name, Size2 kernel, Size2 spread) {
      return add(name, Conv2d(share, share, kernel, {.dilation = spread, .groups = share, .bias = true}));
    };
    square = depthwise("dwconv_hw", c.square_kernel_size, dilation);
    wide = depthwise("dwconv_w", {1, c.band_kernel_size}, {1, dilation});
    high = depthwise("dwconv_h", {c.band_kernel_size, 1}, {dilation, 1});
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> part = split(x, shares, 1);
    return cat({part[0], square(part[1]), wide(part[2]), high(part[3])}, 1);
  }
};

struct Block final : Module {
  Param gamma;
  Ref<Module> token_mixer, norm_, mlp;
  Maybe<Module> drop_path;
  Block(const Cfg& c, const StagePlace& p, double drop_rate) {
    if (c.ls_init_value != 0) gamma = param("gamma", {p.out}, init::constant(c.ls_init_value));
    token_mixer = add("token_mixer", InceptionDepthwise(c, p.out, p.dilation));
    norm_ = add("norm", norm(c, p.out));
    mlp = add("mlp", ConvMlp(p.out, {.hidden = c.mlp_ratios[p.stage] * p.out, .act = c.act_layer}));
    if (drop_rate > 0) drop_path = add("drop_path", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = mlp(norm_(token_mixer(x)));
    return drop_path(gamma ? y * reshape(gamma, {1, -1, 1, 1}) : y) + x;
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Sequential> blocks;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) {
    if (p.halves()) {
      Sequential down;
      down.add(norm(c, p.in));
      down.add(Conv2d(p.in, p.out, 2,
                      {.stride = p.stride,
                       .dilation = p.first_dilation,
                       .padding = p.dilation > 1 ? Padding::Kind::same : Padding::Kind::valid,
                       .bias = true}));
      downsample = add("downsample", std::move(down));
    }
    Sequential all;
    for (int i = 0; i < p.depth; ++i) all.add(Block(c, p, drop_path.next()));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

/// Two linear layers behind the pooling, which has to be.
class MlpHead final : public Head {
 public:
  MlpHead(int features, int classes, std::string_view pool, double drop_rate)
      : features_(features),
        hidden_(kRatio * features) {
    pool_ = add("global_pool", GlobalPool(checked(pool)));
    fc1_ = add("fc1", Linear(features * pool_->width(), hidden_));
    norm_ = add("norm", LayerNorm(hidden_));
    fc2_ = add("fc2", classifier_layer(hidden_, classes));
    drop_ = add("drop", Dropout(drop_rate));
  }
  void reset(int classes, std::optional<std::string_view> pool = {}) override {
    if (pool) {
      auto next = std::make_unique<GlobalPool>(checked(*pool));
      if (hidden_ && next->width() != pool_->width())
        throw Error(Error::Kind::argument, cat("pooling '", *pool, "' gives another number of channels"),
                    "the layer in front of the classifier was made for what the pooling gives");
      pool_ = replace("global_pool", std::move(next));
    }
    fc2_ = replace("fc2", classifier_layer(num_features(), classes));
  }
  void shorten(int features) override {
    if (hidden_) {
      fc1_->vacate();
      norm_->vacate();
    }
    hidden_ = 0;
    features_ = features;
  }
  int num_features() const override { return hidden_ ? hidden_ : features_ * pool_->width(); }
  const std::string& pool() const override { return pool_->type(); }

 private:
  static constexpr int kRatio = 3;
  static std::string_view checked(std::string_view pool) {
    if (pool.empty())
      throw Error(Error::Kind::argument, "this head needs a pooling", "features() gives maps that are not pooled");
    return pool;
  }
  Tensor apply(const Tensor& x, bool pre_logits) override {
    const Tensor pooled = pool_(x);
    const Tensor y = drop_(hidden_ ? norm_(activate(fc1_(pooled), act::gelu)) : pooled);
    return pre_logits ? y : fc2_(y);
  }
  int features_, hidden_;
  Ref<GlobalPool> pool_;
  Ref<Linear> fc1_;
  Ref<LayerNorm> norm_;
  Ref<Module> fc2_;
  Ref<Dropout> drop_;
};

class MetaNeXt final : public StagedModel {
 public:
  MetaNeXt(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    Sequential stem, stages;
    stem.add(Conv2d(o.in_chans.value_or(3), c.dims[0], 4, {.stride = 4, .padding = 0, .bias = true}));
    stem.add(norm(c, c.dims[0]));
    add("stem", std::move(stem));
    DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.0f)),
                           c.depths[0] + c.depths[1] + c.depths[2] + c.depths[3]);
    for (const StagePlace& p : stage_places(c.depths, c.dims, 4, o.output_stride.value_or(32)))
      stages.add(Stage(c, p, drop_path));
    add("stages", std::move(stages));
    stem_and_stages();
    auto last = std::make_unique<MlpHead>(c.dims[3], num_classes_, wanted_pool("avg"), static_cast<double>(drop_rate_));
    mlp_head_ = last.get();
    head(c.dims[3], std::move(last));
    classifier_name_ = "head.fc2";
    start_weights(*this, init::trunc_normal(0.02));
  }

 protected:
  void drop_head() override {
    mlp_head_->shorten(num_features_);
    reset_classifier(0, "avg");
  }

 private:
  MlpHead* mlp_head_;
};

constexpr Cfg atto{.depths{2, 2, 6, 2}, .dims{40, 80, 160, 320}, .band_kernel_size = 9, .branch_ratio = 0.25};
constexpr Variant<Cfg> variants[] = {
    {"inception_next_atto", atto},
    {"inception_next_base", {.depths{3, 3, 27, 3}, .dims{128, 256, 512, 1024}}},
    {"inception_next_small", {.depths{3, 3, 27, 3}}},
    {"inception_next_tiny", {}},
};

}  // namespace

FOVEA_FAMILY(inception_next, MetaNeXt, variants, .accepts = {.output_stride = true})

}  // namespace fovea::zoo::inception_next
