// SPDX-License-Identifier: Apache-2.0
// nn/layers/act.h — timm's activations by name, as data (Act), as a function (activate) and as a module (Activation).
#pragma once
#include <string_view>

#include "engine/core/epilogue.h"
#include "nn/module.h"

namespace fovea {

/// An activation function with its numbers: what layers keep and configurations name.
struct Act {
  Unary fn = Unary::identity;
  float a = 0, b = 0;
  bool prelu = false;                              // with a learned slope: needs a module
  constexpr bool identity() const { return fn == Unary::identity && !prelu; }
  friend bool operator==(const Act&, const Act&) = default;
};

namespace act {
constexpr Act none{}, relu{Unary::relu}, relu6{Unary::relu6}, silu{Unary::silu}, gelu{Unary::gelu},
    gelu_tanh{Unary::gelu_tanh}, quick_gelu{Unary::quick_gelu}, mish{Unary::mish}, sigmoid{Unary::sigmoid},
    tanh{Unary::tanh}, hard_sigmoid{Unary::hard_sigmoid}, hard_swish{Unary::hard_swish}, hard_mish{Unary::hard_mish},
    selu{Unary::selu}, elu{Unary::elu, 1}, celu{Unary::celu, 1}, leaky_relu{Unary::leaky_relu, 0.01f},
    prelu{.prelu = true};
}

/// timm's names ("swish" and "silu" are one); "" and "identity" are none. Throws Error(argument) with the closest
/// names.
Act parse_act(std::string_view name);
std::string_view name_of(const Act& a);
inline std::string to_string(const Act& a) { return std::string(name_of(a)); }

Tensor activate(const Tensor& x, const Act& a);    // not prelu

class Activation final : public Module {
 public:
  explicit Activation(const Act& a);
  Tensor forward(const Tensor& x) override;
  const Act& kind() const { return act_; }

 private:
  Act act_;
  Param weight_;                                   // prelu
};

}  // namespace fovea
