// SPDX-License-Identifier: Apache-2.0
// zoo/families/xception.cpp — Xception as it was first published; timm.models.xception
#include "zoo/blocks/first_values.h"
#include "zoo/family.h"

namespace fovea::zoo::xception {
namespace {

struct Cfg {};
FOVEA_SETTINGS(Cfg)

struct SeparableConv final : Module {
  Ref<Module> conv1, pointwise;
  SeparableConv(int in, int out) {
    conv1 = add("conv1", Conv2d(in, in, 3, {.groups = in}));
    pointwise = add("pointwise", Conv2d(in, out, 1));
  }
  Tensor forward(const Tensor& x) override { return pointwise(conv1(x)); }
};

struct BlockOptions {
  int in, out, depth, stride = 1;
  bool relu_first = true, grows_first = true;
};

struct Block final : Module {
  Maybe<Module> skip, skipbn;
  Ref<Module> rep;
  explicit Block(const BlockOptions& p) {
    if (p.in != p.out || p.stride != 1) {
      skip = add("skip", Conv2d(p.in, p.out, 1, {.stride = p.stride}));
      skipbn = add("skipbn", BatchNorm2d(p.out));
    }
    Sequential chain;
    int in = p.in;
    for (int i = 0; i < p.depth; ++i) {
      const int out = p.grows_first || i == p.depth - 1 ? p.out : p.in;
      if (i > 0 || p.relu_first) chain.add(Activation(act::relu));
      chain.add(SeparableConv(in, out));
      chain.add(BatchNorm2d(out));
      in = out;
    }
    if (p.stride != 1) chain.add(MaxPool2d(3, {.stride = p.stride, .padding = 1}));
    rep = add("rep", std::move(chain));
  }
  Tensor forward(const Tensor& x) override { return rep(x) + skipbn(skip(x)); }
};

class Xception final : public ImageModel {
 public:
  Xception(const Cfg&, const ModelOptions& o) : ImageModel(o) {
    const Conv2dOptions inside{.padding = Padding::Kind::valid};
    stem_ = {add("conv1", Conv2d(o.in_chans.value_or(3), 32, 3, {.stride = 2, .padding = Padding::Kind::valid})),
             add("bn1", BatchNorm2d(32)),
             add("act1", Activation(act::relu)),
             add("conv2", Conv2d(32, 64, 3, inside)),
             add("bn2", BatchNorm2d(64)),
             add("act2", Activation(act::relu))};
    constexpr int middle = 728;
    const auto block = [this](const BlockOptions& p) {
      blocks_.push_back(add(str_cat("block", blocks_.size() + 1), Block(p)));
    };
    block({.in = 64, .out = 128, .depth = 2, .stride = 2, .relu_first = false});
    block({.in = 128, .out = 256, .depth = 2, .stride = 2});
    block({.in = 256, .out = middle, .depth = 2, .stride = 2});
    for (int i = 0; i < 8; ++i) block({.in = middle, .out = middle, .depth = 3});
    block({.in = middle, .out = 1024, .depth = 2, .stride = 2, .grows_first = false});
    exit_ = {add("conv3", SeparableConv(1024, 1536)), add("bn3", BatchNorm2d(1536)),
             add("act3", Activation(act::relu)),      add("conv4", SeparableConv(1536, 2048)),
             add("bn4", BatchNorm2d(2048)),           add("act4", Activation(act::relu))};
    classifier("fc", 2048);
    he_normal_convs(*this, Fan::out);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = image;
    for (const Ref<Module>& part : stem_) x = part(x);
    if (tap("act2", x)) return x;
    for (size_t i = 1; i <= blocks_.size(); ++i) {
      x = run(*blocks_[i - 1], x);
      if (i != 1 && i != 2 && i != 11) continue;
      const Tensor level = relu(x);  // what the next block begins with
      if (tap(str_cat("block", i + 1, ".rep.0"), level)) return level;
    }
    for (const Ref<Module>& part : exit_) x = run(*part, x);
    tap("act4", x);
    return x;
  }

  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^conv1"},
            {0, "^conv2"},
            {0, "^bn1"},
            {0, "^bn2"},
            {1, "^block#"},
            {.group = 1, .pattern = "^conv3", .number = 99},
            {.group = 1, .pattern = "^conv4", .number = 99},
            {.group = 1, .pattern = "^bn3", .number = 99},
            {.group = 1, .pattern = "^bn4", .number = 99}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {}, .beside = {"skip", "skipbn"}}; }

 private:
  std::vector<Ref<Module>> stem_, blocks_, exit_;
};

constexpr Variant<Cfg> variants[] = {{"legacy_xception", {}}};

}  // namespace

FOVEA_FAMILY(xception, Xception, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::xception
