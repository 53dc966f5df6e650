// SPDX-License-Identifier: Apache-2.0
// kernels/ref/backend.cpp — the backend "ref": plain loops in double, the oracle of every test and the last resort.
#include <cstdlib>

#include "kernels/ref/run.h"

namespace fovea {
namespace ref {
namespace {

class FunctionPlan final : public Plan {
 public:
  FunctionPlan(const Site& s, Function f)
      : site_{s.op, {s.in.begin(), s.in.end()}, {s.out.begin(), s.out.end()}, s.attrs_ref}, function_(f) {
    name = "ref";
  }
  void run(const Args& a, Stream&) const override { function_(Run(site_, a)); }

 private:
  Recorded site_;
  Function function_;
};

struct HostMemory final : HostRuntime {
  std::shared_ptr<Storage> allocate(size_t bytes, const Stream& s) const override;
};
constinit const HostMemory memory;

std::shared_ptr<Storage> HostMemory::allocate(size_t bytes, const Stream& s) const {
  constexpr size_t alignment = 64;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = rounded < bytes ? nullptr : std::aligned_alloc(alignment, rounded ? rounded : alignment);
  if (!p) throw Error(Error::Kind::unsupported, str_cat("no memory for ", bytes, " bytes"));
  auto storage = std::make_shared<Storage>();
  storage->keep = std::shared_ptr<void>(p, std::free);
  storage->data = static_cast<std::byte*>(p);
  storage->bytes = bytes;
  storage->device = s.device;
  return storage;
}

std::vector<std::span<const Kernel>> kernels() {
  return {pointwise_kernels(), reduce_kernels(), arrange_kernels(), index_kernels(),  matmul_kernels(), conv_kernels(),
          norm_kernels(),      attention_kernels(), pool_kernels(), resize_kernels(), random_kernels(),
          quant_kernels(),     recurrent_kernels(), peers_kernels()};
}

}  // namespace

PlanPtr make(const Site& s, Function f) { return std::make_shared<FunctionPlan>(s, f); }

bool has_half(const Site& s) {
  for (std::span<const Meta> metas : {s.in, s.out})
    for (const Meta& m : metas)
      if (m.dtype == DType::bf16 || m.dtype == DType::f16) return true;
  return false;
}

}  // namespace ref

extern const Backend backend_ref;                  // named by the generated manifest
const Backend backend_ref{
    .name = "ref", .device = Device::Kind::cpu, .runtime = &ref::memory, .kernels = ref::kernels, .rank = 100};

}  // namespace fovea
