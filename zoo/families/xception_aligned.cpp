// SPDX-License-Identifier: Apache-2.0
// zoo/families/xception_aligned.cpp — Xception as DeepLab changed it, also with its norms first;
// timm.models.xception_aligned
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::xception_aligned {
namespace {

struct Cfg {
  int middle = 16;          // blocks that keep size and channels
  bool deep_entry = false;  // two blocks more in front of those
  bool preact = false;      // norms and activations in front of convolutions
  double norm_eps = 1e-3;
  Act act_layer = act::relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
};
FOVEA_SETTINGS(Cfg, middle, deep_entry, preact, norm_eps, act_layer, norm_layer)

NormSpec norm_of(const Cfg& c) { return {.kind = c.norm_layer, .eps = c.norm_eps}; }

struct BlockOptions {
  int in;
  std::array<int, 3> out;
  int stride = 1;
  bool last = false;  // without skip; its activations stand behind the norms
  int dilation = 1;
  double drop_path = 0;
};

struct SeparableOf {
  int stride, dilation;
  bool act;  // behind the norms; with norms first: whether there is one
};
Conv2d depthwise(int channels, const SeparableOf& o) {
  return {channels, channels, 3, {.stride = o.stride, .dilation = o.dilation, .groups = channels}};
}

struct SeparableConv final : Module {
  Ref<Module> conv_dw, bn_dw, conv_pw, bn_pw;
  SeparableConv(const Cfg& c, int in, int out, const SeparableOf& o) {
    const Act act = o.act ? c.act_layer : act::none;
    conv_dw = add("conv_dw", depthwise(in, o));
    bn_dw = add("bn_dw", norm_act2d(norm_of(c), in, act));
    conv_pw = add("conv_pw", Conv2d(in, out, 1));
    bn_pw = add("bn_pw", norm_act2d(norm_of(c), out, act));
  }
  Tensor forward(const Tensor& x) override { return bn_pw(conv_pw(bn_dw(conv_dw(x)))); }
};

struct PreSeparableConv final : Module {
  Maybe<Module> norm;
  Ref<Module> conv_dw, conv_pw;
  PreSeparableConv(const Cfg& c, int in, int out, const SeparableOf& o) {
    if (o.act) norm = add("norm", norm_act2d(norm_of(c), in, c.act_layer));
    conv_dw = add("conv_dw", depthwise(in, o));
    conv_pw = add("conv_pw", Conv2d(in, out, 1));
  }
  Tensor forward(const Tensor& x) override { return conv_pw(conv_dw(norm(x))); }
};

// Gives its result and what its last convolution reads, where a level may end.
struct Block final : Joint {
  Maybe<Module> shortcut, norm, drop_path;
  Ref<Sequential> stack;
  bool skips;
  Block(const Cfg& c, const BlockOptions& p) : skips(!p.last) {
    const int out = p.out[2];
    if (skips && (p.in != out || p.stride != 1)) {
      if (c.preact) shortcut = add("shortcut", Conv2d(p.in, out, 1, {.stride = p.stride}));
      else
        shortcut = add("shortcut",
                       ConvNormAct(p.in, out, 1, {.conv{.stride = p.stride}, .norm = norm_of(c), .act = act::none}));
    }
    if (c.preact) norm = add("norm", norm_act2d(norm_of(c), p.in, c.act_layer));
    Sequential s;
    for (int i = 0; i < 3; ++i) {
      const int in = i == 0 ? p.in : p.out[static_cast<size_t>(i) - 1], to = p.out[static_cast<size_t>(i)];
      const int stride = i == 2 ? p.stride : 1;
      if (!c.preact && !p.last) s.add(str_cat("act", i + 1), Activation(c.act_layer));
      if (c.preact) s.add(str_cat("conv", i + 1), PreSeparableConv(c, in, to, {stride, p.dilation, i > 0}));
      else s.add(str_cat("conv", i + 1), SeparableConv(c, in, to, {stride, p.dilation, p.last}));
    }
    stack = add("stack", std::move(s));
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }

 protected:
  Tensors pass(std::span<const Tensor> x) override {
    const Tensor skipped = norm(x[0]);
    Tensor y = skipped, level;
    const auto& parts = stack->children();
    for (const auto& part : parts) {
      level = y;
      const Scope scope("stack");
      y = (*part)(y);
    }
    if (parts.back()->vacant() || !skips) return {y, level};  // pruned models end at the level
    return {drop_path(y) + shortcut(skipped), level};
  }
};

class XceptionAligned final : public HeadedModel {
 public:
  XceptionAligned(const Cfg& c, const ModelOptions& o) : HeadedModel(o) {
    const ConvNormActOptions strided{.conv{.stride = 2}, .norm = norm_of(c), .act = c.act_layer};
    const ConvNormActOptions plain{.conv{}, .norm = norm_of(c), .act = c.act_layer};
    Sequential stem;
    stem.add(ConvNormAct(o.in_chans.value_or(3), 32, 3, strided));
    if (c.preact) stem.add(Conv2d(32, 64, 3));
    else stem.add(ConvNormAct(32, 64, 3, plain));
    stem_ = add("stem", std::move(stem));
    add_blocks(c, o, places_of(c));
    if (c.preact) act_ = add("act", Activation(c.act_layer));
    level_name_ = c.preact ? ".stack.conv2" : ".stack.act3";
    head(2048);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensors x{stem_(image)};
    const auto& blocks = blocks_->children();
    for (size_t i = 0; i < blocks.size(); ++i) {
      {
        const Scope scope("blocks");
        x = run(dynamic_cast<Block&>(*blocks[i]), std::span(x.data(), 1));
      }
      if (strided_[i] && tap(str_cat("blocks.", i, level_name_), x[1])) return x[0];
    }
    if (tap(str_cat("blocks.", blocks.size() - 1), x[0])) return x[0];
    return act_(x[0]);
  }

  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^stem"}, {1, "^blocks.#"}}; }

 protected:
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {}, .beside = {"shortcut"}}; }

 private:
  static std::vector<BlockOptions> places_of(const Cfg& c) {
    constexpr int mid = 728;
    std::vector<BlockOptions> all;
    const auto even = [&](int in, int out, int stride) {
      all.push_back({.in = in, .out{out, out, out}, .stride = stride});
    };
    even(64, 128, 2);
    even(128, 256, c.deep_entry ? 1 : 2);
    if (c.deep_entry) even(256, 256, 2);
    even(256, mid, c.deep_entry ? 1 : 2);
    if (c.deep_entry) even(mid, mid, 2);
    for (int i = 0; i < c.middle; ++i) even(mid, mid, 1);
    all.push_back({.in = mid, .out{mid, 1024, 1024}, .stride = 2});
    all.push_back({.in = 1024, .out{1536, 1536, 2048}, .last = true});
    return all;
  }

  void add_blocks(const Cfg& c, const ModelOptions& o, std::vector<BlockOptions> places) {
    Dilator strides{.reached = 2, .limit = o.output_stride.value_or(32)};
    DropPathRamp drop_path(o, static_cast<int>(places.size()));
    Sequential blocks;
    for (BlockOptions& p : places) {
      strided_.push_back(p.stride > 1);
      const Dilator::Step step = strides.next(p.stride);
      p.stride = step.stride;
      p.dilation = step.first_dilation;
      p.drop_path = drop_path.next();
      blocks.add(Block(c, p));
    }
    blocks_ = add("blocks", std::move(blocks));
  }

  Ref<Module> stem_;
  Ref<Sequential> blocks_;
  Maybe<Module> act_;
  std::vector<bool> strided_;
  std::string_view level_name_;
};

constexpr Variant<Cfg> variants[] = {
    {"xception41", {.middle = 8}},
    {"xception41p", {.middle = 8, .preact = true, .norm_eps = 1e-5}},
    {"xception65", {}},
    {"xception65p", {.preact = true}},
    {"xception71", {.deep_entry = true}},
};

}  // namespace

FOVEA_FAMILY(xception_aligned, XceptionAligned, variants, .accepts = {.output_stride = true, .least_output_stride = 8})
}  // namespace fovea::zoo::xception_aligned
