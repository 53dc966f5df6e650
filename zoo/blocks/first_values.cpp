// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/first_values.cpp — first values of convolutions, biases and the norms that end branches.
#include "zoo/blocks/first_values.h"

#include <cmath>

#include "nn/layers/conv.h"
#include "nn/layers/linear.h"

namespace fovea::zoo {

void he_normal_convs(Module& model, Fan fan) {
  model.visit([fan](const std::string&, Module& m) {
    auto* conv = dynamic_cast<Conv2d*>(&m);
    if (!conv) return;
    const init::Fans fans = init::fans(conv->weight->shape());
    const double n = fan == Fan::in ? fans.in : fan == Fan::out ? fans.out : std::floor(fans.out / conv->groups());
    conv->weight.slot().init = init::normal(std::sqrt(2 / n));
  });
}

void zero_biases(Module& model) {
  model.visit([](const std::string&, Module& m) {
    Param bias;
    if (auto* conv = dynamic_cast<Conv2d*>(&m)) bias = conv->bias;
    else if (auto* fc = dynamic_cast<Linear*>(&m)) bias = fc->bias;
    if (bias) bias.slot().init = init::zeros();
  });
}

void start_weights(Module& model, const Init& values) {
  model.visit([&](const std::string&, Module& m) {
    if (auto* conv = dynamic_cast<Conv2d*>(&m)) conv->weight.slot().init = values;
    else if (auto* fc = dynamic_cast<Linear*>(&m)) fc->weight.slot().init = values;
  });
  zero_biases(model);
}

void start_linear(Module& model, const Init& values) {
  model.visit([&](const std::string&, Module& m) {
    auto* fc = dynamic_cast<Linear*>(&m);
    if (!fc) return;
    fc->weight.slot().init = values;
    if (fc->bias) fc->bias.slot().init = init::zeros();
  });
}

void scale_first_values(Module* layer, double factor) {
  if (!layer) return;
  for (const Param& p : layer->own_parameters()) {
    Init& values = p.slot().init;
    for (double* v : {&values.a, &values.b, &values.lo, &values.hi}) *v *= factor;
  }
}

void zero_norm_weight(Module& norm) {
  for (const Param& p : norm.own_parameters())
    if (p.slot().name == "weight") p.slot().init = init::zeros();
}

}  // namespace fovea::zoo
