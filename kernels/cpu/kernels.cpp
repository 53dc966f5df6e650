// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/kernels.cpp — the backend "cpu": our own SIMD loops and, where built in, oneDNN.
#include "kernels/cpu/kernels.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/allocator.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea {
namespace kernels::cpu {

namespace {
bool all_of(const Site& s, DType type) {
  for (const std::span<const Meta>& metas : {s.in, s.out})
    for (const Meta& m : metas)
      if (m.present() && m.dtype != type) return false;
  return true;
}
}  // namespace

bool all_f32(const Site& s) { return all_of(s, DType::f32); }
bool all_bf16(const Site& s) { return all_of(s, DType::bf16); }

bool lies_as(const Meta& m, Memory order) {
  const Strides want = strides_for(m.shape, order);
  for (int i = 0; i < m.rank(); ++i)
    if (m.shape[i] != 1 && m.strides[i] != want[i]) return false;
  return true;
}

bool is_last(const Meta& m) { return m.rank() >= 3 && m.rank() <= 5 && lies_as(m, Memory::channels_last); }
int64_t places_of(const Meta& m) { return m.numel() / std::max<int64_t>(1, m.shape[0] * m.shape[1]); }

Finish::Finish(const Epilogue& e) : act(e) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  lo = -kInfinity;
  hi = kInfinity;
  switch (e.act) {
    case Unary::identity: return;
    case Unary::relu: lo = 0; return;
    case Unary::relu6: lo = 0, hi = 6; return;
    case Unary::clamp: lo = e.a, hi = e.b; return;
    default: map = true;
  }
}

bool accepts_own(const Site&, const Epilogue& e) { return loops().has_unary(e.act); }

namespace {
struct HostMemory final : HostRuntime {
  std::shared_ptr<Storage> allocate(size_t bytes, const Stream& s) const override {
    return cpu::allocate(bytes, s.device);
  }
};
constinit const HostMemory memory;

void convert_at_once(const Meta& from, const std::byte* source, const Meta& to, std::byte* target, Stream&) {
  convert(from, source, to, target);
}

std::vector<std::span<const Kernel>> tables() {
  return {bf16_attention_kernels(), bf16_conv_kernels(),       bf16_linear_kernels(),     bf16_pointwise_kernels(),
          bf16_norm_kernels(),      bf16_softmax_kernels(),    pointwise_kernels(),       conv_kernels(),
          matmul_kernels(),         reduce_kernels(),          norm_kernels(),            pool_kernels(),
          arrange_kernels(),        attention_kernels(),       resize_kernels(),          scale_shift_kernels(),
          half_linear_kernels(),    quant_conv_kernels(),      quant_depthwise_kernels(), quant_pointwise_kernels(),
          quant_mean_kernels(),     quant_max_pool_kernels(),  chain_kernels(),           norm_gradient_kernels(),
          recurrent_kernels(),      strided_kernels(),         index_kernels(),           column_kernels(),
          compare_kernels(),        slope_kernels(),           random_kernels(),          scan_kernels(),
          topk_kernels()};
}
}  // namespace

}  // namespace kernels::cpu

extern const Backend backend_cpu;                  // named by the generated manifest
const Backend backend_cpu{.name = "cpu",
                          .device = Device::Kind::cpu,
                          .runtime = &kernels::cpu::memory,
                          .kernels = kernels::cpu::tables,
                          .rank = 0,
                          .parallel = kernels::cpu::parallel_range,
                          .convert = kernels::cpu::convert_at_once};

}  // namespace fovea
