// SPDX-License-Identifier: Apache-2.0
// zoo/families/dpn.cpp — Dual Path Networks: channels that are added to, and channels that grow; timm.models.dpn
#include "zoo/blocks/chained.h"
#include "zoo/family.h"

namespace fovea::zoo::dpn {
namespace {

struct Cfg {
  std::array<int, 4> k_sec{3, 4, 20, 3};        // blocks of the stages
  std::array<int, 4> inc_sec{16, 32, 24, 128};  // channels by which a block grows
  int k_r = 96;                                 // channels in the middle of the first stage's blocks
  int groups = 32;
  bool small = false;
  int num_init_features = 64;
  bool b = false;             // the two paths of a block have last convolutions of their own
  Act act_layer = act::relu;  // of the stem and the last norm; blocks have ReLU
};
FOVEA_SETTINGS(Cfg, k_sec, inc_sec, k_r, groups, small, num_init_features, b, act_layer)

constexpr NormSpec kNorm{.eps = 1e-3};

struct BnAct final : Module {
  Ref<Module> bn;
  BnAct(int channels, const Act& act) { bn = add("bn", norm_act2d(kNorm, channels, act)); }
  Tensor forward(const Tensor& x) override { return bn(x); }
};

struct BnActConv final : Module {
  Ref<Module> bn, conv;
  BnActConv(int in, int out, int kernel, const Conv2dOptions& o = {}) {
    bn = add("bn", norm_act2d(kNorm, in, act::relu));
    conv = add("conv", Conv2d(in, out, kernel, o));
  }
  Tensor forward(const Tensor& x) override { return conv(bn(x)); }
};

struct BlockOptions {
  int in, mid, out, growth, stride;
  bool first;
};

// The first `out` channels are a residual path, those behind them a dense one.
struct DualPathBlock final : Module {
  Maybe<Module> proj, c1x1_c1, c1x1_c2;
  Ref<Module> c1x1_a, c3x3_b, c1x1_c;
  int out;
  DualPathBlock(const Cfg& c, const BlockOptions& p) : out(p.out) {
    if (p.first)
      proj = add(str_cat("c1x1_w_s", p.stride), BnActConv(p.in, p.out + 2 * p.growth, 1, {.stride = p.stride}));
    c1x1_a = add("c1x1_a", BnActConv(p.in, p.mid, 1));
    c3x3_b = add("c3x3_b", BnActConv(p.mid, p.mid, 3, {.stride = p.stride, .groups = c.groups}));
    if (c.b) {
      c1x1_c = add("c1x1_c", BnAct(p.mid, act::relu));
      c1x1_c1 = add("c1x1_c1", Conv2d(p.mid, p.out, 1));
      c1x1_c2 = add("c1x1_c2", Conv2d(p.mid, p.growth, 1));
    } else {
      c1x1_c = add("c1x1_c", BnActConv(p.mid, p.out + p.growth, 1));
    }
  }
  Tensor forward(const Tensor& x) override {
    const Tensor before = proj(x), y = c1x1_c(c3x3_b(c1x1_a(x)));
    const auto residual = [this](const Tensor& t) { return slice(t, 1, 0, out); };
    const auto dense = [this](const Tensor& t) { return slice(t, 1, out, t.dim(1)); };
    const Tensor add = c1x1_c1 ? c1x1_c1(y) : residual(y), more = c1x1_c2 ? c1x1_c2(y) : dense(y);
    return cat({residual(before) + add, dense(before), more}, 1);
  }
};

class Dpn final : public Chained<ImageModel> {
 public:
  Dpn(const Cfg& c, const ModelOptions& o) : Chained(o) {
    Sequential features;
    int channels = c.num_init_features;
    features.add("conv1_1", ConvNormAct(o.in_chans.value_or(3), channels, c.small ? 3 : 7,
                                        {.conv{.stride = 2}, .norm = kNorm, .act = c.act_layer}));
    features.add("conv1_pool", MaxPool2d(3, {.stride = 2, .padding = 1}));
    std::vector<int> ends{0};
    for (size_t i = 0; i < 4; ++i) {
      const int scale = 1 << i;
      BlockOptions p{.in = channels,
              .mid = c.k_r * scale,
              .out = 64 * scale * (c.small ? 1 : 4),
              .growth = c.inc_sec[i],
              .stride = i == 0 ? 1 : 2,
              .first = true};
      for (int j = 1; j <= c.k_sec[i]; ++j) {
        features.add(str_cat("conv", i + 2, '_', j), DualPathBlock(c, p));
        channels = p.first ? p.out + 3 * p.growth : channels + p.growth;
        p.in = channels, p.stride = 1, p.first = false;
      }
      ends.push_back(features.size() - 1);
    }
    last_ = str_cat("features.", features.children().back()->name());
    norm_ = features.add("conv5_bn_ac", BnAct(channels, c.act_layer));
    add("features", std::move(features));
    parts("features", ends);
    classifier("classifier", channels, "avg", Classifier::convolution);
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^features.conv1_1"},
            {.group = 1, .pattern = "^features.conv5_bn_ac", .joins_previous = true},
            {1, coarse ? "^features.conv#_*" : "^features.conv#_#"}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"features.conv5_bn_ac"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override { return tapped.module == last_ ? norm_(tapped.value) : tapped.value; }

 private:
  std::string last_;
  Ref<Module> norm_;
};

constexpr Cfg small(bool b, int third_stage) {
  return {.k_sec{3, 4, third_stage, 3},
          .inc_sec{16, 32, 32, 64},
          .k_r = 128,
          .small = true,
          .num_init_features = 10,
          .b = b};
}
constexpr Cfg dpn48b() {
  Cfg c = small(true, 6);
  c.act_layer = act::silu;
  return c;
}

constexpr Variant<Cfg> variants[] = {
    {"dpn107", {.k_sec{4, 8, 20, 3}, .inc_sec{20, 64, 64, 128}, .k_r = 200, .groups = 50, .num_init_features = 128}},
    {"dpn131", {.k_sec{4, 8, 28, 3}, .inc_sec{16, 32, 32, 128}, .k_r = 160, .groups = 40, .num_init_features = 128}},
    {"dpn48b", dpn48b()},
    {"dpn68", small(false, 12)},
    {"dpn68b", small(true, 12)},
    {"dpn92", {}},
    {"dpn98", {.k_sec{3, 6, 20, 3}, .inc_sec{16, 32, 32, 128}, .k_r = 160, .groups = 40, .num_init_features = 96}},
};

}  // namespace

FOVEA_FAMILY(dpn, Dpn, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::dpn
