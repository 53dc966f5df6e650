// SPDX-License-Identifier: Apache-2.0
// zoo/families/regnet.cpp — RegNet X, Y, Z and V: widths from a quantised line; timm.models.regnet
#include <algorithm>
#include <charconv>
#include <cmath>

#include "nn/layers/conv_norm_act.h"
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::regnet {
namespace {

// where a block changes the shape: a convolution, pooling and a convolution, nothing
enum class Shortcut : uint8_t { conv, avg, none };
constexpr std::string_view name_of(Shortcut s) {
  constexpr std::string_view names[] = {"conv", "avg", "none"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

struct Cfg {
  int depth = 21, w0 = 80;                         // blocks in all; width of the first
  // growth of the width a block; what widths are rounded to: w0 times powers of wm
  double wa = 42.63, wm = 2.66;
  int group_size = 24;
  double bottle_ratio = 1;                         // channels in the middle of a block, of those at its end
  double se_ratio = 0;                             // of a block's input; 0: no squeeze
  double group_min_ratio = 0;                      // not 0: torchvision's rounding of widths to groups
  int stem_width = 32;
  Shortcut shortcut = Shortcut::conv;
  bool linear_out = false;                         // no activation behind the sum
  bool preact = false;                             // norm and activation in front of convolutions
  int features = 0;                                // of a convolution behind the last stage; 0: there is none
  Act act = act::relu;
  NormSpec::Kind norm = NormSpec::Kind::batch;
  int norm_group_size = 0;
  bool zero_init_last = true;
};
FOVEA_SETTINGS(Cfg, depth, w0, wa, wm, group_size, bottle_ratio, se_ratio, group_min_ratio, stem_width, shortcut,
               linear_out, preact, features, act, norm, norm_group_size, zero_init_last)

NormSpec norm_of(const Cfg& c) { return {.kind = c.norm, .group_size = c.norm_group_size}; }
int round_even(double v) { return static_cast<int>(std::nearbyint(v)); }

struct Stage {
  int width = 0, depth = 0, group_size = 0;
};

// Blocks of one width are a stage; https://arxiv.org/abs/2003.13678, section 3.3. In float, as the published widths
// were found.
std::array<Stage, 4> stages_of(const Cfg& c) {
  const auto refuse = [&](std::string_view why) -> Error {
    return {Error::Kind::argument, str_cat("depth ", c.depth, ", w0 ", c.w0, ", wa ", c.wa, ", wm ", c.wm, " ", why)};
  };
  if (!(c.wa >= 0) || c.w0 < 1 || c.w0 % 8 != 0 || !(c.wm > 1) || c.depth < 4 || c.depth > 1000 || c.group_size < 1 ||
      !(c.bottle_ratio > 0))
    throw refuse("give no widths");
  std::vector<Stage> found;
  for (int i = 0; i < c.depth; ++i) {
    const float w0 = static_cast<float>(c.w0), wm = static_cast<float>(c.wm),
                line = static_cast<float>(i) * static_cast<float>(c.wa) + w0;
    const float power = std::nearbyint(std::log(line / w0) / std::log(wm));
    const int width = static_cast<int>(std::nearbyint(w0 * std::pow(wm, power) / 8)) * 8;
    if (found.empty() || found.back().width != width) found.push_back({.width = width, .group_size = c.group_size});
    ++found.back().depth;
  }
  if (found.size() != 4) throw refuse(str_cat("give ", found.size(), " stages, not 4"));
  std::array<Stage, 4> stages;
  std::ranges::copy(found, stages.begin());
  for (Stage& s : stages) {
    int middle = static_cast<int>(s.width * c.bottle_ratio);
    s.group_size = std::min(s.group_size, middle);
    if (c.group_min_ratio > 0) middle = make_divisible(middle, s.group_size, 1, c.group_min_ratio);
    else middle = round_even(static_cast<double>(middle) / s.group_size) * s.group_size;
    s.width = static_cast<int>(middle / c.bottle_ratio);
  }
  return stages;
}

struct BlockOptions {
  int in = 0, out = 0, group_size = 1;
  int stride = 1, first_dilation = 1, dilation = 1;
  double drop_path = 0;
};

ConvNormActOptions conv_options(const Cfg& c, const Conv2dOptions& conv, bool with_act) {
  return {.conv = conv, .norm = norm_of(c), .act = with_act ? c.act : act::none};
}

std::unique_ptr<Module> shortcut(const Cfg& c, const BlockOptions& p) {
  const Conv2dOptions conv{.stride = c.shortcut == Shortcut::avg ? 1 : p.stride};
  std::unique_ptr<Module> project;
  if (c.preact) project = std::make_unique<Conv2d>(p.in, p.out, 1, conv);
  else project = std::make_unique<ConvNormAct>(p.in, p.out, 1, conv_options(c, conv, false));
  if (c.shortcut != Shortcut::avg) return project;
  auto pooled = std::make_unique<Sequential>();
  pooled->add(shortcut_pool(p.stride, p.first_dilation));
  pooled->add(std::move(project));
  return pooled;
}

// What both blocks share: the middle convolution's shape, the squeeze, the sum.
struct Residual : Module {
  int middle;
  Conv2dOptions grouped;
  Maybe<Module> se, downsample, drop_path;
  bool joins = true;

  Residual(const Cfg& c, const BlockOptions& p) : middle(round_even(p.out * c.bottle_ratio)) {
    grouped = {.stride = p.stride, .dilation = p.first_dilation, .groups = middle / p.group_size};
  }
  void squeeze(const Cfg& c, const BlockOptions& p) {
    if (c.se_ratio > 0) se = add("se", SEModule(middle, {.channels = round_even(p.in * c.se_ratio), .act = c.act}));
  }
  void close(const Cfg& c, const BlockOptions& p) {
    const bool changes = p.in != p.out || p.stride != 1 || p.first_dilation != p.dilation;
    joins = !changes || c.shortcut != Shortcut::none;
    if (changes && joins) downsample = add("downsample", shortcut(c, p));
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor join(const Tensor& y, const Tensor& x) { return joins ? drop_path(y) + downsample(x) : y; }
};

struct Bottleneck final : Residual {
  Ref<ConvNormAct> conv1, conv2, conv3;
  Maybe<Module> act3;
  Bottleneck(const Cfg& c, const BlockOptions& p) : Residual(c, p) {
    conv1 = add("conv1", ConvNormAct(p.in, middle, 1, conv_options(c, {}, true)));
    conv2 = add("conv2", ConvNormAct(middle, middle, 3, conv_options(c, grouped, true)));
    squeeze(c, p);
    conv3 = add("conv3", ConvNormAct(middle, p.out, 1, conv_options(c, {}, false)));
    if (c.zero_init_last) zero_norm_weight(*conv3->bn);
    if (!c.linear_out) act3 = add("act3", Activation(c.act));
    close(c, p);
  }
  Tensor forward(const Tensor& x) override { return act3(join(conv3(se(conv2(conv1(x)))), x)); }
};

struct PreBottleneck final : Residual {
  Ref<Module> norm1, conv1, norm2, conv2, norm3, conv3;
  PreBottleneck(const Cfg& c, const BlockOptions& p) : Residual(c, p) {
    norm1 = add("norm1", norm_act2d(norm_of(c), p.in, c.act));
    conv1 = add("conv1", Conv2d(p.in, middle, 1));
    norm2 = add("norm2", norm_act2d(norm_of(c), middle, c.act));
    conv2 = add("conv2", Conv2d(middle, middle, 3, grouped));
    squeeze(c, p);
    norm3 = add("norm3", norm_act2d(norm_of(c), middle, c.act));
    conv3 = add("conv3", Conv2d(middle, p.out, 1));
    close(c, p);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = norm1(x);
    return join(conv3(norm3(se(conv2(norm2(conv1(y)))))), y);
  }
};

class RegNet final : public HeadedModel {
 public:
  RegNet(const Cfg& c, const ModelOptions& o) : HeadedModel(o) {
    const int in = o.in_chans.value_or(3);
    if (c.preact) stem_ = add("stem", Conv2d(in, c.stem_width, 3, {.stride = 2}));
    else stem_ = add("stem", ConvNormAct(in, c.stem_width, 3, conv_options(c, {.stride = 2}, true)));
    int channels = add_stages(c, o);
    if (c.features > 0) {
      final_conv_ = add("final_conv", ConvNormAct(channels, c.features, 1, conv_options(c, {}, true)));
      channels = c.features;
    } else if (c.linear_out || c.preact) {
      final_conv_ = add("final_conv", Activation(c.act));
    }
    head(channels);
    he_normal_convs(*this, Fan::group_out);
    zero_biases(*this);
    if (auto* fc = dynamic_cast<Linear*>(find("head.fc"))) fc->weight.slot().init = init::normal(0.01);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = stem_(image);
    if (tap("stem", x)) return x;
    for (const Ref<Sequential>& stage : stages_) {
      x = run(*stage, x);
      if (tap(stage->name(), x)) return x;
    }
    return final_conv_(x);
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^stem"}, {1, coarse ? "^s#" : "^s#.b#"}};
  }

 protected:
  AfterLevels after_levels() const override {
    if (!dynamic_cast<const ConvNormAct*>(final_conv_.get())) return {};
    return {.norms = {}, .convs = {"final_conv"}};
  }

 private:
  int add_stages(const Cfg& c, const ModelOptions& o) {
    const std::array<Stage, 4> stages = stages_of(c);
    Dilator strides{.reached = 2, .limit = o.output_stride.value_or(32)};
    DropPathRamp drop_path(o, c.depth);
    int channels = c.stem_width;
    for (size_t s = 0; s < 4; ++s) {
      const Dilator::Step step = strides.next(2);
      Sequential blocks;
      for (int b = 0; b < stages[s].depth; ++b) {
        const BlockOptions p{.in = channels,
                      .out = stages[s].width,
                      .group_size = stages[s].group_size,
                      .stride = b == 0 ? step.stride : 1,
                      .first_dilation = b == 0 ? step.first_dilation : step.dilation,
                      .dilation = step.dilation,
                      .drop_path = drop_path.next()};
        if (c.preact) blocks.add(str_cat("b", b + 1), PreBottleneck(c, p));
        else blocks.add(str_cat("b", b + 1), Bottleneck(c, p));
        channels = p.out;
      }
      stages_[s] = add(str_cat("s", s + 1), std::move(blocks));
    }
    return channels;
  }

  Ref<Module> stem_;
  std::array<Ref<Sequential>, 4> stages_;
  Maybe<Module> final_conv_;
};

// torchvision's names and those of VISSL and ClassyVision (SEER), whose blocks both count from 0.
constexpr Rename kForeign[] = {
    {"^classy_state_dict.base_model.model.trunk", "trunk"},
    {"^classy_state_dict.base_model.model.heads", "heads"},
    {"^trunk._feature_blocks", "_feature_blocks"},
    {"^heads.0.clf.0", "head.fc"},
    {"^heads.**", nullptr},
    {"^_feature_blocks.conv1.stem.0", "stem.conv"},
    {"^_feature_blocks.conv1.stem.1", "stem.bn"},
    {"^_feature_blocks.*.block#-#", "block$2-$3"},
    {"^trunk_output.block#.block#-#", "block$1-$3"},
    {"^stem.0", "stem.conv"},
    {"^stem.1", "stem.bn"},
    {"f.a.0", "conv1.conv"},
    {"f.a.1", "conv1.bn"},
    {"f.b.0", "conv2.conv"},
    {"f.b.1", "conv2.bn"},
    {"f.final_bn", "conv3.bn"},
    {"f.se.excitation.0", "se.fc1"},
    {"f.se.excitation.2", "se.fc2"},
    {"f.se", "se"},
    {"f.c.0", "conv3.conv"},
    {"f.c.1", "conv3.bn"},
    {"f.c", "conv3.conv"},
    {"proj.0", "downsample.conv"},
    {"proj.1", "downsample.bn"},
    {"proj", "downsample.conv"},
    {"^block*.bn", "block$1.downsample.bn"},
    {"^fc", "head.fc"},
};

// "block2-0" -> "s2.b1".
std::string counted_from_one(const std::string& name) {
  if (!name.starts_with("block")) return name;
  const size_t dash = name.find('-'), dot = name.find('.');
  if (dash == std::string::npos || dot == std::string::npos || dash > dot) return name;
  int block = 0;
  const auto [end, error] = std::from_chars(name.data() + dash + 1, name.data() + dot, block);
  if (error != std::errc() || end != name.data() + dot || block > 1000) return name;
  return str_cat("s", name.substr(5, dash - 5), ".b", block + 1, name.substr(dot));
}

StateDict adapt(ImageModel&, StateDict weights) {
  const auto foreign = [](const std::string& name) { return name.find("block1-0.") != std::string::npos; };
  if (std::ranges::none_of(weights, [&](const auto& entry) { return foreign(entry.first); })) return weights;
  const StateDict renamed = rename(weights, kForeign);
  StateDict out;
  for (const auto& [name, tensor] : renamed) out.set(counted_from_one(name), tensor);
  return out;
}

#include "zoo/families/regnet_variants.inc"

}  // namespace

FOVEA_FAMILY(regnet, RegNet, variants, .accepts = {.output_stride = true, .least_output_stride = 8}, .adapt = adapt)
}  // namespace fovea::zoo::regnet
