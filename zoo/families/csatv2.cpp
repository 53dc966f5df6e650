// SPDX-License-Identifier: Apache-2.0
// zoo/families/csatv2.cpp — CSATv2: the frequencies of an image's 8x8 squares, blocks of ConvNeXt V2 with a weight for
// each place, and transformers. timm.models.csatv2
#include <cmath>
#include <numbers>

#include "nn/layers/attention.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::csatv2 {
namespace {

constexpr double kTorchEps = 1e-5;

struct Cfg {
  std::array<int, 4> dims{32, 72, 168, 386}, depths{2, 2, 8, 6};
  std::array<int, 4> transformer_depths{0, 0, 2, 2};  // of the depths: blocks at a stage's end that are transformers
  bool transformer_drop_path = false;                 // stochastic depth for these, too
  double ls_init_value = 0;                           // what the factors of branches start as; 0: there are none
};
FOVEA_SETTINGS(Cfg, dims, depths, transformer_depths, transformer_drop_path, ls_init_value)

#include "zoo/families/csatv2_variants.inc"

constexpr int kSide = 8, kArea = kSide * kSide;

Tensor to_last(const Tensor& map) { return permute(map, {0, 2, 3, 1}); }
Tensor to_first(const Tensor& map) { return permute(map, {0, 3, 1, 2}); }

// ---- stem -------------------------------------------------------------------------------------------------------

/// The orthonormal cosines, a frequency a row.
struct Cosines final : Drawing {
  Tensor draw(const Shape& shape, DType dtype, uint64_t) const override {
    const auto n = static_cast<int>(shape[0]);
    Tensor t = empty(shape);
    float* at = t.mutable_data<float>().data();
    for (int k = 0; k < n; ++k)
      for (int i = 0; i < n; ++i)
        *at++ = static_cast<float>(std::sqrt((k == 0 ? 1.0 : 2.0) / n) *
                                   std::cos(std::numbers::pi * (2 * i + 1) * k / (2.0 * n)));
    return cast(t, dtype);
  }
};

struct Dct1d final : Module {
  Dct1d() {
    weights = buffer("weights", {kSide, kSide});
    weights.slot().drawing = std::make_shared<Cosines>();
  }
  Tensor forward(const Tensor& x) override { return linear(x, weights); }
  Param weights;
};

/// Of squares in the last two dimensions.
struct Dct2d final : Module {
  Ref<Module> transform;
  Dct2d() { transform = add("transform", Dct1d()); }
  Tensor forward(const Tensor& x) override { return transpose(transform(transpose(transform(x), -1, -2)), -1, -2); }
};

// From the mean to the finest pattern, along diagonals that turn at the border.
Tensor zigzag() {
  std::vector<int64_t> order;
  for (int sum = 0; sum < 2 * kSide - 1; ++sum)
    for (int step = 0; step <= sum; ++step) {
      const int row = sum % 2 == 0 ? sum - step : step, column = sum - row;
      if (row < kSide && column < kSide) order.push_back(static_cast<int64_t>(row) * kSide + column);
    }
  return from(std::span<const int64_t>(order), {kArea});
}

template <size_t N>
Tensor table(const float (&values)[3][N], const Shape& shape) {
  std::vector<float> all;
  for (const auto& row : values) all.insert(all.end(), row, row + N);
  return from(std::span<const float>(all), shape);
}

/// Takes images normalised with ImageNet's figures.
class LearnableDct final : public Module {
 public:
  explicit LearnableDct(int out) {
    if (out % 8 != 0)
      throw Error(Error::Kind::argument, cat("a stem of ", out, " channels"), "Y, Cb and Cr get 6 : 1 : 1 of them");
    constexpr float kDeviation[3][1] = {{0.229f}, {0.224f}, {0.225f}}, kMiddle[3][1] = {{0.485f}, {0.456f}, {0.406f}};
    mean_ = constant("mean", table(kMean, {3, kArea}));
    var_ = constant("var", table(kVariance, {3, kArea}));
    imagenet_mean_ = constant("imagenet_mean", table(kMiddle, {3, 1, 1}));
    imagenet_std_ = constant("imagenet_std", table(kDeviation, {3, 1, 1}));
    order_ = constant("permutation", zigzag());
    transform_ = add("transform", Dct2d());
    conv_y_ = add("conv_y", Conv2d(kArea, out / 8 * 6, 1, {.bias = true}));
    conv_cb_ = add("conv_cb", Conv2d(kArea, out / 8, 1, {.bias = true}));
    conv_cr_ = add("conv_cr", Conv2d(kArea, out / 8, 1, {.bias = true}));
  }
  Tensor forward(const Tensor& image) override {
    if (image.dim(1) != 3 || image.dim(2) % kSide != 0 || image.dim(3) % kSide != 0)
      throw Error(Error::Kind::shape, cat("the frequencies of an image of ", to_string(image.meta())),
                  "it has three channels, and sides that are multiples of 8");
    const int64_t n = image.dim(0), h = image.dim(2) / kSide, w = image.dim(3) / kSide;
    const Tensor colours = ycbcr((image * *imagenet_std_ + *imagenet_mean_) * 255);
    const Tensor squares = permute(reshape(colours, {n, 3, h, kSide, w, kSide}), {0, 2, 4, 1, 3, 5});
    const Tensor waves = index_select(reshape(transform_(squares), {n * h * w, 3, kArea}), 2, order_);
    const Tensor usual = (waves - *mean_) / (sqrt(var_) + 1e-8);
    const Tensor maps = permute(reshape(usual, {n, h, w, 3, kArea}), {0, 3, 4, 1, 2});
    return cat({conv_y_(select(maps, 1, 0)), conv_cb_(select(maps, 1, 1)), conv_cr_(select(maps, 1, 2))}, 1);
  }

 private:
  static Tensor ycbcr(const Tensor& x) {
    const Tensor r = select(x, 1, 0), g = select(x, 1, 1), b = select(x, 1, 2);
    const Tensor y = r * 0.299 + g * 0.587 + b * 0.114;
    return stack({y, (b - y) * 0.564 + 128, (r - y) * 0.713 + 128}, 1);
  }
  Param mean_, var_, imagenet_mean_, imagenet_std_, order_;
  Ref<Module> transform_, conv_y_, conv_cb_, conv_cr_;
};

// ---- blocks -----------------------------------------------------------------------------------------------------

/// What the neighbours say of a place is added. N,H,W,C.
struct PosConv final : Module {
  Ref<Module> proj;
  explicit PosConv(int channels) {
    proj = add("proj", Conv2d(channels, channels, 3, {.groups = channels, .bias = true}));
  }
  Tensor forward(const Tensor& x) override { return to_last(proj(to_first(x))) + x; }
};

/// A transformer of one channel. What timm computes for its attention is between the images of a batch, not between
/// places; it is so in training alone: what becomes of an image must not depend on the others beside it.
struct SpatialTransformer final : Module {
  Ref<Module> pos_embed, norm1, qkv, norm2, mlp;
  SpatialTransformer() {
    pos_embed = add("pos_embed", PosConv(1));
    norm1 = add("norm1", LayerNorm(1, kTorchEps));
    qkv = add("qkv", Linear(1, 3, false));
    norm2 = add("norm2", LayerNorm(1, kTorchEps));
    mlp = add("mlp", Mlp(1, {.hidden = 4}));
  }
  Tensor forward(const Tensor& x) override {  // N,H,W,1
    const Tensor all = qkv(flatten(pos_embed(norm1(x)), 1, 2));
    const Tensor q = select(all, 2, 0), k = select(all, 2, 1), v = select(all, 2, 2);
    const Tensor seen = training() ? matmul(softmax(matmul(q, transpose(k, 0, 1)), -1), v) : v;
    const Tensor y = x + reshape(seen, x.shape());
    return y + mlp(norm2(y));
  }
};

/// A weight for each place, from mean and maximum of the channels on a grid of 7 x 7.
struct SpatialAttention final : Module {
  Ref<Module> conv, attn;
  SpatialAttention() {
    conv = add("conv", Conv2d(2, 1, 7, {.bias = true}));
    attn = add("attn", SpatialTransformer());
  }
  Tensor forward(const Tensor& x) override {  // N,C,H,W
    const Tensor both = cat({mean(x, {1}, keep_dims), amax(x, {1}, keep_dims)}, 1);
    return to_first(attn(to_last(conv(adaptive_avg_pool(both, {7, 7})))));
  }
};

struct Block final : Module {
  Ref<Module> dwconv, norm, pwconv1, act, grn, pwconv2, attn, drop_path;
  Maybe<Module> ls;
  Block(const Cfg& c, int dim, double drop_rate) {
    dwconv = add("dwconv", Conv2d(dim, dim, 7, {.groups = dim, .bias = true}));
    norm = add("norm", LayerNorm(dim));
    pwconv1 = add("pwconv1", Linear(dim, 4 * dim));
    act = add("act", Activation(act::gelu));
    grn = add("grn", GlobalResponseNorm(4 * dim));
    pwconv2 = add("pwconv2", Linear(4 * dim, dim));
    if (c.ls_init_value != 0) ls = add("ls", LayerScale(dim, c.ls_init_value, true));
    drop_path = add("drop_path", DropPath(drop_rate));
    attn = add("attn", SpatialAttention());
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = to_first(pwconv2(grn(act(pwconv1(norm(to_last(dwconv(x))))))));
    const Tensor weights =
        interpolate(attn(y), {y.dim(2), y.dim(3)}, {.mode = Interpolation::linear, .align_corners = true});
    return x + drop_path(ls(y * weights));
  }
};

struct TransformerBlock final : Module {
  Ref<Module> pos_embed, norm1, attn, drop1, norm2, mlp, drop2;
  Maybe<Module> ls1, ls2;
  TransformerBlock(const Cfg& c, int dim, double drop_rate) {
    const bool scales = c.ls_init_value != 0;
    pos_embed = add("pos_embed", PosConv(dim));
    norm1 = add("norm1", LayerNorm(dim, kTorchEps));
    attn = add("attn", Attention(dim, {.heads = 8, .head_dim = 32}));
    if (scales) ls1 = add("ls1", LayerScale(dim, c.ls_init_value));
    drop1 = add("drop_path1", DropPath(drop_rate));
    norm2 = add("norm2", LayerNorm(dim, kTorchEps));
    mlp = add("mlp", Mlp(dim, {.hidden = 4 * dim}));
    if (scales) ls2 = add("ls2", LayerScale(dim, c.ls_init_value));
    drop2 = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = to_last(x), placed = pos_embed(norm1(map));
    const Tensor y = map + drop1(unflatten(ls1(attn(flatten(placed, 1, 2))), 1, {map.dim(1), map.dim(2)}));
    return to_first(y + drop2(ls2(mlp(norm2(y)))));
  }
};

class CsatV2 final : public Chained<HeadedModel> {
 public:
  CsatV2(const Cfg& c, const ModelOptions& o) : Chained(o) {
    if (o.in_chans.value_or(3) != 3)
      throw Error(Error::Kind::argument, cat("images of ", *o.in_chans, " channels have no Y, Cb and Cr"));
    default_levels_ = 4;
    add("stem_dct", LearnableDct(c.dims[0]));
    add("stages", stages(c, static_cast<double>(o.drop_path_rate.value_or(0.0f))));
    stem("stem_dct", Level::yes);
    parts("stages", {0, 1, 2, 3});
    const NormMlpHeadOptions options{.pool = wanted_pool("avg"), .drop_rate = static_cast<double>(drop_rate_)};
    head(c.dims[3], std::make_unique<NormMlpClassifierHead>(c.dims[3], num_classes_, options));
    start_weights(*this, init::trunc_normal(0.02));
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"head.norm"}, .convs = {}}; }

 private:
  static Sequential stages(const Cfg& c, double rate) {
    int blocks = 0;
    for (size_t i = 0; i < 4; ++i) blocks += c.depths[i] - (c.transformer_drop_path ? 0 : c.transformer_depths[i]);
    DropPathRamp drop_path(rate, blocks);
    Sequential all;
    for (size_t i = 0; i < 4; ++i) {
      const int dim = c.dims[i], transformers = c.transformer_depths[i];
      Sequential stage;
      if (i > 0) stage.add(Conv2d(c.dims[i - 1], dim, 2, {.stride = 2, .padding = 0, .bias = true}));
      for (int b = 0; b < c.depths[i] - transformers; ++b) stage.add(Block(c, dim, drop_path.next()));
      for (int b = 0; b < transformers; ++b)
        stage.add(TransformerBlock(c, dim, c.transformer_drop_path ? drop_path.next() : 0));
      if (i < 3) stage.add(LayerNorm2d(dim));
      all.add(std::move(stage));
    }
    return all;
  }
};

// ---- checkpoints ------------------------------------------------------------------------------------------------

// In the original code each stage ends with the convolution that halves the map for the next one.
constexpr Rename kOriginal[] = {
    {"^dct.", "stem_dct."},
    {"Y_Conv", "conv_y"},
    {"Cb_Conv", "conv_cb"},
    {"Cr_Conv", "conv_cr"},
    {"grn.gamma", "grn.weight"},
    {"grn.beta", "grn.bias"},
    {"ff.net.0", "mlp.fc1"},
    {"ff.net.3", "mlp.fc2"},
    {"ff_norm", "norm2"},
    {"attn_norm", "norm1"},
    {"attention.attention.attn.to_qkv", "attn.attn.qkv"},
    {"attention.attention.attn", "attn.attn"},
    {"attention.attention", "attn.attn"},
    {"attention", "attn"},
    {"attn.to_qkv", "attn.qkv"},
    {"attn.to_out.0", "attn.proj"},
    {"^head.", "head.fc."},
    {"^norm.", "head.norm."},
};

std::string in_its_stage(const std::string& name, const Cfg& c) {
  constexpr std::string_view kStages = "stages";
  if (!name.starts_with(kStages) || name.size() < 9 || name[7] != '.') return name;
  const auto stage = static_cast<size_t>(name[6] - '1');
  const size_t end = name.find('.', 8);
  if (stage > 3 || end == std::string::npos) return name;
  const int at = std::stoi(name.substr(8, end - 8));
  const std::string rest = name.substr(end);
  if (stage < 3 && at == c.depths[stage] + 1) return cat("stages.", stage + 1, ".0", rest);
  return cat("stages.", stage, '.', stage == 0 ? at : at + 1, rest);
}

StateDict adapt(ImageModel&, StateDict weights) {
  if (weights.contains("stages.0.0.grn.weight")) return weights;
  StateDict w;
  for (const auto& [theirs, t] : rename(weights, kOriginal)) {
    std::string name = in_its_stage(theirs, {});
    // the transformers' own; those of the weights of places lie one deeper
    constexpr Rename kPlaces[] = {{"attn.pos_embed", "pos_embed"}};
    if (name.find(".attn.attn.") == std::string::npos) name = rename(name, kPlaces);
    w.set(name, name.find(".grn.") != std::string::npos ? reshape(t, {-1}) : t);
  }
  return w;
}

}  // namespace

FOVEA_FAMILY(csatv2, CsatV2, variants, .adapt = adapt)

}  // namespace fovea::zoo::csatv2
