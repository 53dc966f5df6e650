// SPDX-License-Identifier: Apache-2.0
// zoo/families/selecsls.cpp — SelecSLS: concatenated convolutions and a skip from each stage's first block;
// timm.models.selecsls
#include <algorithm>

#include "zoo/blocks/first_values.h"
#include "zoo/family.h"

namespace fovea::zoo::selecsls {
namespace {

struct Cfg {
  std::array<int, 3> depths{2, 2, 2};
  std::array<int, 3> mids{64, 144, 304};           // channels of a stage's convolutions
  std::array<int, 3> outs{128, 288, 480};          // of what its last block gives; the others give `mids`
  std::array<int, 4> head{960, 1024, 1024, 1280};  // of the convolutions behind the stages
  int last_kernel = 1;                             // of the last of those
};
FOVEA_SETTINGS(Cfg, depths, mids, outs, head, last_kernel)

Sequential conv_bn(int in, int out, int kernel, int stride = 1) {
  Sequential s;
  s.add(Conv2d(in, out, kernel, {.stride = stride}));
  s.add(BatchNorm2d(out));
  s.add(Activation(act::relu));
  return s;
}

// Operands and results: the map, and what the stage's first block gave. The first block takes the map alone.
struct Block final : Joint {
  std::array<Ref<Module>, 6> conv;
  bool first;
  Block(int in, int mid, int out, bool begins) : first(begins) {
    conv[0] = add("conv1", conv_bn(in, mid, 3, begins ? 2 : 1));
    conv[1] = add("conv2", conv_bn(mid, mid, 1));
    conv[2] = add("conv3", conv_bn(mid, mid / 2, 3));
    conv[3] = add("conv4", conv_bn(mid / 2, mid, 1));
    conv[4] = add("conv5", conv_bn(mid, mid / 2, 3));
    conv[5] = add("conv6", conv_bn(2 * mid + (begins ? 0 : mid), out, 1));
  }
  Tensors pass(std::span<const Tensor> x) override {
    const Tensor d1 = conv[0](x[0]), d2 = conv[2](conv[1](d1)), d3 = conv[4](conv[3](d2));
    if (!first) return {conv[5](cat({d1, d2, d3, x[1]}, 1)), x[1]};
    const Tensor out = conv[5](cat({d1, d2, d3}, 1));
    return {out, out};
  }
};

class SelecSls final : public ImageModel {
 public:
  SelecSls(const Cfg& c, const ModelOptions& o) : ImageModel(o) {
    default_levels_ = -5;
    int channels = 32;
    stem_ = add("stem", conv_bn(o.in_chans.value_or(3), channels, 3, 2));
    Sequential features;  // nobody runs them as one
    for (size_t s = 0; s < 3; ++s) {
      for (int i = 0; i < c.depths[s]; ++i) {
        const bool first = i == 0, last = i == c.depths[s] - 1;
        features.add(Block(channels, c.mids[s], last ? c.outs[s] : c.mids[s], first));
        channels = last ? c.outs[s] : c.mids[s];
      }
      ends_.push_back(features.children().size() - 1);
    }
    features_ = add("features", std::move(features));
    Sequential head;
    for (size_t i = 0; i < 4; ++i) {
      head.add(conv_bn(channels, c.head[i], i < 3 ? 3 : c.last_kernel, i % 2 == 0 ? 2 : 1));
      channels = c.head[i];
    }
    head_ = add("head", std::move(head));
    classifier("fc", channels);
    he_normal_convs(*this, Fan::out);
  }

  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^stem"}, {1, "^features.#"}, {2, "^head"}};
  }

  Tensor forward_features(const Tensor& image) override {
    Tensors x{stem_(image)};
    if (tap("stem.2", x[0])) return x[0];
    const auto& blocks = features_->children();
    for (size_t i = 0; i < blocks.size(); ++i) {
      {
        const Scope scope("features");
        x = run(dynamic_cast<Block&>(*blocks[i]), x);
      }
      if (std::ranges::binary_search(ends_, i) && tap(str_cat("features.", i), x[0])) return x[0];
    }
    for (size_t i = 0; i < 4; ++i) {
      {
        const Scope scope("head");
        x[0] = run(*head_->children()[i], x[0]);
      }
      if (i % 2 == 1 && tap(str_cat("head.", i), x[0])) break;
    }
    return x[0];
  }

 private:
  Ref<Module> stem_, features_;
  Ref<Sequential> head_;
  std::vector<size_t> ends_;  // blocks that end stages
};

constexpr std::array<int, 4> kB{960, 1024, 1280, 1024};
constexpr std::array<int, 3> k60Mids{64, 128, 288}, k60Outs{128, 288, 416}, k60Depths{2, 3, 4};

constexpr Variant<Cfg> variants[] = {
    {"selecsls42", {}},
    {"selecsls42b", {.head = kB}},
    {"selecsls60", {.depths = k60Depths, .mids = k60Mids, .outs = k60Outs, .head{756, 1024, 1024, 1280}}},
    {"selecsls60b", {.depths = k60Depths, .mids = k60Mids, .outs = k60Outs, .head{756, 1024, 1280, 1024}}},
    {"selecsls84", {.depths{2, 5, 6}, .outs{144, 304, 512}, .last_kernel = 3}},
};

}  // namespace

FOVEA_FAMILY(selecsls, SelecSls, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::selecsls
