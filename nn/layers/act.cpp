// SPDX-License-Identifier: Apache-2.0
// nn/layers/act.cpp — the table of activations.
#include "nn/layers/act.h"

#include "engine/ops/ops.h"

namespace fovea {
namespace {

struct Named {
  std::string_view name;
  Act act;
};
constexpr Named kActs[] = {
    {"identity", act::none},         {"relu", act::relu},
    {"relu6", act::relu6},           {"silu", act::silu},
    {"swish", act::silu},            {"gelu", act::gelu},
    {"gelu_tanh", act::gelu_tanh},   {"quick_gelu", act::quick_gelu},
    {"mish", act::mish},             {"sigmoid", act::sigmoid},
    {"tanh", act::tanh},             {"hard_sigmoid", act::hard_sigmoid},
    {"hardsigmoid", act::hard_sigmoid}, {"hard_swish", act::hard_swish},
    {"hardswish", act::hard_swish},  {"hard_mish", act::hard_mish},
    {"selu", act::selu},             {"elu", act::elu},
    {"celu", act::celu},             {"leaky_relu", act::leaky_relu},
    {"prelu", act::prelu},
};

}  // namespace

Act parse_act(std::string_view name) {
  if (name.empty()) return {};
  std::vector<std::string> names;
  for (const Named& n : kActs) {
    if (n.name == name) return n.act;
    names.emplace_back(n.name);
  }
  throw Error(Error::Kind::argument, str_cat("no activation '", name, "'"),
              "closest: " + join(closest(name, names), ", "));
}

std::string_view name_of(const Act& a) {
  for (const Named& n : kActs)
    if (n.act == a) return n.name;
  return name_of(a.fn);
}

Tensor activate(const Tensor& x, const Act& a) {
  if (a.prelu) throw Error(Error::Kind::internal, "prelu has a weight: use Activation", current_scope());
  return a.identity() ? x : unary(x, a.fn, a.a, a.b);
}

Activation::Activation(const Act& a) : act_(a) {
  if (a.prelu) weight_ = param("weight", {1}, init::constant(0.25));
}
Tensor Activation::forward(const Tensor& x) { return act_.prelu ? prelu(x, weight_) : activate(x, act_); }

}  // namespace fovea
