// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/resnetv2.cpp — stem, stages of blocks with norms in front or behind, norm, head.
#include "zoo/blocks/resnetv2.h"

#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/stages.h"

namespace fovea::zoo {
namespace {

std::unique_ptr<Module> norm(const ResNetV2Cfg& c, int channels) {
  return norm_act2d({.kind = c.norm_layer}, channels, c.act_layer);
}
std::unique_ptr<Module> norm_alone(const ResNetV2Cfg& c, int channels) {
  return norm2d({.kind = c.norm_layer}, channels);
}

struct ConvOf {
  int stride = 1, dilation = 1;
};
Conv2d conv(const ResNetV2Cfg& c, int in, int out, int kernel, const ConvOf& o = {}) {
  return {in,
          out,
          kernel,
          {.stride = o.stride, .dilation = o.dilation, .padding = c.padding, .standardize = c.standardize}};
}

struct BlockOptions {
  int in, out, stride, first_dilation, dilation;
  bool first;
  double drop_path;
};

struct Downsample final : Module {
  Ref<Module> pool, conv_;
  Maybe<Module> norm_;
  Downsample(const ResNetV2Cfg& c, const BlockOptions& p) {
    pool = add("pool", c.avg_down ? shortcut_pool(p.stride, p.dilation) : std::make_unique<Identity>());
    conv_ = add("conv", conv(c, p.in, p.out, 1, {.stride = c.avg_down ? 1 : p.stride}));
    if (!c.preact) norm_ = add("norm", norm_alone(c, p.out));
  }
  Tensor forward(const Tensor& x) override { return norm_(conv_(pool(x))); }
};

// Norms and convolutions in turn.
struct PreActBlock final : Module {
  Maybe<Module> downsample, drop_path;
  Ref<Module> norm1;
  std::vector<Ref<Module>> rest;
  PreActBlock(const ResNetV2Cfg& c, const BlockOptions& p) {
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

// Convolutions and norms in turn; the last activation stands behind the sum.
struct PostActBlock final : Module {
  Maybe<Module> downsample, drop_path;
  std::vector<Ref<Module>> branch;
  Ref<Module> act3;
  PostActBlock(const ResNetV2Cfg& c, const BlockOptions& p) {
    if (p.first) downsample = add("downsample", Downsample(c, p));
    const int mid = make_divisible(p.out * c.bottle_ratio);
    branch = {add("conv1", conv(c, p.in, mid, 1)),
              add("norm1", norm(c, mid)),
              add("conv2", conv(c, mid, mid, 3, {.stride = p.stride, .dilation = p.first_dilation})),
              add("norm2", norm(c, mid)),
              add("conv3", conv(c, mid, p.out, 1)),
              add("norm3", norm_alone(c, p.out))};
    if (c.zero_init_last) zero_norm_weight(*branch.back());
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
    act3 = add("act3", Activation(c.act_layer));
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const Ref<Module>& part : branch) y = part(y);
    return act3(drop_path(y) + downsample(x));
  }
};

std::unique_ptr<Module> block(const ResNetV2Cfg& c, const BlockOptions& p) {
  if (!c.preact) return std::make_unique<PostActBlock>(c, p);
  return std::make_unique<PreActBlock>(c, p);
}

struct Stage final : Module {
  Ref<Sequential> blocks;
  explicit Stage(Sequential all) { blocks = add("blocks", std::move(all)); }
  Tensor forward(const Tensor& x) override { return blocks(x); }
};

}  // namespace

std::string_view name_of(ResNetV2Stem s) {
  constexpr std::string_view names[] = {"conv7", "fixed", "same", "deep", "tiered"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

Sequential resnetv2_stem(const ResNetV2Cfg& c, int in) {
  const int out = make_divisible(c.stem_chs * c.width_factor);
  Sequential s;
  if (c.stem_type == ResNetV2Stem::deep || c.stem_type == ResNetV2Stem::tiered) {
    const int first = c.stem_type == ResNetV2Stem::tiered ? 3 * out / 8 : out / 2;
    s.add("conv1", conv(c, in, first, 3, {.stride = 2}));
    s.add("norm1", norm(c, first));
    s.add("conv2", conv(c, first, out / 2, 3));
    s.add("norm2", norm(c, out / 2));
    s.add("conv3", conv(c, out / 2, out, 3));
    if (!c.preact) s.add("norm3", norm(c, out));
  } else {
    s.add("conv", conv(c, in, out, 7, {.stride = 2}));
    if (!c.preact) s.add("norm", norm(c, out));
  }
  // BiT pads with zeros, which count for the maximum
  if (c.stem_type == ResNetV2Stem::fixed) s.add("pad", ZeroPad2d({1, 1, 1, 1}));
  Padding around = 1;
  if (c.stem_type == ResNetV2Stem::fixed) around = 0;
  if (c.stem_type == ResNetV2Stem::same) around = Padding::Kind::same;
  s.add("pool", MaxPool2d(3, {.stride = 2, .padding = around}));
  return s;
}

ResNetV2::ResNetV2(const ResNetV2Cfg& c, const ModelOptions& o) : Chained(o) {
  if (c.basic && !c.preact) throw Error(Error::Kind::argument, "basic blocks have their norms in front");
  const auto& stem_parts = add("stem", resnetv2_stem(c, o.in_chans.value_or(3)))->children();
  // the level in front of the pooling
  parts("stem", {static_cast<int>(stem_parts.size()) - (c.stem_type == ResNetV2Stem::fixed ? 3 : 2)});
  const int channels = add_stages(c, o);
  if (c.preact) {
    norm_ = add("norm", norm(c, channels));
    stem("norm");
  }
  const ClassifierHeadOptions options{
      .pool = wanted_pool("avg"), .drop_rate = static_cast<double>(drop_rate_), .convolution = true};
  head(channels, std::make_unique<ClassifierHead>(channels, num_classes_, options));
  he_normal_convs(*this, Fan::out);
  if (auto* fc = dynamic_cast<Conv2d*>(find("head.fc"))) {
    fc->weight.slot().init = init::normal(0.01);
    fc->bias.slot().init = init::zeros();
  }
  if (c.zero_init_last)
    visit([](const std::string&, Module& m) {
      if (auto* b = dynamic_cast<PreActBlock*>(&m)) zero_norm_weight(*b->rest.back());
    });
}

std::vector<LayerGroup> ResNetV2::group_matcher(bool coarse) const {
  if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
  return {{0, "^stem"}, {1, "^stages.#.blocks.#"}, {.group = 1, .pattern = "^norm", .joins_previous = true}};
}

int ResNetV2::add_stages(const ResNetV2Cfg& c, const ModelOptions& o) {
  DropPathRamp drop_path(o, c.layers);
  Dilator strides{.reached = 4, .limit = o.output_stride.value_or(32)};
  int channels = make_divisible(c.stem_chs * c.width_factor);
  Sequential stages;
  std::vector<int> levels;
  for (size_t s = 0; s < 4 && c.layers[s] > 0; ++s) {
    const Dilator::Step step = strides.next(s == 0 ? 1 : 2);
    const int out = make_divisible(c.channels[s] * c.width_factor);
    Sequential blocks;
    for (int i = 0; i < c.layers[s]; ++i) {
      blocks.add(block(c, {.in = i == 0 ? channels : out,
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
    levels.push_back(static_cast<int>(s));
    channels = out;
  }
  add("stages", std::move(stages));
  parts("stages", levels);
  return channels;
}

}  // namespace fovea::zoo
