// SPDX-License-Identifier: Apache-2.0
// nn/fuse.cpp — branches are traced and folded as compile() does it; the one step that is left has the layer's weights.
#include "nn/fuse.h"

#include "engine/autograd/autograd.h"
#include "engine/graph/passes/passes.h"
#include "engine/ops/ops.h"

namespace fovea {
namespace {

// The layer has its parameters "weight" and "bias" from the only step that is left of the branches.
void take_over(Module& m, const Param& weight, const Param& bias, const Traceable& branches, const OpDef& op,
               const Shape& operand) {
  const DType t = weight->dtype();
  if (!m.has_bytes()) return;
  if (t != DType::f32 && t != DType::f64)
    throw Error(Error::Kind::unsupported, str_cat("the branches of '", m.name(), "' cannot be fused in ", name_of(t)),
                "fuse the model before its parameters become 16-bit numbers");
  const EvalMode eval(m);
  const NoGrad no_grad;
  Graph g = trace(branches, {make_meta(t, operand, Memory::contiguous, weight->device())});
  passes::fold(g, {});
  passes::fold_norm(g, {});
  if (g.steps.size() != 1 || g.steps[0].op != &op || g.steps[0].in[0] != g.inputs[0] ||
      g.meta(g.steps[0].in[1]).shape != weight->shape())
    throw Error(Error::Kind::unsupported,
                str_cat("the branches of '", m.name(), "' are not one ", op.name(), " together"),
                "their norms have to be batch norms");
  const Step& s = g.steps[0];
  const auto constant = [&](size_t i) { return g.values[static_cast<size_t>(s.in[i])].constant; };
  weight.set(contiguous(constant(1)));
  bias.set(s.in.size() > 2 && s.in[2] >= 0 ? constant(2) : zeros(bias->shape(), t).to(weight->device()));
}

}  // namespace

int fuse(Module& m) {
  int found = 0;
  m.visit([&](const std::string&, Module& each) {
    auto* fusible = dynamic_cast<Fusible*>(&each);
    if (!fusible || each.vacant()) return;  // vacant: part of one that was fused before
    fusible->fuse();
    ++found;
  });
  return found;
}

std::unique_ptr<Conv2d> fused_conv(Module& m, const Conv2d& largest, const Traceable& branches) {
  Conv2dOptions o = largest.options();
  o.bias = true;
  o.standardize = 0;
  auto conv = std::make_unique<Conv2d>(largest.in_channels(), largest.out_channels(), largest.kernel(), o);
  conv->to(largest.weight->dtype());
  conv->to(largest.weight->device());
  constexpr int64_t kSide = 128;  // any image that is larger than the kernel
  take_over(m, conv->weight, conv->bias, branches, ops::conv, {1, largest.in_channels(), kSide, kSide});
  return conv;
}

std::unique_ptr<Linear> fused_linear(Module& m, int in, int out, const Traceable& branches) {
  auto linear = std::make_unique<Linear>(in, out);
  const std::vector<NamedParameter> old = m.named_parameters();
  if (!old.empty()) {
    linear->to(old[0].tensor().dtype());
    linear->to(old[0].tensor().device());
  }
  take_over(m, linear->weight, linear->bias, branches, ops::linear, {1, in});
  return linear;
}

void give_up(std::initializer_list<Module*> children) {
  for (Module* child : children) {
    if (!child) continue;
    for (const NamedParameter& n : child->named_parameters()) n.tensor() = meta_tensor(n.tensor().meta());
    for (const NamedParameter& n : child->named_buffers()) n.tensor() = meta_tensor(n.tensor().meta());
    child->vacate();
  }
}

void FusibleLayer::fuse() {
  if (layer_) return;
  layer_ = layer();
  if (!layer_) return;
  while (!own_parameters().empty()) remove(own_parameters().back().slot().name);
  for (const auto& child : children()) give_up({child.get()});
  for (const Param& p : layer_->own_parameters()) share(p.slot().name, p);
}

}  // namespace fovea
