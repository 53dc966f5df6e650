// SPDX-License-Identifier: Apache-2.0
// zoo/families/inception_v3.cpp — Inception-v3, without its auxiliary classifier; timm.models.inception_v3
#include "zoo/blocks/chained.h"
#include "zoo/blocks/inception.h"
#include "zoo/family.h"

namespace fovea::zoo::inception_v3 {
namespace {

using Cfg = InceptionCfg;

struct Named {
  const char* suffix;
  InceptionConv conv;
};

// Branches whose convolutions are all children of the block.
struct Mixed final : Branches {
  Cfg c;
  int in;
  Mixed(const Cfg& cfg, int channels) : c(cfg), in(channels) {}
  void convs(const std::string& name, std::initializer_list<Named> all) {
    int width = in;
    for (const Named& n : all) {
      const std::string full = name + n.suffix;
      if (&n == all.begin()) branch(full, inception_conv(c, width, n.conv));
      else then(full, inception_conv(c, width, n.conv));
      width = n.conv.out;
    }
  }
  void both_ways(const std::string& name, int width, int out) {
    end(name + "a", inception_conv(c, width, {out, {1, 3}}));
    end(name + "b", inception_conv(c, width, {out, {3, 1}}));
  }
  void average(int out) {
    branch("pool", AvgPool2d(3, {.stride = 1, .padding = 1}));
    then("branch_pool", inception_conv(c, in, {out}));
  }
  void largest() { branch("pool", MaxPool2d(3, {.stride = 2, .padding = 0})); }
};

Mixed inception_a(const Cfg& c, int in, int pooled) {
  Mixed m(c, in);
  m.convs("branch1x1", {{"", {64}}});
  m.convs("branch5x5_", {{"1", {48}}, {"2", {64, 5}}});
  m.convs("branch3x3dbl_", {{"1", {64}}, {"2", {96, 3}}, {"3", {96, 3}}});
  m.average(pooled);
  return m;
}
Mixed inception_b(const Cfg& c, int in) {
  Mixed m(c, in);
  m.convs("branch3x3", {{"", {384, 3, 2}}});
  m.convs("branch3x3dbl_", {{"1", {64}}, {"2", {96, 3}}, {"3", {96, 3, 2}}});
  m.largest();
  return m;
}
Mixed inception_c(const Cfg& c, int in, int mid) {
  const Size2 row{1, 7}, column{7, 1};
  Mixed m(c, in);
  m.convs("branch1x1", {{"", {192}}});
  m.convs("branch7x7_", {{"1", {mid}}, {"2", {mid, row}}, {"3", {192, column}}});
  m.convs("branch7x7dbl_",
          {{"1", {mid}}, {"2", {mid, column}}, {"3", {mid, row}}, {"4", {mid, column}}, {"5", {192, row}}});
  m.average(192);
  return m;
}
Mixed inception_d(const Cfg& c, int in) {
  Mixed m(c, in);
  m.convs("branch3x3_", {{"1", {192}}, {"2", {320, 3, 2}}});
  m.convs("branch7x7x3_", {{"1", {192}}, {"2", {192, {1, 7}}}, {"3", {192, {7, 1}}}, {"4", {192, 3, 2}}});
  m.largest();
  return m;
}
Mixed inception_e(const Cfg& c, int in) {
  Mixed m(c, in);
  m.convs("branch1x1", {{"", {320}}});
  m.convs("branch3x3_", {{"1", {384}}});
  m.both_ways("branch3x3_2", 384, 384);
  m.convs("branch3x3dbl_", {{"1", {448}}, {"2", {384, 3}}});
  m.both_ways("branch3x3dbl_3", 384, 384);
  m.average(192);
  return m;
}

class InceptionV3 final : public Chained<ImageModel> {
 public:
  InceptionV3(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const auto conv = [&](const char* name, int in, const InceptionConv& how, Level level = Level::no) {
      add(name, inception_conv(c, in, how));
      stem(name, level);
    };
    const auto pool = [&](const char* name) {
      add(name, MaxPool2d(3, {.stride = 2, .padding = 0}));
      stem(name);
    };
    const auto mixed = [&](const char* name, Mixed m) {
      add(name, std::move(m));
      part(name);
    };
    conv("Conv2d_1a_3x3", o.in_chans.value_or(3), {32, 3, 2});
    conv("Conv2d_2a_3x3", 32, {32, 3, 1, Windows::inside});
    conv("Conv2d_2b_3x3", 32, {64, 3}, Level::yes);
    pool("Pool1");
    conv("Conv2d_3b_1x1", 64, {80});
    conv("Conv2d_4a_3x3", 80, {192, 3, 1, Windows::inside}, Level::yes);
    pool("Pool2");
    mixed("Mixed_5b", inception_a(c, 192, 32));
    mixed("Mixed_5c", inception_a(c, 256, 64));
    add("Mixed_5d", inception_a(c, 288, 64));
    level("Mixed_5d");
    mixed("Mixed_6a", inception_b(c, 288));
    mixed("Mixed_6b", inception_c(c, 768, 128));
    mixed("Mixed_6c", inception_c(c, 768, 160));
    mixed("Mixed_6d", inception_c(c, 768, 160));
    add("Mixed_6e", inception_c(c, 768, 192));
    level("Mixed_6e");
    mixed("Mixed_7a", inception_d(c, 768));
    mixed("Mixed_7b", inception_e(c, 1280));
    add("Mixed_7c", inception_e(c, 2048));
    level("Mixed_7c");
    classifier("fc", 2048);
    visit([](const std::string&, Module& m) {
      for (const Param& p : m.own_parameters())
        if (p.slot().name == "weight" && p->rank() > 1) p.slot().init = init::trunc_normal(0.1);
    });
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    std::vector<LayerGroup> rows{{0, "^Conv2d_1a_3x3"},
                                 {0, "^Conv2d_2a_3x3"},
                                 {0, "^Conv2d_2b_3x3"},
                                 {1, "^Conv2d_3b_1x1"},
                                 {1, "^Conv2d_4a_3x3"}};
    int group = 2;
    for (const char* mixed : {"^Mixed_5b", "^Mixed_5c", "^Mixed_5d", "^Mixed_6a", "^Mixed_6b", "^Mixed_6c", "^Mixed_6d",
                              "^Mixed_6e", "^Mixed_7a", "^Mixed_7b", "^Mixed_7c"})
      rows.push_back({.group = group++, .pattern = mixed});
    return rows;
  }
};

// torchvision's weights come with the auxiliary classifier.
constexpr Rename kAuxiliary[] = {{"^AuxLogits.**", nullptr}};

constexpr Variant<Cfg> variants[] = {{"inception_v3", {}}};

}  // namespace

FOVEA_FAMILY(inception_v3, InceptionV3, variants, .accepts = {.drop_path_rate = false}, .renames = kAuxiliary)
}  // namespace fovea::zoo::inception_v3
