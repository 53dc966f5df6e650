// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/resnet.cpp — stems, shortcuts, and stages of blocks that somebody else makes.
#include "zoo/blocks/resnet.h"

#include <charconv>

#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/stages.h"

namespace fovea::zoo {
namespace {

Sequential shortcut(const ResNetCfg& c, const ResNetPlace& p) {
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

bool blurs(const ResNetCfg& c, const ResNetPlace& p) {
  return !c.anti_alias.empty() && (p.stride == 2 || p.first_dilation != p.dilation);
}

struct BasicBlock final : Residual {
  Ref<Module> conv1, bn1, act1, conv2, bn2;
  BasicBlock(const ResNetCfg& c, const ResNetPlace& p) {
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
  Bottleneck(const ResNetCfg& c, const ResNetPlace& p) {
    conv1 = add("conv1", Conv2d(p.in, p.mid, 1));
    bn1 = add("bn1", norm2d({.kind = c.norm}, p.mid));
    act1 = add("act1", Activation(c.act));
    const Conv2dOptions middle{
        .stride = blurs(c, p) ? 1 : p.stride, .dilation = p.first_dilation, .groups = c.cardinality};
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

// Whether each stage has bottlenecks.
std::array<bool, 4> bottlenecks_of(std::string_view words) {
  const std::vector<std::string> list = split_list(words);
  if (list.size() != 1 && list.size() != 4)
    throw Error(Error::Kind::argument, str_cat("blocks '", words, "'"), "one for all stages or four");
  std::array<bool, 4> bottleneck{};
  for (size_t i = 0; i < 4; ++i) {
    const std::string& word = list[list.size() == 1 ? 0 : i];
    if (word != "basic" && word != "bottleneck")
      throw Error(Error::Kind::argument, str_cat("no residual block '", word, "'"), "there are basic and bottleneck");
    bottleneck[i] = word == "bottleneck";
  }
  return bottleneck;
}

// Reads the channels of a pruned net, in order.
struct Numbers {
  std::string_view rest;
  int next() {
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" :")));
    int n = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), n);
    if (error != std::errc() || n < 1)
      throw Error(Error::Kind::argument, str_cat("the list of pruned channels has no number at '", rest, "'"));
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    return n;
  }
};

ResNetPlace place(const ResNetCfg& c, bool bottleneck, int planes) {
  ResNetPlace p;
  p.bottleneck = bottleneck;
  p.width = p.out = planes;
  if (bottleneck) {
    p.width = planes * c.base_width / 64 * c.cardinality;
    p.out = 4 * planes;
  } else if (c.cardinality != 1 || c.base_width != 64) {
    throw Error(Error::Kind::argument,
                str_cat("basic blocks of ", c.cardinality, " groups and base width ", c.base_width),
                "they have neither");
  }
  if (c.reduce_first < 1) throw Error(Error::Kind::argument, str_cat("reduce_first is ", c.reduce_first));
  p.mid = p.width / c.reduce_first;
  p.attended = p.out;  // pruned nets keep the attention of the full one
  return p;
}

Sequential deep_stem(const ResNetCfg& c, int in, int out) {
  const int first = c.stem == ResNetStem::tiered ? c.stem_width / 4 * 3 : c.stem_width;
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

std::unique_ptr<Module> conv_pool(const ResNetCfg& c, int channels) {
  auto s = std::make_unique<Sequential>();
  s->add(Conv2d(channels, channels, 3, {.stride = c.anti_alias.empty() ? 2 : 1}));
  if (!c.anti_alias.empty()) s->add(anti_alias(c.anti_alias, channels, 2));
  s->add(norm2d({.kind = c.norm}, channels));
  s->add(Activation(c.act));
  return s;
}

}  // namespace

std::unique_ptr<Module> resnet_basic(const ResNetCfg& c, const ResNetPlace& p) {
  return std::make_unique<BasicBlock>(c, p);
}
std::unique_ptr<Module> resnet_bottleneck(const ResNetCfg& c, const ResNetPlace& p) {
  return std::make_unique<Bottleneck>(c, p);
}

namespace {

struct OwnBlocks final : ResNetBlocks {
  const ResNetCfg& c;
  explicit OwnBlocks(const ResNetCfg& cfg) : c(cfg) {}
  std::unique_ptr<Module> block(const ResNetPlace& p) const override {
    return p.bottleneck ? resnet_bottleneck(c, p) : resnet_basic(c, p);
  }
};

}  // namespace

ResNet::ResNet(const ResNetCfg& c, const ModelOptions& o) : ResNetFrame(c, o, OwnBlocks(c)) {}

std::string_view name_of(ResNetStem s) {
  constexpr std::string_view names[] = {"conv7", "deep", "tiered"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

SettingsRef frame_settings(ResNetCfg& c) {
  return {setting("layers", c.layers),
          setting("channels", c.channels),
          setting("cardinality", c.cardinality),
          setting("base_width", c.base_width),
          setting("stem_width", c.stem_width),
          setting("stem", c.stem),
          setting("avg_down", c.avg_down),
          setting("stem_conv_pool", c.stem_conv_pool),
          setting("down_kernel", c.down_kernel),
          setting("reduce_first", c.reduce_first),
          setting("attention", c.attention),
          setting("attention_ratio", c.attention_ratio),
          setting("anti_alias", c.anti_alias),
          setting("norm", c.norm),
          setting("act", c.act),
          setting("drop_block_rate", c.drop_block_rate),
          setting("zero_init_last", c.zero_init_last)};
}

SettingsRef settings_of(ResNetCfg& c) {
  SettingsRef all = frame_settings(c);
  all.push_back(setting("block", c.block));
  all.push_back(setting("pruned", c.pruned));
  return all;
}

void Residual::close(const ResNetCfg& c, const ResNetPlace& p, Module& last_norm, std::string_view act_name) {
  if (c.zero_init_last) zero_norm_weight(last_norm);
  se = add("se", channel_attention(c.attention, p.attended, {.ratio = c.attention_ratio}));
  last_act = add(act_name, Activation(c.act));
  if (p.stride != 1 || p.in != p.out) downsample = add("downsample", shortcut(c, p));
  if (p.drop_block.rate > 0) drop_block = add("drop_block", DropBlock2d(p.drop_block));
  if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
}

ResNetFrame::ResNetFrame(const ResNetCfg& c, const ModelOptions& o, const ResNetBlocks& blocks) : Chained(o) {
  int channels = c.stem == ResNetStem::conv7 ? 64 : 2 * c.stem_width;
  if (c.stem == ResNetStem::conv7) add("conv1", Conv2d(o.in_chans.value_or(3), channels, 7, {.stride = 2}));
  else add("conv1", deep_stem(c, o.in_chans.value_or(3), channels));
  add("bn1", norm2d({.kind = c.norm}, channels));
  add("act1", Activation(c.act));
  add("maxpool", c.stem_conv_pool ? conv_pool(c, channels) : stem_pool(c.anti_alias, channels));
  stem("conv1");
  stem("bn1");
  stem("act1", Level::yes);
  stem("maxpool");
  channels = add_stages(c, o, channels, blocks);
  if (c.pruned.empty()) he_normal_convs(*this, Fan::out);
  classifier("fc", channels);
}

std::vector<LayerGroup> ResNetFrame::group_matcher(bool coarse) const {
  return {{0, "^conv1"}, {0, "^bn1"}, {0, "^maxpool"}, {1, coarse ? "^layer#" : "^layer#.#"}};
}

int ResNetFrame::add_stages(const ResNetCfg& c, const ModelOptions& o, int channels, const ResNetBlocks& blocks) {
  const std::array<bool, 4> bottleneck = bottlenecks_of(c.block);
  Dilator strides{.reached = 4, .limit = o.output_stride.value_or(32)};
  DropPathRamp drop_path(o, c.layers);
  Numbers pruned{c.pruned};
  for (size_t s = 0; s < 4; ++s) {
    const Dilator::Step step = strides.next(s == 0 ? 1 : 2);
    ResNetPlace p = place(c, bottleneck[s], c.channels[s]);
    if (!c.pruned.empty()) p.out = pruned.next();
    p.drop_block = {.rate = s >= 2 ? c.drop_block_rate : 0, .size = s == 2 ? 5 : 3, .gamma_scale = s == 2 ? 0.25 : 1};
    p.dilation = step.dilation;
    Sequential stage;
    for (int b = 0; b < c.layers[s]; ++b) {
      if (!c.pruned.empty()) p.mid = pruned.next(), p.width = pruned.next();
      p.in = channels;
      p.stride = b == 0 ? step.stride : 1;
      p.first_dilation = b == 0 ? step.first_dilation : step.dilation;
      p.drop_path = drop_path.next();
      stage.add(blocks.block(p));
      channels = p.out;
    }
    add(str_cat("layer", s + 1), std::move(stage));
    level(str_cat("layer", s + 1));
  }
  return channels;
}

}  // namespace fovea::zoo
