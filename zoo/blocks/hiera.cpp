// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/hiera.cpp — places of blocks, their ends, and the model around them.
#include "zoo/blocks/hiera.h"

#include <cmath>
#include <numeric>

#include "engine/ops/ops.h"
#include "nn/layers/channels_last_head.h"
#include "nn/layers/layer_scale.h"
#include "nn/layers/mlp.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/vit_init.h"

namespace fovea::zoo {
namespace {

void scale_start(const Param& p, double factor) {
  Init& start = p.slot().init;
  for (double* v : {&start.a, &start.b, &start.lo, &start.hi}) *v *= factor;
}

void start_plain(Module& model) {
  model.visit([](const std::string&, Module& m) {
    if (auto* conv = dynamic_cast<Conv2d*>(&m)) conv->weight.slot().init = init::trunc_normal(0.02);
    auto* linear = dynamic_cast<Linear*>(&m);
    if (!linear) return;
    linear->weight.slot().init = init::trunc_normal(0.02);
    if (linear->bias) linear->bias.slot().init = init::constant(0.02);
  });
}

void start_values(Module& model, const HieraCfg& c) {
  auto* fc = dynamic_cast<Linear*>(model.find("head.fc"));
  if (c.weight_init == "jax") start_vit_values(model, VitInit::jax, 0);
  else if (c.weight_init != "skip") start_plain(model);
  if (fc && c.weight_init != "skip") fc->weight.slot().init = fc->bias.slot().init = init::zeros();
  if (c.fix_init) {
    int depth = 0;
    for (const auto& block : model.find("blocks")->children()) {
      const double part = 1 / std::sqrt(2.0 * ++depth);
      for (const char* last : {"attn.proj", "mlp.fc2"})
        scale_start(dynamic_cast<Linear&>(*block->find(last)).weight, part);
    }
  }
  scale_first_values(fc, c.head_init_scale);
}

}  // namespace

std::vector<HieraPlace> hiera_places(const HieraCfg& c, const ModelOptions& o) {
  if (c.q_pool < 0 || c.q_pool > 3)
    throw Error(Error::Kind::argument, str_cat("q_pool is ", c.q_pool),
                "three of the four stages can begin with pooling");
  DropPathRamp drop_path(o, c.stages);
  std::vector<HieraPlace> places;
  int dim = c.embed_dim, heads = c.num_heads, pools = 0;
  for (int stage = 0; stage < 4; ++stage)
    for (int i = 0; i < c.stages[static_cast<size_t>(stage)]; ++i) {
      HieraPlace p{.block = static_cast<int>(places.size()), .stage = stage, .in = dim, .out = dim};
      p.first = stage > 0 && i == 0;
      if (p.first) {
        p.out = dim = static_cast<int>(dim * c.dim_mul);
        heads = static_cast<int>(heads * c.head_mul);
        if (stage <= c.q_pool) p.stride = {c.q_stride[0], c.q_stride[1]}, ++pools;
      }
      p.heads = heads;
      p.pools = pools;
      p.drop_path = drop_path.next();
      places.push_back(p);
    }
  return places;
}

Conv2d hiera_patches(const HieraCfg& c, int in_chans) {
  const auto size = [](const std::array<int, 2>& s) { return Size2(s[0], s[1]); };
  return {in_chans,
          c.embed_dim,
          size(c.patch_kernel),
          {.stride = size(c.patch_stride), .padding = size(c.patch_padding), .bias = true}};
}

void HieraBlock::end_block(const HieraCfg& c, const HieraPlace& p, double mlp_ratio, const Act& act) {
  const auto factors = [&](const char* name) {
    return c.init_values != 0 ? Maybe<Module>(add(name, LayerScale(p.out, c.init_values))) : Maybe<Module>();
  };
  ls1_ = factors("ls1");
  drop1_ = add("drop_path1", DropPath(p.drop_path));
  norm2_ = add("norm2", token_norm({.kind = c.norm_layer}, p.out));
  mlp_ = add("mlp", Mlp(p.out, {.hidden = static_cast<int>(p.out * mlp_ratio), .act = act}));
  ls2_ = factors("ls2");
  drop2_ = add("drop_path2", DropPath(p.drop_path));
}

Tensor HieraBlock::finish(const Tensor& shortcut, const Tensor& attended) {
  const Tensor y = shortcut + drop1_(ls1_(attended));
  return y + drop2_(ls2_(mlp_(norm2_(y))));
}

HieraModel::HieraModel(const HieraCfg& c, const ModelOptions& o) : HeadedModel(o) {
  std::partial_sum(c.stages.begin(), c.stages.end(), ends_.begin());
  for (int& end : ends_) --end;
}

void HieraModel::hiera_head(const HieraCfg& c, int features) {
  const ChannelsLastHeadOptions options{
      .pool = wanted_pool("avg"), .drop_rate = static_cast<double>(drop_rate_), .norm = {.kind = c.norm_layer}};
  head(features, std::make_unique<ChannelsLastHead>(features, num_classes_, options));
  start_values(*this, c);
}

Tensor HieraModel::run_block(Module& blocks, size_t i, const Tensor& x) {
  const Scope scope(blocks.name());
  return run(*blocks.children()[i], x);
}

// The pooling stays.
void HieraModel::drop_head() {
  const std::string pool = global_pool();
  HeadedModel::drop_head();
  reset_classifier(0, pool);
}

std::vector<LayerGroup> HieraModel::group_matcher(bool) const {
  return {{0, "^pos_embed"}, {0, "^pos_embed_win"}, {0, "^pos_embed_window"}, {0, "^patch_embed"}, {1, "^blocks.#"}};
}

}  // namespace fovea::zoo
