// SPDX-License-Identifier: Apache-2.0
// zoo/families/inception_resnet_v2.cpp — Inception-ResNet-v2: branches that end in a residual;
// timm.models.inception_resnet_v2
#include "zoo/blocks/chained.h"
#include "zoo/blocks/inception.h"
#include "zoo/family.h"

namespace fovea::zoo::inception_resnet_v2 {
namespace {

using Cfg = InceptionCfg;

constexpr Size2 kRow7{1, 7}, kColumn7{7, 1}, kRow3{1, 3}, kColumn3{3, 1};
MaxPool2d largest() { return MaxPool2d(3, {.stride = 2, .padding = 0}); }

// Branches, a convolution back to the channels that came, and a share of it added to them.
struct Residual final : Branches {
  Ref<Module> conv2d;
  double scale;
  bool activates = true;
  explicit Residual(double share) : scale(share) {}
  void close(int in, int out) { conv2d = add("conv2d", Conv2d(in, out, 1, {.bias = true})); }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv2d(Branches::forward(x)) * scale + x;
    return activates ? relu(y) : y;
  }
};

Branches mixed_5b(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_conv(c, 192, {96}));
  b.branch("branch1", inception_chain(c, 192, {{48}, {64, 5}}));
  b.branch("branch2", inception_chain(c, 192, {{64}, {96, 3}, {96, 3}}));
  b.branch("branch3", inception_pool(c, 192, 64));
  return b;
}
Residual block_35(const Cfg& c) {
  Residual b(0.17);
  b.branch("branch0", inception_conv(c, 320, {32}));
  b.branch("branch1", inception_chain(c, 320, {{32}, {32, 3}}));
  b.branch("branch2", inception_chain(c, 320, {{32}, {48, 3}, {64, 3}}));
  b.close(128, 320);
  return b;
}
Branches mixed_6a(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_conv(c, 320, {384, 3, 2}));
  b.branch("branch1", inception_chain(c, 320, {{256}, {256, 3}, {384, 3, 2}}));
  b.branch("branch2", largest());
  return b;
}
Residual block_17(const Cfg& c) {
  Residual b(0.1);
  b.branch("branch0", inception_conv(c, 1088, {192}));
  b.branch("branch1", inception_chain(c, 1088, {{128}, {160, kRow7}, {192, kColumn7}}));
  b.close(384, 1088);
  return b;
}
Branches mixed_7a(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_chain(c, 1088, {{256}, {384, 3, 2}}));
  b.branch("branch1", inception_chain(c, 1088, {{256}, {288, 3, 2}}));
  b.branch("branch2", inception_chain(c, 1088, {{256}, {288, 3}, {320, 3, 2}}));
  b.branch("branch3", largest());
  return b;
}
Residual block_8(const Cfg& c, double scale = 0.2) {
  Residual b(scale);
  b.branch("branch0", inception_conv(c, 2080, {192}));
  b.branch("branch1", inception_chain(c, 2080, {{192}, {224, kRow3}, {256, kColumn3}}));
  b.close(448, 2080);
  return b;
}

template <class Make>
Sequential repeated(const Cfg& c, int times, Make make) {
  Sequential s;
  for (int i = 0; i < times; ++i) s.add(make(c));
  return s;
}

class InceptionResNetV2 final : public Chained<ImageModel> {
 public:
  InceptionResNetV2(const Cfg& c, const ModelOptions& o) : Chained(o) {
    add("conv2d_1a", inception_conv(c, o.in_chans.value_or(3), {32, 3, 2}));
    add("conv2d_2a", inception_conv(c, 32, {32, 3, 1, Windows::inside}));
    add("conv2d_2b", inception_conv(c, 32, {64, 3}));
    add("maxpool_3a", largest());
    add("conv2d_3b", inception_conv(c, 64, {80}));
    add("conv2d_4a", inception_conv(c, 80, {192, 3, 1, Windows::inside}));
    add("maxpool_5a", largest());
    add("mixed_5b", mixed_5b(c));
    add("repeat", repeated(c, 10, block_35));
    add("mixed_6a", mixed_6a(c));
    add("repeat_1", repeated(c, 20, block_17));
    add("mixed_7a", mixed_7a(c));
    add("repeat_2", repeated(c, 9, [](const Cfg& each) { return block_8(each); }));
    Residual last = block_8(c, 1);
    last.activates = false;
    add("block8", std::move(last));
    add("conv2d_7b", inception_conv(c, 2080, {1536}));
    for (const char* name : {"conv2d_1a", "conv2d_2a"}) stem(name);
    stem("conv2d_2b", Level::yes);
    for (const char* name : {"maxpool_3a", "conv2d_3b"}) stem(name);
    stem("conv2d_4a", Level::yes);
    for (const char* name : {"maxpool_5a", "mixed_5b"}) part(name);
    level("repeat");
    part("mixed_6a");
    level("repeat_1");
    for (const char* name : {"mixed_7a", "repeat_2", "block8"}) part(name);
    level("conv2d_7b");
    classifier("classif", 1536);
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^conv2d_1a"},  {0, "^conv2d_2a"}, {0, "^conv2d_2b"}, {1, "^conv2d_3b"},  {1, "^conv2d_4a"},
            {2, "^mixed_5b"},   {3, "^repeat.#"},  {4, "^mixed_6a"},  {5, "^repeat_1.#"}, {6, "^mixed_7a"},
            {7, "^repeat_2.#"}, {8, "^block8"},    {8, "^conv2d_7b"}};
  }
};

constexpr Variant<Cfg> variants[] = {{"inception_resnet_v2", {}}};

}  // namespace

FOVEA_FAMILY(inception_resnet_v2, InceptionResNetV2, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::inception_resnet_v2
