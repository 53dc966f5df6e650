// SPDX-License-Identifier: Apache-2.0
// zoo/families/hrnet.cpp — HRNet: branches of several resolutions that exchange what they have; timm.models.hrnet
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/resnet.h"
#include "zoo/levels.h"

namespace fovea::zoo::hrnet {
namespace {

struct Cfg {
  int stem_width = 64;
  int stage1_blocks = 4, stage1_channels = 64;  // bottlenecks in front of the branches
  std::array<int, 3> modules{1, 4, 3};          // exchanges in the stages of two, three and four branches
  int blocks = 4;                               // of a branch between two exchanges
  int width = 18;                               // channels at the highest resolution; they double with each halving
  bool head_conv_bias = true;
};
FOVEA_SETTINGS(Cfg, stem_width, stage1_blocks, stage1_channels, modules, blocks, width, head_conv_bias)

constexpr std::array<int, 4> kHead{32, 64, 128, 256};  // channels of the head's bottlenecks, times four behind them

struct ConvOf {
  int kernel = 3, stride = 1;
  bool act = true, bias = false;
};
Sequential conv_bn(int in, int out, const ConvOf& o = {}) {
  Sequential s;
  s.add(Conv2d(in, out, o.kernel, {.stride = o.stride, .bias = o.bias}));
  s.add(BatchNorm2d(out));
  if (o.act) s.add(Activation(act::relu));
  return s;
}

Sequential residuals(int in, int channels, int count, bool bottleneck) {
  const ResNetCfg plain{.zero_init_last = false};
  ResNetPlace p{.bottleneck = bottleneck, .in = in, .mid = channels, .width = channels};
  p.out = p.attended = bottleneck ? 4 * channels : channels;
  Sequential s;
  for (int i = 0; i < count; ++i) {
    s.add(bottleneck ? resnet_bottleneck(plain, p) : resnet_basic(plain, p));
    p.in = p.out;
  }
  return s;
}

struct Upsample final : Module {
  int factor;
  explicit Upsample(int by) : factor(by) {}
  Tensor forward(const Tensor& x) override {
    return interpolate(x, {x.dim(2) * factor, x.dim(3) * factor}, {.mode = Interpolation::nearest});
  }
};

// What branch `from` gives to branch `to`.
Sequential passage(const Cfg& c, int from, int to) {
  const int in = c.width << from, out = c.width << to;
  if (from > to) {
    Sequential s = conv_bn(in, out, {.kernel = 1, .act = false});
    s.add(Upsample(1 << (from - to)));
    return s;
  }
  Sequential s;
  for (int i = from; i < to; ++i) s.add(conv_bn(in, i == to - 1 ? out : in, {.stride = 2, .act = i < to - 1}));
  return s;
}

// Each branch by itself, and then the sum of all at each resolution.
struct Exchange final : Joint {
  Ref<Sequential> branches, fuse_layers;
  Exchange(const Cfg& c, int count) {
    Sequential all, fusions;
    for (int to = 0; to < count; ++to) {
      all.add(residuals(c.width << to, c.width << to, c.blocks, false));
      Sequential into;
      for (int from = 0; from < count; ++from)
        if (from != to) into.add(std::to_string(from), passage(c, from, to));
      fusions.add(std::move(into));
    }
    branches = add("branches", std::move(all));
    fuse_layers = add("fuse_layers", std::move(fusions));
  }

 protected:
  Tensors pass(std::span<const Tensor> x) override {
    Tensors y, out;
    {
      const Scope scope("branches");
      for (size_t i = 0; i < x.size(); ++i) y.push_back((*branches->children()[i])(x[i]));
    }
    const Scope scope("fuse_layers");
    for (size_t to = 0; to < y.size(); ++to) out.push_back(relu(fused(*fuse_layers->children()[to], y, to)));
    return out;
  }

 private:
  static Tensor fused(Module& passages, const Tensors& y, size_t to) {
    const Scope scope(passages.name());
    Tensor sum;
    size_t next = 0;
    for (size_t from = 0; from < y.size(); ++from) {
      const Tensor t = from == to ? y[from] : (*passages.children()[next++])(y[from]);
      sum = sum ? sum + t : t;
    }
    return sum;
  }
};

class HrNet final : public ImageModel {
 public:
  HrNet(const Cfg& c, const ModelOptions& o) : ImageModel(o) {
    const auto halve = [this](const char* n, int in, int out) {
      stem_.push_back(add(str_cat("conv", n), Conv2d(in, out, 3, {.stride = 2})));
      stem_.push_back(add(str_cat("bn", n), BatchNorm2d(out, {}, act::relu)));
    };
    halve("1", o.in_chans.value_or(3), c.stem_width);
    halve("2", c.stem_width, 64);
    layer1_ = add("layer1", residuals(64, c.stage1_channels, c.stage1_blocks, true));
    for (int s = 0; s < 3; ++s) add_stage(c, s);
    add_head(c);
    classifier("classifier", 2048);
    he_normal_convs(*this, Fan::out);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = stem_[1](stem_[0](image));
    if (tap("stem", x)) return x;
    x = run(*layer1_, stem_[3](stem_[2](x)));
    Tensors maps{x};
    for (size_t s = 0; s < 3; ++s) maps = pass_stage(s, std::move(maps));
    Tensor y;
    for (size_t i = 0; i < maps.size(); ++i) {
      const Tensor level = run_part(*incre_modules_, i, maps[i]);
      if (tap(str_cat("stage", i + 1), level)) return level;
      y = i == 0 ? level : level + run_part(*downsamp_modules_, i - 1, y);
    }
    return run(*final_layer_, y);
  }

  /// Branches end together, so that of several levels only the whole net or its stem is a net with one result.
  std::vector<int> prune(const PruneOptions& o) override {
    const int count = static_cast<int>(feature_info().size());
    const int end = wanted_levels(o.indices, o.last, count, full_name()).sorted.back();
    if (end > 0 && (end < count - 1 || o.head))
      throw Error(Error::Kind::unsupported, str_cat(full_name(), " has several results when it ends at level ", end),
                  "features() gives its levels; prune to level 0, or to the last one with the head kept");
    return ImageModel::prune(o);
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    std::vector<LayerGroup> rows{{0, "^conv1"}, {0, "^conv2"}, {0, "^bn1"}, {0, "^bn2"}};
    rows.push_back({.group = 1, .pattern = coarse ? "^layer#" : "^layer#.#"});
    rows.push_back({.group = 1, .pattern = coarse ? "^stage#" : "^stage#.#"});
    rows.push_back({.group = 1, .pattern = "^transition#", .joins_previous = !coarse});
    return rows;
  }

 protected:
  void vacate_behind(std::string_view, std::string_view) override {  // the stem
    for (const auto& child : children())
      if (child->name() != "conv1" && child->name() != "bn1" && child->name() != "global_pool" &&
          child->name() != "head_drop" && child->name() != "classifier")
        child->vacate();
  }

 private:
  // One branch more than before. Where the first has other channels than it should, it is convolved, too.
  void add_stage(const Cfg& c, int s) {
    const int before = s == 0 ? 4 * c.stage1_channels : c.width << s;  // of the branch with the lowest resolution
    Sequential into, exchanges;
    if (s == 0 && before != c.width) into.add("0", conv_bn(before, c.width));
    Sequential newest;
    newest.add(conv_bn(before, c.width << (s + 1), {.stride = 2}));
    into.add(std::to_string(s + 1), std::move(newest));
    transitions_[static_cast<size_t>(s)] = add(str_cat("transition", s + 1), std::move(into));
    for (int i = 0; i < c.modules[static_cast<size_t>(s)]; ++i) exchanges.add(Exchange(c, s + 2));
    stages_[static_cast<size_t>(s)] = add(str_cat("stage", s + 2), std::move(exchanges));
  }

  void add_head(const Cfg& c) {
    Sequential incre, downsamp;
    for (int i = 0; i < 4; ++i) {
      const int channels = kHead[static_cast<size_t>(i)];
      incre.add(residuals(c.width << i, channels, 1, true));
      if (i < 3) downsamp.add(conv_bn(4 * channels, 8 * channels, {.stride = 2, .bias = c.head_conv_bias}));
    }
    incre_modules_ = add("incre_modules", std::move(incre));
    downsamp_modules_ = add("downsamp_modules", std::move(downsamp));
    final_layer_ = add("final_layer", conv_bn(4 * kHead[3], 2048, {.kernel = 1, .bias = c.head_conv_bias}));
  }

  Tensors pass_stage(size_t s, Tensors maps) {
    const Tensor lowest = maps.back();
    for (const auto& child : transitions_[s]->children()) {
      const Scope scope(transitions_[s]->name());
      const Tensor t = run(*child, lowest);
      if (child->name() == "0") maps[0] = t;
      else maps.push_back(t);
    }
    const Scope scope(stages_[s]->name());
    for (const auto& child : stages_[s]->children()) maps = run(dynamic_cast<Exchange&>(*child), maps);
    return maps;
  }

  Tensor run_part(Sequential& list, size_t i, const Tensor& x) {
    const Scope scope(list.name());
    return run(*list.children()[i], x);
  }

  std::vector<Ref<Module>> stem_;
  Ref<Sequential> layer1_, incre_modules_, downsamp_modules_, final_layer_;
  std::array<Ref<Sequential>, 3> transitions_, stages_;
};

constexpr Variant<Cfg> variants[] = {
    {"hrnet_w18", {}},
    {"hrnet_w18_small", {.stage1_blocks = 1, .stage1_channels = 32, .modules{1, 1, 1}, .blocks = 2, .width = 16}},
    {"hrnet_w18_small_v2", {.stage1_blocks = 2, .modules{1, 3, 2}, .blocks = 2}},
    {"hrnet_w18_ssld", {.head_conv_bias = false}},
    {"hrnet_w30", {.width = 30}},
    {"hrnet_w32", {.width = 32}},
    {"hrnet_w40", {.width = 40}},
    {"hrnet_w44", {.width = 44}},
    {"hrnet_w48", {.width = 48}},
    {"hrnet_w48_ssld", {.width = 48, .head_conv_bias = false}},
    {"hrnet_w64", {.width = 64}},
};

}  // namespace

FOVEA_FAMILY(hrnet, HrNet, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::hrnet
