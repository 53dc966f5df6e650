// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_init.cpp — first values of timm, of the JAX code and of MoCo v3.
#include "zoo/blocks/vit_init.h"

#include <cmath>

#include "nn/layers/conv.h"
#include "nn/layers/glu_mlp.h"
#include "nn/layers/linear.h"

namespace fovea::zoo {
namespace {

struct Open {
  Init weight = init::normal(1e-6), bias = init::ones();
};
constexpr Open kOpen;

void open_half(const Param& p, const Init& second) { p.slot().drawing = init::halves(p.slot().init, second); }

void start_linear(const std::string& path, Linear& l, VitInit mode, int classes) {
  const Shape& shape = l.weight->shape();
  Init weight = init::trunc_normal(0.02), bias = init::zeros();
  if (mode == VitInit::moco) {
    const bool qkv = path.find("qkv") != std::string::npos;  // query, key and value count one by one
    const auto fans = static_cast<double>((qkv ? shape[0] / 3 : shape[0]) + shape[1]);
    weight = init::uniform(-std::sqrt(6 / fans), std::sqrt(6 / fans));
  } else if (mode != VitInit::timm && mode != VitInit::eva && path.starts_with("head")) {
    weight = init::zeros();
    if (mode == VitInit::jax_nlhb) bias = init::constant(-std::log(classes));
  } else if (mode != VitInit::timm && mode != VitInit::eva) {
    weight = init::xavier_uniform(shape);
    if (path.find("mlp") != std::string::npos) bias = init::normal(1e-6);
  }
  l.weight.slot().init = weight;
  if (l.bias) l.bias.slot().init = bias;
}

}  // namespace

std::string_view name_of(VitInit v) {
  constexpr std::string_view names[] = {"timm", "jax", "jax_nlhb", "moco", "reset", "eva"};
  return static_cast<size_t>(v) < std::size(names) ? names[static_cast<size_t>(v)] : std::string_view();
}

void start_vit_values(Module& model, VitInit mode, int classes) {
  if (mode == VitInit::reset) return;
  model.visit([&](const std::string& path, Module& m) {
    if (auto* linear = dynamic_cast<Linear*>(&m)) start_linear(path, *linear, mode, classes);
    auto* conv = dynamic_cast<Conv2d*>(&m);
    if (!conv || (mode != VitInit::jax && mode != VitInit::jax_nlhb)) return;
    conv->weight.slot().init = init::lecun_normal(conv->weight->shape());
    if (conv->bias) conv->bias.slot().init = init::zeros();
  });
  if (mode == VitInit::eva) return;
  model.visit([&](const std::string&, Module& m) {
    if (auto* swiglu = dynamic_cast<SwiGLU*>(&m)) {  // gates begin open
      swiglu->fc1_g->weight.slot().init = kOpen.weight;
      if (swiglu->fc1_g->bias) swiglu->fc1_g->bias.slot().init = kOpen.bias;
    } else if (auto* glu = dynamic_cast<GluMlp*>(&m)) {
      open_half(glu->fc1->weight, kOpen.weight);
      if (glu->fc1->bias) open_half(glu->fc1->bias, kOpen.bias);
    }
  });
}

}  // namespace fovea::zoo
