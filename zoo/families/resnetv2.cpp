// SPDX-License-Identifier: Apache-2.0
// zoo/families/resnetv2.cpp — ResNets whose norms stand in front of the convolutions, and BiT; timm.models.resnetv2
#include "zoo/blocks/chained.h"
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::resnetv2 {
namespace {

// one 7x7 convolution, also with BiT's padding around the pooling; three 3x3; three that widen
enum class Stem : uint8_t { conv7, fixed, deep, tiered };
constexpr std::string_view name_of(Stem s) {
  constexpr std::string_view names[] = {"conv7", "fixed", "deep", "tiered"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

struct Cfg {
  std::array<int, 4> layers{3, 4, 6, 3}, channels{256, 512, 1024, 2048};
  int width_factor = 1, stem_chs = 64;
  Stem stem_type = Stem::conv7;
  bool avg_down = false;
  bool basic = false;  // two 3x3 convolutions
  double bottle_ratio = 0.25;
  Act act_layer = act::relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  double standardize = 0;  // of the weights of convolutions, but the classifier's
  bool zero_init_last = false;
};
FOVEA_SETTINGS(Cfg, layers, channels, width_factor, stem_chs, stem_type, avg_down, basic, bottle_ratio, act_layer,
               norm_layer, standardize, zero_init_last)

std::unique_ptr<Module> norm(const Cfg& c, int channels) {
  return norm_act2d({.kind = c.norm_layer}, channels, c.act_layer);
}

struct ConvOf {
  int stride = 1, dilation = 1;
};
Conv2d conv(const Cfg& c, int in, int out, int kernel, const ConvOf& o = {}) {
  return {in, out, kernel, {.stride = o.stride, .dilation = o.dilation, .standardize = c.standardize}};
}

struct Place {
  int in, out, stride, first_dilation, dilation;
  bool first;
  double drop_path;
};

struct Downsample final : Module {
  Ref<Module> pool, conv_;
  Downsample(const Cfg& c, const Place& p) {
    pool = add("pool", c.avg_down ? shortcut_pool(p.stride, p.dilation) : std::make_unique<Identity>());
    conv_ = add("conv", conv(c, p.in, p.out, 1, {.stride = c.avg_down ? 1 : p.stride}));
  }
  Tensor forward(const Tensor& x) override { return conv_(pool(x)); }
};

// Norms and convolutions in turn.
struct PreActBlock final : Module {
  Maybe<Module> downsample, drop_path;
  Ref<Module> norm1;
  std::vector<Ref<Module>> rest;
  PreActBlock(const Cfg& c, const Place& p) {
    const bool changes = p.stride != 1 || p.first_dilation != p.dilation || p.in != p.out;
    if (p.first && (changes || !c.basic)) downsample = add("downsample", Downsample(c, p));
    norm1 = add("norm1", norm(c, p.in));
    const int mid = make_divisible(p.out * c.bottle_ratio);
    const ConvOf strided{.stride = p.stride, .dilation = p.first_dilation};
    if (c.basic) {
      rest = {add("conv1", conv(c, p.in, mid, 3, strided)), add("norm2", norm(c, mid)),
              add("conv2", conv(c, mid, p.out, 3, {.dilation = p.dilation}))};
    } else {
      rest = {add("conv1", conv(c, p.in, mid, 1)), add("norm2", norm(c, mid)),
              add("conv2", conv(c, mid, mid, 3, strided)), add("norm3", norm(c, mid)),
              add("conv3", conv(c, mid, p.out, 1))};
    }
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor before = norm1(x);
    Tensor y = before;
    for (const Ref<Module>& part : rest) y = part(y);
    return drop_path(y) + (downsample ? downsample(before) : x);
  }
};

struct Stage final : Module {
  Ref<Sequential> blocks;
  explicit Stage(Sequential all) { blocks = add("blocks", std::move(all)); }
  Tensor forward(const Tensor& x) override { return blocks(x); }
};

class ResNetV2 final : public Chained<HeadedModel> {
 public:
  ResNetV2(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const int channels = add_stages(c, o, add_stem(c, o.in_chans.value_or(3)));
    norm_ = add("norm", norm(c, channels));
    stem("norm");
    const ClassifierHeadOptions options{
        .pool = wanted_pool("avg"), .drop_rate = static_cast<double>(drop_rate_), .convolution = true};
    head(channels, std::make_unique<ClassifierHead>(channels, num_classes_, options));
    he_normal_convs(*this, Fan::out);
    if (auto* fc = dynamic_cast<Conv2d*>(find("head.fc"))) {
      fc->weight.slot().init = init::normal(0.01);
      fc->bias.slot().init = init::zeros();
    }
    if (c.zero_init_last) silence_last_convs(c);
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    return {{0, "^stem"}, {1, "^stages.#.blocks.#"}, {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == "stages.3" ? norm_(tapped.value) : tapped.value;
  }

 private:
  int add_stem(const Cfg& c, int in) {
    const int out = make_divisible(c.stem_chs * c.width_factor);
    Sequential s;
    if (c.stem_type == Stem::deep || c.stem_type == Stem::tiered) {
      const int first = c.stem_type == Stem::tiered ? 3 * out / 8 : out / 2;
      s.add("conv1", conv(c, in, first, 3, {.stride = 2}));
      s.add("norm1", norm(c, first));
      s.add("conv2", conv(c, first, out / 2, 3));
      s.add("norm2", norm(c, out / 2));
      s.add("conv3", conv(c, out / 2, out, 3));
    } else {
      s.add("conv", conv(c, in, out, 7, {.stride = 2}));
    }
    const int end = s.size() - 1;
    // BiT pads with zeros, which count for the maximum
    if (c.stem_type == Stem::fixed) s.add("pad", ZeroPad2d({1, 1, 1, 1}));
    s.add("pool", MaxPool2d(3, {.stride = 2, .padding = c.stem_type == Stem::fixed ? 0 : 1}));
    add("stem", std::move(s));
    parts("stem", {end});
    return out;
  }

  int add_stages(const Cfg& c, const ModelOptions& o, int channels) {
    int depth = 0;
    for (const int n : c.layers) depth += n;
    DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.0f)), depth);
    Dilator strides{.reached = 4, .limit = o.output_stride.value_or(32)};
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) {
      const Dilator::Step step = strides.next(s == 0 ? 1 : 2);
      const int out = make_divisible(c.channels[s] * c.width_factor);
      Sequential blocks;
      for (int i = 0; i < c.layers[s]; ++i) {
        blocks.add(PreActBlock(c, {.in = i == 0 ? channels : out,
                                   .out = out,
                                   .stride = i == 0 ? step.stride : 1,
                                   .first_dilation = i > 0               ? step.dilation
                                                     : step.dilation > 2 ? 2
                                                                         : 1,
                                   .dilation = step.dilation,
                                   .first = i == 0,
                                   .drop_path = drop_path.next()}));
      }
      stages.add(Stage(std::move(blocks)));
      channels = out;
    }
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    return channels;
  }

  void silence_last_convs(const Cfg& c) {
    visit([&](const std::string&, Module& m) {
      if (dynamic_cast<PreActBlock*>(&m))
        dynamic_cast<Conv2d&>(*m.find(c.basic ? "conv2" : "conv3")).weight.slot().init = init::zeros();
    });
  }

  Ref<Module> norm_;
};

// BiT's archives: layers are counted from one, kernels are H, W, in, out.
StateDict adapt(ImageModel&, StateDict weights) {
  const std::string kernel = "standardized_conv2d/kernel";
  if (!weights.contains("resnet/root_block/" + kernel)) return weights;
  StateDict w;
  const auto move = [&](const std::string& theirs, const std::string& ours) {
    if (const Tensor* t = weights.find("resnet/" + theirs))
      w.set(ours, t->rank() == 4 ? contiguous(permute(*t, {3, 2, 0, 1})) : *t);
    return w.contains(ours);
  };
  const auto move_norm = [&](const std::string& theirs, const std::string& ours) {
    move(theirs + "group_norm/gamma", ours + ".weight");
    move(theirs + "group_norm/beta", ours + ".bias");
  };
  move("root_block/" + kernel, "stem.conv.weight");
  for (int s = 0; s < 4; ++s)
    for (int b = 0;; ++b) {
      const std::string theirs = str_cat("block", s + 1, "/unit", b < 9 ? "0" : "", b + 1, '/'),
                        ours = str_cat("stages.", s, ".blocks.", b, '.');
      if (!move(theirs + "a/" + kernel, ours + "conv1.weight")) break;
      move(theirs + "b/" + kernel, ours + "conv2.weight");
      move(theirs + "c/" + kernel, ours + "conv3.weight");
      for (const auto& [letter, norm] : {std::pair{"a/", "norm1"}, {"b/", "norm2"}, {"c/", "norm3"}})
        move_norm(theirs + letter, ours + norm);
      move(theirs + "a/proj/" + kernel, ours + "downsample.conv.weight");
    }
  move_norm("", "norm");
  move("head/conv2d/kernel", "head.fc.weight");
  move("head/conv2d/bias", "head.fc.bias");
  return w;
}

#include "zoo/families/resnetv2_variants.inc"

}  // namespace

FOVEA_FAMILY(resnetv2, ResNetV2, variants, .accepts = {.output_stride = true}, .adapt = adapt)
}  // namespace fovea::zoo::resnetv2
