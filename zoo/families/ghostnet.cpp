// SPDX-License-Identifier: Apache-2.0
// zoo/families/ghostnet.cpp — GhostNet 1 to 3: half of the channels are cheap copies of the others;
// timm.models.ghostnet
#include "nn/fuse.h"
#include "zoo/blocks/ghost.h"
#include "zoo/family.h"

namespace fovea::zoo::ghostnet {
namespace {

enum class Version : uint8_t { v1, v2, v3 };
constexpr std::string_view name_of(Version v) {
  constexpr std::string_view names[] = {"v1", "v2", "v3"};
  return static_cast<size_t>(v) < std::size(names) ? names[static_cast<size_t>(v)] : std::string_view();
}

struct Cfg {
  double width = 1;
  Version version = Version::v1;
};
FOVEA_SETTINGS(Cfg, width, version)

// A gate from afar: rows and columns of an image of half the size.
struct LongRange final : Sequential {
  LongRange(int in, int out) {
    add(Conv2d(in, out, 1));
    add(BatchNorm2d(out));
    for (const Size2 kernel : {Size2(1, 5), Size2(5, 1)}) {
      add(Conv2d(out, out, kernel, {.groups = out}));
      add(BatchNorm2d(out));
    }
  }
  Tensor forward(const Tensor& x) override {
    return sigmoid(Sequential::forward(avg_pool(x, {.kernel{2, 2}, .stride{2, 2}})));
  }
};

struct GhostOf {
  Act act = act::relu;
  bool gated = false;
};

// What the versions share: half of the result is made of the other half.
struct GhostModule : Module {
  Maybe<Module> short_conv;
  Tensor joined(const Tensor& x, const Tensor& half, const Tensor& cheap) const {
    const Tensor y = cat({half, cheap}, 1);
    return short_conv ? y * interpolate(short_conv(x), {y.dim(2), y.dim(3)}) : y;
  }
};

struct PlainGhost final : GhostModule {
  Ref<Module> primary_conv, cheap_operation;
  PlainGhost(int in, int out, const GhostOf& o) {
    const int half = out / 2;
    const auto chain = [&](const char* name, Conv2d conv) {
      Sequential s;
      s.add(std::move(conv));
      s.add(BatchNorm2d(half, {}, o.act));
      return add(name, std::move(s));
    };
    primary_conv = chain("primary_conv", Conv2d(in, half, 1));
    cheap_operation = chain("cheap_operation", Conv2d(half, half, 3, {.groups = half}));
    if (o.gated) short_conv = add("short_conv", LongRange(in, out));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor half = primary_conv(x);
    return joined(x, half, cheap_operation(half));
  }
};

struct ConvBn final : Module {
  Ref<Module> conv, bn1;
  ConvBn(int in, int out, int kernel, int stride, int groups) {
    conv = add("conv", Conv2d(in, out, kernel, {.stride = stride, .groups = groups}));
    bn1 = add("bn1", BatchNorm2d(out));
  }
  Tensor forward(const Tensor& x) override { return bn1(conv(x)); }
};

// Three alike.
struct Triple final : Sequential {
  Triple(int in, int out, int kernel, int stride, int groups) {
    for (int i = 0; i < 3; ++i) add(ConvBn(in, out, kernel, stride, groups));
  }
  const Conv2d& first() { return dynamic_cast<Conv2d&>(*find("0.conv")); }
  Tensor forward(const Tensor& x) override {
    Tensor y = (*children()[0])(x);
    for (size_t i = 1; i < children().size(); ++i) y = y + (*children()[i])(x);
    return y;
  }
};

struct BranchedGhost final : GhostModule, Fusible {
  Ref<Triple> primary_rpr_conv, cheap_rpr_conv;
  Ref<Module> primary_activation, cheap_rpr_skip, cheap_rpr_scale, cheap_activation;
  Ref<Module> primary_conv, cheap_operation;  // what the branches become
  bool fused = false;
  BranchedGhost(int in, int out, const GhostOf& o) {
    const int half = out / 2;
    primary_conv = add("primary_conv", Identity());
    cheap_operation = add("cheap_operation", Identity());
    primary_rpr_conv = add("primary_rpr_conv", Triple(in, half, 1, 1, 1));
    primary_activation = add("primary_activation", Activation(o.act));
    cheap_rpr_skip = add("cheap_rpr_skip", BatchNorm2d(half));
    cheap_rpr_conv = add("cheap_rpr_conv", Triple(half, half, 3, 1, half));
    cheap_rpr_scale = add("cheap_rpr_scale", ConvBn(half, half, 1, 1, half));
    cheap_activation = add("cheap_activation", Activation(o.act));
    if (o.gated) short_conv = add("short_conv", LongRange(in, out));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor half = primary_activation(fused ? primary_conv(x) : primary_rpr_conv(x));
    return joined(x, half, cheap_activation(fused ? cheap_operation(half) : cheap(half)));
  }
  void fuse() override {
    if (fused) return;
    Sequential primary, copies;
    primary.add(fused_conv(*this, primary_rpr_conv->first(),
                           Branches([this](const Tensor& x) { return primary_rpr_conv(x); })));
    copies.add(fused_conv(*this, cheap_rpr_conv->first(), Branches([this](const Tensor& x) { return cheap(x); })));
    give_up({primary_rpr_conv.get(), cheap_rpr_skip.get(), cheap_rpr_conv.get(), cheap_rpr_scale.get()});
    primary_conv = replace("primary_conv", std::make_unique<Sequential>(std::move(primary)));
    cheap_operation = replace("cheap_operation", std::make_unique<Sequential>(std::move(copies)));
    fused = true;
  }

 private:
  Tensor cheap(const Tensor& half) { return cheap_rpr_scale(half) + cheap_rpr_skip(half) + cheap_rpr_conv(half); }
};

struct BranchedBottleneck final : GhostBottleneck, Fusible {
  Maybe<Triple> dw_rpr_conv;
  Maybe<Module> dw_rpr_scale;
  Ref<Module> conv_dw;  // what the branches become
  bool fused = false;
  BranchedBottleneck(const GhostPlace& p, bool gated) {
    conv_dw = add("conv_dw", Identity());
    begin(std::make_unique<BranchedGhost>(p.in, p.mid, GhostOf{.gated = gated}));
    if (p.stride > 1) {
      dw_rpr_conv = add("dw_rpr_conv", Triple(p.mid, p.mid, p.kernel, p.stride, p.mid));
      dw_rpr_scale = add("dw_rpr_scale", ConvBn(p.mid, p.mid, 1, p.stride, p.mid));
    }
    end(p, std::make_unique<BranchedGhost>(p.mid, p.out, GhostOf{.act = act::none}));
  }
  void fuse() override {
    if (!dw_rpr_conv || fused) return;
    std::unique_ptr<Conv2d> conv =
        fused_conv(*this, dw_rpr_conv->first(), Branches([this](const Tensor& x) { return branches(x); }));
    give_up({dw_rpr_conv.get(), dw_rpr_scale.get()});
    conv_dw = replace("conv_dw", std::move(conv));
    fused = true;
  }

 private:
  Tensor branches(const Tensor& x) { return dw_rpr_scale(x) + dw_rpr_conv(x); }
  Tensor strided(const Tensor& x) override { return dw_rpr_conv && !fused ? branches(x) : conv_dw(x); }
};

class GhostNet final : public GhostModel {
 public:
  GhostNet(const Cfg& c, const ModelOptions& o) : GhostModel(o) {
    const std::vector<GhostPlace> places = ghost_places(c.width, kExpanded);
    std::vector<std::unique_ptr<Module>> blocks;
    for (const GhostPlace& p : places) blocks.push_back(block(c, p, blocks.size()));
    build(o, places, std::move(blocks), make_divisible(kExpanded.back() * c.width, 4));
  }

 private:
  static constexpr std::array<int, kGhostBlocks> kExpanded{16,  48,  72,  72,  120, 240, 200, 184,
                                                           184, 480, 672, 672, 960, 960, 960, 960};
  static std::unique_ptr<Module> block(const Cfg& c, const GhostPlace& p, size_t index) {
    const bool gated = c.version != Version::v1 && index > 1;
    if (c.version == Version::v3) return std::make_unique<BranchedBottleneck>(p, gated);
    return std::make_unique<GhostBottleneck>(p, std::make_unique<PlainGhost>(p.in, p.mid, GhostOf{.gated = gated}),
                                             std::make_unique<PlainGhost>(p.mid, p.out, GhostOf{.act = act::none}));
  }
};

// The third version's own code calls its norms otherwise, and counts operations.
constexpr Rename kThird[] = {
    {"ghost#.**.bn", "ghost$1.$2.bn1"},
    {"dw_rpr_conv.#.bn", "dw_rpr_conv.$1.bn1"},
    {"dw_rpr_scale.bn", "dw_rpr_scale.bn1"},
    {"total*", nullptr},
};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("blocks.0.0.ghost1.primary_conv.0.bias")) fuse(model);
  return weights;
}

constexpr Variant<Cfg> variants[] = {
    {"ghostnet_050", {.width = 0.5}},
    {"ghostnet_100", {}},
    {"ghostnet_130", {.width = 1.3}},
    {"ghostnetv2_100", {.version = Version::v2}},
    {"ghostnetv2_130", {.width = 1.3, .version = Version::v2}},
    {"ghostnetv2_160", {.width = 1.6, .version = Version::v2}},
    {"ghostnetv3_050", {.width = 0.5, .version = Version::v3}},
    {"ghostnetv3_100", {.version = Version::v3}},
    {"ghostnetv3_130", {.width = 1.3, .version = Version::v3}},
    {"ghostnetv3_160", {.width = 1.6, .version = Version::v3}},
};

}  // namespace

FOVEA_FAMILY(ghostnet, GhostNet, variants, .accepts = {.drop_path_rate = false}, .renames = kThird, .adapt = adapt)
}  // namespace fovea::zoo::ghostnet
