// SPDX-License-Identifier: Apache-2.0
#include "engine/core/eager.h"

#include <array>

#include "engine/core/scope.h"

namespace fovea {
namespace {

// On the host scratch grows to the largest plan that this thread has run and is freed with the thread. On devices it
// is given back, in the stream's order, when the run was queued.
std::shared_ptr<Storage> scratch_for(const Plan& plan, Device d) {
  thread_local std::shared_ptr<Storage> lent;
  if (plan.scratch == 0) return nullptr;
  if (!is_host(d)) return allocate(d, plan.scratch);
  if (!lent || lent->bytes < plan.scratch) lent = allocate(d, plan.scratch);
  return lent;
}

}  // namespace

void run_plan(const Plan& plan, std::span<const Tensor> in, std::span<Tensor> out) {
  std::array<const std::byte*, 16> few_in;
  std::vector<const std::byte*> many_in;
  const std::byte** ins = few_in.data();
  if (in.size() > few_in.size()) {
    many_in.resize(in.size());
    ins = many_in.data();
  }
  std::array<std::byte*, 8> outs;
  for (size_t i = 0; i < in.size(); ++i) ins[i] = in[i] ? in[i].bytes() : nullptr;
  for (size_t i = 0; i < out.size(); ++i) outs[i] = out[i].bytes();
  const Device device = out.empty() ? cpu() : out[0].device();
  const std::shared_ptr<Storage> scratch = scratch_for(plan, device);
  Stream stream = current_stream(device);
  Fence fence(stream);
  if (stream.handle)
    for (std::span<const Tensor> tensors : {in, std::span<const Tensor>(out)})
      for (const Tensor& t : tensors)
        if (t) fence.use(*t.impl()->storage);
  plan.run({ins, outs.data(), scratch ? scratch->data : nullptr}, stream);
}

Tensors Eager::emit(const Site& site, std::span<const Tensor> in, Metas out) {
  for (size_t i = 0; i < in.size(); ++i)
    if (in[i] && !in[i].has_bytes()) {
      const std::string scope = current_scope();
      throw Error(Error::Kind::argument,
                  str_cat(site.op.name(), ": operand ", i, " (", in[i].meta(), ") has no values",
                          scope.empty() ? "" : " at ", scope),
                  "load() weights or materialise() the model first");
    }
  if (site.op.traits.view)
    return {view_of(in[0], out[0].shape, out[0].strides, in[0].impl()->offset + site.op.offset(site))};
  const PlanPtr plan = cached_plan(site);
  Tensors results;
  results.reserve(out.size());
  for (const Meta& m : out) results.push_back(empty(m));
  run_plan(*plan, in, results);
  return results;
}

}  // namespace fovea
