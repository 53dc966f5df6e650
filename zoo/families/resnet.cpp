// SPDX-License-Identifier: Apache-2.0
// zoo/families/resnet.cpp — ResNet, ResNeXt, Wide-, SE-, ECA- and Blur-ResNet, SENet, ResNet-RS; timm.models.resnet
#include <charconv>

#include "nn/layers/drop_block.h"
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::resnet {
namespace {

enum class Stem : uint8_t { conv7, deep, tiered };   // one 7x7 convolution; three 3x3; three that widen step by step
constexpr std::string_view name_of(Stem s) {
  constexpr std::string_view names[] = {"conv7", "deep", "tiered"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

struct Cfg {
  std::string_view block = "bottleneck";           // or "basic", or one for each stage with commas between
  std::array<int, 4> depths{3, 4, 6, 3}, widths{64, 128, 256, 512};
  // bottlenecks: width / 64 * base_width * groups channels in the middle
  int groups = 1, base_width = 64;
  int stem_width = 64;
  Stem stem = Stem::conv7;
  bool avg_down = false;                           // shortcuts pool and then convolve
  bool stem_conv_pool = false;                     // a convolution with a stride in place of the stem's max-pool
  int down_kernel = 1, reduce_first = 1;           // of shortcuts; divides the channels of a block's first convolution
  std::string_view attention{};
  double attention_ratio = 0;                      // 0: its default
  std::string_view anti_alias{};
  NormSpec::Kind norm = NormSpec::Kind::batch;
  Act act = act::relu;
  double drop_block_rate = 0;                      // of the last two stages
  bool zero_init_last = true;
  // a stage: its channels, then those of the first two convolutions of each block
  std::string_view pruned{};
};
FOVEA_SETTINGS(Cfg, block, depths, widths, groups, base_width, stem_width, stem, avg_down, stem_conv_pool, down_kernel,
               reduce_first, attention, attention_ratio, anti_alias, norm, act, drop_block_rate, zero_init_last, pruned)

/// Where a block sits, and its channels: through the first convolution, the second, and at the end.
struct Place {
  int in = 0, mid = 0, width = 0, out = 0;
  int attended = 0;                                // channels that the attention is made for
  int stride = 1, first_dilation = 1, dilation = 1;
  double drop_path = 0;
  DropBlockOptions drop_block;
};

bool blurs(const Cfg& c, const Place& p) {
  return !c.anti_alias.empty() && (p.stride == 2 || p.first_dilation != p.dilation);
}

Sequential shortcut(const Cfg& c, const Place& p) {
  Sequential s;
  if (c.avg_down) {
    s.add(shortcut_pool(p.stride, p.dilation));
    s.add(Conv2d(p.in, p.out, 1));
  } else {
    const int kernel = p.stride == 1 && p.dilation == 1 ? 1 : c.down_kernel;
    s.add(Conv2d(p.in, p.out, kernel, {.stride = p.stride, .dilation = kernel > 1 ? p.first_dilation : 1}));
  }
  s.add(norm2d({.kind = c.norm}, p.out));
  return s;
}

// What both blocks end with.
struct Residual : Module {
  Maybe<Module> drop_block, aa, se, drop_path, downsample;
  Ref<Module> last_act;

  void close(const Cfg& c, const Place& p, Module& last_norm, std::string_view act_name) {
    if (c.zero_init_last) silence(last_norm);
    se = add("se", channel_attention(c.attention, p.attended, {.ratio = c.attention_ratio}));
    last_act = add(act_name, Activation(c.act));
    if (p.stride != 1 || p.in != p.out) downsample = add("downsample", shortcut(c, p));
    if (p.drop_block.rate > 0) drop_block = add("drop_block", DropBlock2d(p.drop_block));
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor join(const Tensor& y, const Tensor& x) { return last_act(drop_path(se(y)) + downsample(x)); }
};

struct BasicBlock final : Residual {
  Ref<Module> conv1, bn1, act1, conv2, bn2;
  BasicBlock(const Cfg& c, const Place& p) {
    conv1 = add("conv1", Conv2d(p.in, p.mid, 3, {.stride = blurs(c, p) ? 1 : p.stride, .dilation = p.first_dilation}));
    bn1 = add("bn1", norm2d({.kind = c.norm}, p.mid));
    act1 = add("act1", Activation(c.act));
    if (blurs(c, p)) aa = add("aa", anti_alias(c.anti_alias, p.mid, p.stride));
    conv2 = add("conv2", Conv2d(p.mid, p.out, 3, {.dilation = p.dilation}));
    bn2 = add("bn2", norm2d({.kind = c.norm}, p.out));
    close(c, p, *bn2, "act2");
  }
  Tensor forward(const Tensor& x) override { return join(bn2(conv2(aa(act1(drop_block(bn1(conv1(x))))))), x); }
};

struct Bottleneck final : Residual {
  Ref<Module> conv1, bn1, act1, conv2, bn2, act2, conv3, bn3;
  Bottleneck(const Cfg& c, const Place& p) {
    conv1 = add("conv1", Conv2d(p.in, p.mid, 1));
    bn1 = add("bn1", norm2d({.kind = c.norm}, p.mid));
    act1 = add("act1", Activation(c.act));
    const Conv2dOptions middle{.stride = blurs(c, p) ? 1 : p.stride, .dilation = p.first_dilation, .groups = c.groups};
    conv2 = add("conv2", Conv2d(p.mid, p.width, 3, middle));
    bn2 = add("bn2", norm2d({.kind = c.norm}, p.width));
    act2 = add("act2", Activation(c.act));
    if (blurs(c, p)) aa = add("aa", anti_alias(c.anti_alias, p.width, p.stride));
    conv3 = add("conv3", Conv2d(p.width, p.out, 1));
    bn3 = add("bn3", norm2d({.kind = c.norm}, p.out));
    close(c, p, *bn3, "act3");
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = act1(bn1(conv1(x)));
    return join(bn3(conv3(aa(act2(drop_block(bn2(conv2(y))))))), x);
  }
};

enum class Block : uint8_t { basic, bottleneck };

std::array<Block, 4> blocks_of(std::string_view words) {
  const std::vector<std::string> list = split_list(words);
  if (list.size() != 1 && list.size() != 4)
    throw Error(Error::Kind::argument, cat("blocks '", words, "'"), "one for all stages or four");
  std::array<Block, 4> blocks{};
  for (size_t i = 0; i < 4; ++i) {
    const std::string& word = list[list.size() == 1 ? 0 : i];
    if (word != "basic" && word != "bottleneck")
      throw Error(Error::Kind::argument, cat("no residual block '", word, "'"), "there are basic and bottleneck");
    blocks[i] = word == "basic" ? Block::basic : Block::bottleneck;
  }
  return blocks;
}

// Reads the channels of a pruned net, in order.
struct Numbers {
  std::string_view rest;
  int next() {
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" :")));
    int n = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), n);
    if (error != std::errc() || n < 1)
      throw Error(Error::Kind::argument, cat("the list of pruned channels has no number at '", rest, "'"));
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    return n;
  }
};

Place place(const Cfg& c, Block kind, int planes) {
  Place p;
  p.width = p.out = planes;
  if (kind == Block::bottleneck) {
    p.width = planes * c.base_width / 64 * c.groups;
    p.out = 4 * planes;
  } else if (c.groups != 1 || c.base_width != 64) {
    throw Error(Error::Kind::argument, cat("basic blocks of ", c.groups, " groups and base width ", c.base_width),
                "they have neither");
  }
  if (c.reduce_first < 1) throw Error(Error::Kind::argument, cat("reduce_first is ", c.reduce_first));
  p.mid = p.width / c.reduce_first;
  p.attended = p.out;                              // pruned nets keep the attention of the full one
  return p;
}

class ResNet final : public ImageModel {
 public:
  ResNet(const Cfg& c, const ModelOptions& o) : ImageModel(o) {
    int channels = c.stem == Stem::conv7 ? 64 : 2 * c.stem_width;
    if (c.stem == Stem::conv7) conv1_ = add("conv1", Conv2d(o.in_chans.value_or(3), channels, 7, {.stride = 2}));
    else conv1_ = add("conv1", deep_stem(c, o.in_chans.value_or(3), channels));
    bn1_ = add("bn1", norm2d({.kind = c.norm}, channels));
    act1_ = add("act1", Activation(c.act));
    maxpool_ = add("maxpool", c.stem_conv_pool ? conv_pool(c, channels) : stem_pool(c.anti_alias, channels));
    channels = add_stages(c, o, channels);
    if (c.pruned.empty()) he_normal_convs(*this, Fan::out);
    classifier("fc", channels);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = act1_(bn1_(conv1_(image)));
    if (tap("act1", x)) return x;
    x = maxpool_(x);
    for (const Ref<Sequential>& layer : layers_) {
      x = run(*layer, x);
      if (tap(layer->name(), x)) break;
    }
    return x;
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^conv1"}, {0, "^bn1"}, {0, "^maxpool"}, {1, coarse ? "^layer#" : "^layer#.#"}};
  }

 private:
  static Sequential deep_stem(const Cfg& c, int in, int out) {
    const int first = c.stem == Stem::tiered ? c.stem_width / 4 * 3 : c.stem_width;
    Sequential s;
    s.add(Conv2d(in, first, 3, {.stride = 2}));
    s.add(norm2d({.kind = c.norm}, first));
    s.add(Activation(c.act));
    s.add(Conv2d(first, c.stem_width, 3));
    s.add(norm2d({.kind = c.norm}, c.stem_width));
    s.add(Activation(c.act));
    s.add(Conv2d(c.stem_width, out, 3));
    return s;
  }

  static std::unique_ptr<Module> conv_pool(const Cfg& c, int channels) {
    auto s = std::make_unique<Sequential>();
    s->add(Conv2d(channels, channels, 3, {.stride = c.anti_alias.empty() ? 2 : 1}));
    if (!c.anti_alias.empty()) s->add(anti_alias(c.anti_alias, channels, 2));
    s->add(norm2d({.kind = c.norm}, channels));
    s->add(Activation(c.act));
    return s;
  }

  int add_stages(const Cfg& c, const ModelOptions& o, int channels) {
    const std::array<Block, 4> kinds = blocks_of(c.block);
    Dilator strides{.reached = 4, .limit = o.output_stride.value_or(32)};
    DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.0f)),
                           c.depths[0] + c.depths[1] + c.depths[2] + c.depths[3]);
    Numbers pruned{c.pruned};
    for (size_t s = 0; s < 4; ++s) {
      const Dilator::Step step = strides.next(s == 0 ? 1 : 2);
      Place p = place(c, kinds[s], c.widths[s]);
      if (!c.pruned.empty()) p.out = pruned.next();
      p.drop_block = {.rate = s >= 2 ? c.drop_block_rate : 0, .size = s == 2 ? 5 : 3, .gamma_scale = s == 2 ? 0.25 : 1};
      p.dilation = step.dilation;
      Sequential stage;
      for (int b = 0; b < c.depths[s]; ++b) {
        if (!c.pruned.empty()) p.mid = pruned.next(), p.width = pruned.next();
        p.in = channels;
        p.stride = b == 0 ? step.stride : 1;
        p.first_dilation = b == 0 ? step.first_dilation : step.dilation;
        p.drop_path = drop_path.next();
        if (kinds[s] == Block::basic) stage.add(BasicBlock(c, p));
        else stage.add(Bottleneck(c, p));
        channels = p.out;
      }
      layers_[s] = add(cat("layer", s + 1), std::move(stage));
    }
    return channels;
  }

  Ref<Module> conv1_, bn1_, act1_, maxpool_;
  std::array<Ref<Sequential>, 4> layers_;
};

#include "zoo/families/resnet_variants.inc"

}  // namespace

FOVEA_FAMILY(resnet, ResNet, variants, .accepts = {.output_stride = true, .least_output_stride = 8})
}  // namespace fovea::zoo::resnet
