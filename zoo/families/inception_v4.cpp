// SPDX-License-Identifier: Apache-2.0
// zoo/families/inception_v4.cpp — Inception-v4; timm.models.inception_v4
#include "zoo/blocks/chained.h"
#include "zoo/blocks/inception.h"
#include "zoo/family.h"

namespace fovea::zoo::inception_v4 {
namespace {

using Cfg = InceptionCfg;

constexpr Size2 kRow7{1, 7}, kColumn7{7, 1}, kRow3{1, 3}, kColumn3{3, 1};
MaxPool2d largest() { return MaxPool2d(3, {.stride = 2, .padding = 0}); }

Branches mixed_3a(const Cfg& c) {
  Branches b;
  b.branch("maxpool", largest());
  b.branch("conv", inception_conv(c, 64, {96, 3, 2}));
  return b;
}
Branches mixed_4a(const Cfg& c) {
  const InceptionConv last{96, 3, 1, Windows::inside};
  Branches b;
  b.branch("branch0", inception_chain(c, 160, {{64}, last}));
  b.branch("branch1", inception_chain(c, 160, {{64}, {64, kRow7}, {64, kColumn7}, last}));
  return b;
}
Branches mixed_5a(const Cfg& c) {
  Branches b;
  b.branch("conv", inception_conv(c, 192, {192, 3, 2}));
  b.branch("maxpool", largest());
  return b;
}
Branches inception_a(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_conv(c, 384, {96}));
  b.branch("branch1", inception_chain(c, 384, {{64}, {96, 3}}));
  b.branch("branch2", inception_chain(c, 384, {{64}, {96, 3}, {96, 3}}));
  b.branch("branch3", inception_pool(c, 384, 96));
  return b;
}
Branches reduction_a(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_conv(c, 384, {384, 3, 2}));
  b.branch("branch1", inception_chain(c, 384, {{192}, {224, 3}, {256, 3, 2}}));
  b.branch("branch2", largest());
  return b;
}
Branches inception_b(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_conv(c, 1024, {384}));
  b.branch("branch1", inception_chain(c, 1024, {{192}, {224, kRow7}, {256, kColumn7}}));
  b.branch("branch2", inception_chain(c, 1024, {{192}, {192, kColumn7}, {224, kRow7}, {224, kColumn7}, {256, kRow7}}));
  b.branch("branch3", inception_pool(c, 1024, 128));
  return b;
}
Branches reduction_b(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_chain(c, 1024, {{192}, {192, 3, 2}}));
  b.branch("branch1", inception_chain(c, 1024, {{256}, {256, kRow7}, {320, kColumn7}, {320, 3, 2}}));
  b.branch("branch2", largest());
  return b;
}
Branches inception_c(const Cfg& c) {
  Branches b;
  b.branch("branch0", inception_conv(c, 1536, {256}));
  b.branch("branch1_0", inception_conv(c, 1536, {384}));
  b.end("branch1_1a", inception_conv(c, 384, {256, kRow3}));
  b.end("branch1_1b", inception_conv(c, 384, {256, kColumn3}));
  b.branch("branch2_0", inception_conv(c, 1536, {384}));
  b.then("branch2_1", inception_conv(c, 384, {448, kColumn3}));
  b.then("branch2_2", inception_conv(c, 448, {512, kRow3}));
  b.end("branch2_3a", inception_conv(c, 512, {256, kRow3}));
  b.end("branch2_3b", inception_conv(c, 512, {256, kColumn3}));
  b.branch("branch3", inception_pool(c, 1536, 256));
  return b;
}

class InceptionV4 final : public Chained<ImageModel> {
 public:
  InceptionV4(const Cfg& c, const ModelOptions& o) : Chained(o) {
    Sequential features;
    features.add(inception_conv(c, o.in_chans.value_or(3), {32, 3, 2}));
    features.add(inception_conv(c, 32, {32, 3, 1, Windows::inside}));
    features.add(inception_conv(c, 32, {64, 3}));
    features.add(mixed_3a(c));
    features.add(mixed_4a(c));
    features.add(mixed_5a(c));
    for (int i = 0; i < 4; ++i) features.add(inception_a(c));
    features.add(reduction_a(c));
    for (int i = 0; i < 7; ++i) features.add(inception_b(c));
    features.add(reduction_b(c));
    for (int i = 0; i < 3; ++i) features.add(inception_c(c));
    add("features", std::move(features));
    parts("features", {2, 3, 9, 17, 21});
    classifier("last_linear", 1536);
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^features.0"}, {0, "^features.1"}, {0, "^features.2"}, {1, "^features.#"}};
  }
};

constexpr Variant<Cfg> variants[] = {{"inception_v4", {}}};

}  // namespace

FOVEA_FAMILY(inception_v4, InceptionV4, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::inception_v4
