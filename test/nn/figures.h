// SPDX-License-Identifier: Apache-2.0
// test/nn/figures.h — layers against recorded figures of timm's (test/golden/layers.tsv).
#pragma once
#include <memory>
#include <string>

#include "engine/autograd/autograd.h"
#include "nn/module.h"
#include "test/support/fill.h"

namespace fovea {

/// Fails unless t has the recorded shape and, at eight places, the recorded values.
void check_figure(const std::string& name, const Tensor& t);

/// What a module filled by the formula gives for golden_input of that shape.
template <class M>
void check(const std::string& name, M module, const Shape& shape = {2, 24, 7, 9}) {
  const NoGrad no_grad;
  fill_weights(module);
  check_figure(name, module(golden_input(shape)));
}
inline void check(const std::string& name, std::unique_ptr<Module> module, const Shape& shape = {2, 24, 7, 9}) {
  const NoGrad no_grad;
  fill_weights(*module);
  check_figure(name, (*module)(golden_input(shape)));
}

}  // namespace fovea
