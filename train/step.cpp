// SPDX-License-Identifier: Apache-2.0
#include "train/step.h"

#include "engine/autograd/autograd.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

Tensor step(Module& model, SGD& optimizer, const Tensor& images, const Tensor& targets) {
  optimizer.zero_grad();
  const Tensor loss = cross_entropy(model(images), targets);
  backward(loss);
  optimizer.step();
  optimizer.zero_grad();
  return loss.detach();
}

}  // namespace

double eager_step(Module& model, SGD& optimizer, const Tensor& images, const Tensor& targets) {
  return step(model, optimizer, images, targets).item();
}

CompiledStep::CompiledStep(Module& model, SGD& optimizer, const Meta& images, const Meta& targets,
                           const Target& target) {
  for (const NamedParameter& p : model.named_parameters()) slots_.emplace_back(p.name, &p.tensor());
  for (const NamedParameter& b : model.named_buffers()) slots_.emplace_back(b.name, &b.tensor());
  const std::vector<Tensor*> moments = optimizer.state();
  for (size_t i = 0; i < moments.size(); ++i) slots_.emplace_back(str_cat("momentum.", i), moments[i]);

  TraceOptions options;
  options.input_names = {"images", "targets"};
  for (const auto& [name, tensor] : slots_) options.state.push_back({name, tensor});
  const auto one_step = [&](std::span<const Tensor> in) { return Tensors{step(model, optimizer, in[0], in[1])}; };
  session_ = compile(trace(one_step, {images, targets}, options), target);
}

double CompiledStep::operator()(const Tensor& images, const Tensor& targets) {
  const Tensor in[] = {images, targets};
  return session_.run_borrowed(in)[0].item();
}

void CompiledStep::store() {
  for (const auto& [name, slot] : slots_) {
    const Tensor* now = session_.state().find(name);
    if (!now) continue;
    const bool trainable = slot->requires_grad();
    const Tensor value = call1(ops::copy, {*now}, CopyAttrs{Memory::contiguous});
    *slot = value;
    if (trainable) slot->set_requires_grad();
  }
}

}  // namespace fovea::train
