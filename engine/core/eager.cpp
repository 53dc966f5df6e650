// SPDX-License-Identifier: Apache-2.0
#include "engine/core/eager.h"

#include <array>

#include "engine/core/scope.h"

namespace fovea {
namespace {

// Scratch grows to the largest plan that this thread has run and is freed with the thread.
std::byte* scratch_of_thread(size_t bytes) {
  thread_local std::shared_ptr<Storage> lent;
  if (bytes == 0) return nullptr;
  if (!lent || lent->bytes < bytes) lent = allocate(cpu(), bytes);
  return lent->data;
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
  Stream stream;
  plan.run({ins, outs.data(), scratch_of_thread(plan.scratch)}, stream);
}

Tensors Eager::emit(const Site& site, std::span<const Tensor> in, Metas out) {
  for (size_t i = 0; i < in.size(); ++i)
    if (in[i] && !in[i].has_bytes()) {
      const std::string scope = current_scope();
      throw Error(Error::Kind::argument,
                  cat(site.op.name(), ": operand ", i, " (", in[i].meta(), ") has no values",
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
