// SPDX-License-Identifier: Apache-2.0
// zoo/families/csatv2.cpp — CSATv2: the cosine transform of 8x8 blocks as a stem, ConvNeXt's blocks whose pixels a map
// of 7x7 weighs, and transformers. timm.models.csatv2
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/global_response_norm.h"
#include "nn/layers/layer_scale.h"
#include "nn/layers/mlp.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/network_names.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::csatv2 {
namespace {

constexpr int kBlock = 8, kArea = kBlock * kBlock, kColours = 3, kSide = 7;

// Of the coefficients of Y, Cb and Cr over ImageNet, in zig-zag order; from timm: see THIRD_PARTY_NOTICES.
// clang-format off
constexpr float kMeans[kColours * kArea] = {
    932.42657f, -0.0026f, 0.33415f, -0.0284f, 3e-05f, -0.02792f, -0.00183f, 6e-05f, 0.00032f, 0.03402f, -0.00571f,
    0.0002f, 6e-05f, -0.00038f, -0.00558f, -0.00116f, -0.0f, -0.00047f, -8e-05f, -0.0003f, 0.00942f, 0.00161f, -9e-05f,
    -6e-05f, -0.00014f, -0.00035f, 1e-05f, -0.0022f, 0.00033f, -2e-05f, -3e-05f, -0.0002f, 7e-05f, -0.0f, 5e-05f,
    0.00293f, -4e-05f, 6e-05f, 0.00019f, 4e-05f, 6e-05f, -0.00015f, -2e-05f, 7e-05f, 0.0001f, -4e-05f, 8e-05f, 0.0f,
    8e-05f, -1e-05f, 0.00015f, 2e-05f, 7e-05f, 3e-05f, 4e-05f, -1e-05f, 4e-05f, -0.0f, 2e-05f, -0.0f, -8e-05f, -0.0f,
    -3e-05f, 3e-05f, 962.34735f, -0.00428f, 0.09835f, 0.00152f, -9e-05f, 0.00312f, -0.00141f, -1e-05f, -0.00013f,
    0.0105f, 0.00065f, 6e-05f, -0.0f, 3e-05f, 0.00264f, 0.0f, 1e-05f, 7e-05f, -6e-05f, 3e-05f, 0.00341f, 0.00163f,
    4e-05f, 3e-05f, -1e-05f, 8e-05f, -0.0f, 0.0009f, 0.00018f, -6e-05f, -1e-05f, 7e-05f, -3e-05f, -1e-05f, 6e-05f,
    0.00084f, -0.0f, -1e-05f, 0.0f, 4e-05f, -1e-05f, -2e-05f, 0.0f, 1e-05f, 2e-05f, 1e-05f, 4e-05f, 0.00011f, 0.0f,
    -3e-05f, 0.00011f, -2e-05f, 1e-05f, 1e-05f, 1e-05f, 1e-05f, -7e-05f, -3e-05f, 1e-05f, 0.0f, 1e-05f, 2e-05f, 1e-05f,
    0.0f, 1053.16101f, -0.00213f, -0.09207f, 0.00186f, 0.00013f, 0.00034f, -0.00119f, 2e-05f, 0.00011f, -0.00984f,
    0.00046f, -7e-05f, -1e-05f, -5e-05f, 0.0018f, 0.00042f, 2e-05f, -0.0001f, 4e-05f, 3e-05f, -0.00301f, 0.00125f,
    -2e-05f, -3e-05f, -1e-05f, -1e-05f, -1e-05f, 0.00056f, 0.00021f, 1e-05f, -1e-05f, 2e-05f, -1e-05f, -1e-05f, 5e-05f,
    -0.0007f, -2e-05f, -2e-05f, 5e-05f, -4e-05f, -0.0f, 2e-05f, -2e-05f, 1e-05f, 0.0f, -3e-05f, 4e-05f, 7e-05f, 1e-05f,
    0.0f, 0.00013f, -0.0f, 0.0f, 2e-05f, -0.0f, -1e-05f, -4e-05f, -3e-05f, 0.0f, 1e-05f, -1e-05f, 1e-05f, -0.0f, 0.0f,
};
constexpr float kVariances[kColours * kArea] = {
    270372.375f, 6287.10645f, 5974.94043f, 1653.10889f, 1463.91748f, 1832.58997f, 755.92468f, 692.41528f, 648.57184f,
    641.46881f, 285.79288f, 301.621f, 380.43405f, 349.84027f, 374.15891f, 190.3096f, 190.76746f, 221.64578f,
    200.82646f, 145.87979f, 126.92046f, 62.14622f, 67.75562f, 102.42001f, 129.74922f, 130.04631f, 103.12189f,
    97.76417f, 53.17402f, 54.81048f, 73.48712f, 81.04342f, 69.351f, 49.06024f, 33.96053f, 37.03279f, 20.48858f,
    24.9483f, 33.90822f, 44.54912f, 47.56363f, 40.0316f, 30.43313f, 22.63899f, 26.53739f, 26.57114f, 21.84404f,
    17.41557f, 15.18253f, 10.69678f, 11.24111f, 12.97229f, 15.08971f, 15.31646f, 8.90409f, 7.44213f, 6.66096f,
    6.97719f, 4.17834f, 3.83882f, 4.51073f, 2.36646f, 2.41363f, 1.48266f, 18839.21094f, 321.70932f, 300.15259f,
    77.4783f, 76.02293f, 89.04748f, 33.99642f, 34.74807f, 32.12333f, 28.19588f, 12.04675f, 14.26871f, 18.45779f,
    16.59588f, 15.67892f, 7.37718f, 8.56312f, 10.28946f, 9.41013f, 6.6909f, 5.16453f, 2.55186f, 3.03073f, 4.66765f,
    5.85418f, 5.74644f, 4.33702f, 3.66948f, 1.95107f, 2.26034f, 3.0638f, 3.50705f, 3.06359f, 2.19284f, 1.54454f,
    1.5786f, 0.97078f, 1.13941f, 1.48653f, 1.89996f, 1.95544f, 1.6495f, 1.24754f, 0.93677f, 1.09267f, 1.09516f,
    0.94163f, 0.78966f, 0.72489f, 0.50841f, 0.50909f, 0.55664f, 0.63111f, 0.64125f, 0.38847f, 0.33378f, 0.30918f,
    0.33463f, 0.20875f, 0.19298f, 0.21903f, 0.1338f, 0.13444f, 0.09554f, 17127.39844f, 292.81421f, 271.45209f,
    66.64056f, 63.60253f, 76.35437f, 28.06587f, 27.84831f, 25.96656f, 23.6037f, 9.99173f, 11.34992f, 14.46955f,
    12.92553f, 12.69353f, 5.91537f, 6.60187f, 7.90891f, 7.32825f, 5.32785f, 4.2966f, 2.13459f, 2.44135f, 3.66021f,
    4.50335f, 4.38959f, 3.34888f, 2.97181f, 1.60633f, 1.7701f, 2.35118f, 2.69018f, 2.38189f, 1.74596f, 1.26014f,
    1.31684f, 0.79327f, 0.92046f, 1.1767f, 1.47609f, 1.50914f, 1.28725f, 0.99898f, 0.74832f, 0.85736f, 0.858f,
    0.74663f, 0.63508f, 0.58748f, 0.41098f, 0.41121f, 0.44663f, 0.50277f, 0.51519f, 0.31729f, 0.27336f, 0.25399f,
    0.27241f, 0.17353f, 0.16255f, 0.1844f, 0.11602f, 0.11511f, 0.0845f,
};
// clang-format on

struct Cfg {
  std::array<int, 4> dims{32, 72, 168, 386}, depths{2, 2, 8, 6};
  std::array<int, 4> transformer_depths{0, 0, 2, 2};  // how many of these, the last ones, are transformers
  bool transformer_drop_path = false;
  double ls_init_value = 0;  // what the factors of branches start as; 0: there are none
};
FOVEA_SETTINGS(Cfg, dims, depths, transformer_depths, transformer_drop_path, ls_init_value)

// The matrix of the cosine transform of eight values as timm rounds it, a row a frequency. Rows are alternately even
// and odd around their middle.
constexpr std::array<std::array<float, kBlock>, kBlock> cosines() {
  constexpr float kHalf[kBlock][kBlock / 2] = {
      {0.353553385f, 0.353553385f, 0.353553385f, 0.353553385f},
      {0.490392596f, 0.415734768f, 0.277785093f, 0.0975451618f},
      {0.461939752f, 0.191341713f, -0.191341713f, -0.461939752f},
      {0.415734768f, -0.0975451618f, -0.490392625f, -0.277785122f},
      {0.353553385f, -0.353553385f, -0.353553385f, 0.353553385f},
      {0.277785122f, -0.490392625f, 0.0975451544f, 0.415734798f},
      {0.191341713f, -0.461939752f, 0.461939752f, -0.191341713f},
      {0.0975451618f, -0.277785122f, 0.415734768f, -0.490392625f},
  };
  std::array<std::array<float, kBlock>, kBlock> all{};
  for (size_t u = 0; u < kBlock; ++u)
    for (size_t i = 0; i < kBlock; ++i)
      all[u][i] = i < kBlock / 2 ? kHalf[u][i] : kHalf[u][kBlock - 1 - i] * (u % 2 == 0 ? 1.0f : -1.0f);
  return all;
}

/// An image as ImageNet's statistics normalise it -> the coefficients of its blocks in Y, Cb and Cr, normalised by
/// their own. All of that is one convolution, in f64 until the image's dtype is known.
struct Transform {
  Tensor kernel = zeros({kColours * kArea, kColours, kBlock, kBlock}, DType::f64);
  Tensor bias = zeros({kColours * kArea}, DType::f64);
  Transform() {
    double* at = kernel.mutable_data<double>().data();
    // Y, 0.564 (B - Y) + 128 and 0.713 (R - Y) + 128 of values from 0 to 255
    for (size_t c = 0; c < kColours; ++c) {
      std::array<double, kColours> share{0.299, 0.587, 0.114};
      double offset = c == 0 ? 0 : 128;
      for (size_t of = 0; of < kColours; ++of) {
        const double own = (c == 1 && of == 2) || (c == 2 && of == 0) ? 1 : 0;
        if (c > 0) share[of] = (c == 1 ? 0.564 : 0.713) * (own - share[of]);
        offset += 255 * share[of] * static_cast<double>(std::array{0.485f, 0.456f, 0.406f}[of]);
        share[of] *= 255 * static_cast<double>(std::array{0.229f, 0.224f, 0.225f}[of]);
      }
      add_colour(c, share, offset, at);
    }
  }
  // Frequencies diagonal by diagonal, each the other way round than the one before.
  void add_colour(size_t colour, const std::array<double, kColours>& share, double offset, double*& at) {
    constexpr auto kWaves = cosines();
    double* const bias_at = bias.mutable_data<double>().data();
    size_t n = colour * kArea;
    for (int sum = 0; sum < 2 * kBlock - 1; ++sum)
      for (int k = 0; k <= sum; ++k) {
        const int u = sum % 2 == 0 ? sum - k : k, v = sum - u;
        if (u >= kBlock || v >= kBlock) continue;
        const double deviation = std::sqrt(static_cast<double>(kVariances[n])) + 1e-8;
        double total = 0;
        for (const double by : share)
          for (const float down : kWaves[static_cast<size_t>(u)])
            for (const float across : kWaves[static_cast<size_t>(v)]) {
              const double wave = static_cast<double>(down) * static_cast<double>(across);
              *at++ = by * wave / deviation;
              total += wave / kColours;
            }
        bias_at[n] = (offset * total - static_cast<double>(kMeans[n])) / deviation;
        ++n;
      }
  }
};

class DctStem final : public Module {
 public:
  explicit DctStem(int out) {
    struct Dct1d final : Module {
      // What the kernel is made of; timm saves it.
      Dct1d() {
        Tensor matrix = empty({kBlock, kBlock}, DType::f32);
        float* at = matrix.mutable_data<float>().data();
        for (const auto& row : cosines()) at = std::copy(row.begin(), row.end(), at);
        buffer("weights", {kBlock, kBlock}).set(matrix);
      }
    };
    struct Dct2d final : Module {
      Dct2d() { add("transform", Dct1d()); }
    };
    add("transform", Dct2d());
    const Transform transform;
    kernel_ = constant("kernel", transform.kernel);
    offsets_ = constant("offsets", transform.bias);
    const int unit = out / 8;
    if (unit < 1 || out % 8 != 0)
      throw Error(Error::Kind::argument, str_cat(out, " channels do not divide into those of Y, Cb and Cr"),
                  "they are a multiple of 8");
    convs_ = {add("conv_y", Conv2d(kArea, 6 * unit, 1, {.bias = true})),
              add("conv_cb", Conv2d(kArea, unit, 1, {.bias = true})),
              add("conv_cr", Conv2d(kArea, unit, 1, {.bias = true}))};
  }
  Tensor forward(const Tensor& image) override {
    if (image.dim(2) % kBlock != 0 || image.dim(3) % kBlock != 0)
      throw Error(Error::Kind::shape,
                  str_cat("an image of ", image.dim(2), " x ", image.dim(3), " does not divide into blocks of 8 x 8"),
                  current_scope());
    const Tensor blocks = conv(image, cast(kernel_, image.dtype()), cast(offsets_, image.dtype()), {.stride{kBlock}});
    const std::vector<Tensor> each = chunk(blocks, kColours, 1);
    return cat({convs_[0](each[0]), convs_[1](each[1]), convs_[2](each[2])}, 1);
  }

 private:
  Param kernel_, offsets_;
  std::array<Ref<Module>, kColours> convs_;
};

/// A depthwise convolution beside a map.
struct PosConv final : Module {
  Ref<Module> proj;
  explicit PosConv(int channels) {
    proj = add("proj", Conv2d(channels, channels, 3, {.groups = channels, .bias = true}));
  }
  Tensor forward(const Tensor& map) override { return proj(map) + map; }
};

Tensor tokens_of(const Tensor& map) { return transpose(flatten(map, 2), 1, 2); }
Tensor map_of(const Tensor& tokens, const Tensor& like) {
  return reshape(transpose(tokens, 1, 2), {like.dim(0), -1, like.dim(2), like.dim(3)});
}

/// From a map's means and maxima over channels to a weight for each of 7x7 regions.
class SpatialAttention final : public Module {
 public:
  SpatialAttention() {
    conv_ = add("conv", Conv2d(2, 1, 7, {.bias = true}));
    attn_ = add("attn", Transformer());
  }
  Tensor forward(const Tensor& x) override {
    const Tensor both = cat({mean(x, {1}, keep_dims), amax(x, {1}, keep_dims)}, 1);
    return attn_(conv_(adaptive_avg_pool(both, {kSide, kSide})));
  }

 private:
  // Of a single channel. Its norm leaves nothing of it but the offset, which is the same for all images, between which
  // timm's attention is: all of them answer with the value itself, whatever queries and keys are.
  struct Transformer final : Module {
    Ref<Module> pos_embed, norm1, qkv, norm2, mlp;
    Transformer() {
      pos_embed = add("pos_embed", PosConv(1));
      norm1 = add("norm1", LayerNorm(1, 1e-5));
      qkv = add("qkv", Linear(1, 3, false));
      norm2 = add("norm2", LayerNorm(1, 1e-5));
      mlp = add("mlp", Mlp(1, {.hidden = 4}));
    }
    Tensor forward(const Tensor& x) override {
      const Tensor placed = pos_embed(map_of(norm1(tokens_of(x)), x));
      const Tensor y = x + map_of(slice(qkv(tokens_of(placed)), 2, 2, 3), x);
      return y + map_of(mlp(norm2(tokens_of(y))), x);
    }
  };
  Ref<Module> conv_, attn_;
};

struct ConvBlock final : Module {
  Ref<Module> dwconv, norm, pwconv1, act, grn, pwconv2, drop_path, attn;
  Maybe<Module> ls;
  ConvBlock(const Cfg& c, int dim, double drop_rate) {
    dwconv = add("dwconv", Conv2d(dim, dim, 7, {.groups = dim, .bias = true}));
    norm = add("norm", LayerNorm(dim));
    pwconv1 = add("pwconv1", Linear(dim, 4 * dim));
    act = add("act", Activation(act::gelu));
    grn = add("grn", GlobalResponseNorm(4 * dim));
    pwconv2 = add("pwconv2", Linear(4 * dim, dim));
    if (c.ls_init_value > 0) ls = add("ls", LayerScale(dim, c.ls_init_value, true));
    drop_path = add("drop_path", DropPath(drop_rate));
    attn = add("attn", SpatialAttention());
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = pwconv2(grn(this->act(pwconv1(norm(permute(dwconv(x), {0, 2, 3, 1}))))));
    const Tensor map = permute(y, {0, 3, 1, 2});
    const Tensor shares = interpolate(attn(map), {x.dim(2), x.dim(3)},
                                      {.mode = Interpolation::linear, .align_corners = true, .scale = {}});
    return x + drop_path(ls(map * shares));
  }
};

struct TransformerBlock final : Module {
  Ref<Module> pos_embed, norm1, attn, drop_path1, norm2, mlp, drop_path2;
  Maybe<Module> ls1, ls2;
  TransformerBlock(const Cfg& c, int dim, double drop_rate) {
    pos_embed = add("pos_embed", PosConv(dim));
    norm1 = add("norm1", LayerNorm(dim, 1e-5));
    attn = add("attn", Attention(dim, {.heads = 8, .head_dim = 32}));
    if (c.ls_init_value > 0) ls1 = add("ls1", LayerScale(dim, c.ls_init_value));
    drop_path1 = add("drop_path1", DropPath(drop_rate));
    norm2 = add("norm2", LayerNorm(dim, 1e-5));
    mlp = add("mlp", Mlp(dim, {.hidden = 4 * dim}));
    if (c.ls_init_value > 0) ls2 = add("ls2", LayerScale(dim, c.ls_init_value));
    drop_path2 = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor tokens = tokens_of(x);
    const Tensor placed = tokens_of(pos_embed(map_of(norm1(tokens), x)));
    const Tensor y = tokens + drop_path1(ls1(attn(placed)));
    return map_of(y + drop_path2(ls2(mlp(norm2(y)))), x);
  }
};

class Csat final : public Chained<HeadedModel> {
 public:
  Csat(const Cfg& c, const ModelOptions& o) : Chained(o) {
    if (o.in_chans.value_or(kColours) != kColours)
      throw Error(Error::Kind::argument, str_cat("in_chans is ", *o.in_chans), "the cosine transform is of R, G and B");
    default_levels_ = 4;
    add("stem_dct", DctStem(c.dims[0]));
    stem("stem_dct", Level::yes);
    int dropped = 0;
    for (size_t s = 0; s < 4; ++s) dropped += c.depths[s] - (c.transformer_drop_path ? 0 : c.transformer_depths[s]);
    DropPathRamp drop_path(o, dropped);
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) {
      const int dim = c.dims[s], convs = c.depths[s] - c.transformer_depths[s];
      Sequential parts;
      if (s > 0) parts.add(Conv2d(c.dims[s - 1], dim, 2, {.stride = 2, .padding = 0, .bias = true}));
      for (int i = 0; i < convs; ++i) parts.add(ConvBlock(c, dim, drop_path.next()));
      for (int i = convs; i < c.depths[s]; ++i)
        parts.add(TransformerBlock(c, dim, c.transformer_drop_path ? drop_path.next() : 0));
      if (s < 3) parts.add(LayerNorm2d(dim));
      stages.add(std::move(parts));
    }
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    const NormMlpHeadOptions options{.pool = wanted_pool("avg"), .drop_rate = static_cast<double>(drop_rate_)};
    head(c.dims[3], std::make_unique<NormMlpClassifierHead>(c.dims[3], num_classes_, options));
    start_weights(*this, init::trunc_normal(0.02));
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"head.norm"}, .convs = {}}; }
};

constexpr Rename kOriginal[] = {
    {"^dct.", "stem_dct."},
    {"Y_Conv", "conv_y"},
    {"Cb_Conv", "conv_cb"},
    {"Cr_Conv", "conv_cr"},
    {"^stages1.3.", "stages.1.0."},  // halving ended stages
    {"^stages2.3.", "stages.2.0."},
    {"^stages3.9.", "stages.3.0."},
    {"^stages1.#", "stages.0.$1"},
    {"grn.gamma", "grn.weight"},
    {"grn.beta", "grn.bias"},
    {"ff.net.0", "mlp.fc1"},
    {"ff.net.3", "mlp.fc2"},
    {"ff_norm", "norm2"},
    {"attn_norm", "norm1"},
    {"attention.attention.attn", "attn.attn"},
    {"attention.attention", "attn.attn"},
    {"attention", "attn"},
    {"to_qkv", "qkv"},
    {"attn.to_out.0", "attn.proj"},
    {"^stages#.#.attn.pos_embed", "stages$1.$2.pos_embed"},
    {"^head.", "head.fc."},
    {"^norm.", "head.norm."},
};

StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stages.0.0.grn.weight")) return weights;
  StateDict ours;
  for (const auto& [name, t] : rename(weights, kOriginal)) {
    // what is left of "stages2.5.rest" is of stages.1, where halving stands in front: "stages.1.6.rest"
    constexpr std::string_view kStages = "stages";
    const char *from = name.data() + kStages.size(), *end = name.data() + name.size();
    int stage = 0, place = 0;
    std::from_chars_result at{from, std::errc::invalid_argument};
    if (name.starts_with(kStages)) at = std::from_chars(from, end, stage);
    if (at.ec == std::errc() && at.ptr < end) at = std::from_chars(at.ptr + 1, end, place);
    if (at.ec == std::errc()) ours.set(str_cat("stages.", stage - 1, '.', place + 1, std::string(at.ptr, end)), t);
    else ours.set(name, t);
  }
  fit_shapes(model, ours);  // response norms had dimensions for pixels
  return ours;
}

constexpr Variant<Cfg> variants[] = {
    {"csatv2", {}},
    {"csatv2_21m", {.dims{48, 96, 224, 448}, .depths{3, 3, 10, 8}, .transformer_depths{0, 0, 4, 3}}},
};

}  // namespace

FOVEA_FAMILY(csatv2, Csat, variants, .adapt = adapt)

}  // namespace fovea::zoo::csatv2
