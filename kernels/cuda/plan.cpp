// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/plan.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace fovea::cuda {
namespace {

constexpr int64_t kMostBlocks = 4096;              // kernels stride over what is more

constexpr const char* kNames[] = {
#define FOVEA_KERNEL(name, params, ...) #name,
#define FOVEA_BLOCK_KERNEL FOVEA_KERNEL
#include "kernels/cuda/device/kernels.inc"
#undef FOVEA_BLOCK_KERNEL
#undef FOVEA_KERNEL
};

uint32_t blocks_for(int64_t wanted) { return static_cast<uint32_t>(std::min(wanted, kMostBlocks)); }

}  // namespace

const char* name_of(KernelId k) { return kNames[static_cast<size_t>(k)]; }

void LaunchPlan::add(const Launch& l, const void* params, size_t bytes, std::span<const Field> fields) {
  if (l.blocks == 0) return;
  const auto* first = static_cast<const std::byte*>(params);
  Step step{l, {first, first + bytes}, {}};
  for (const Field& f : fields)
    step.patches.push_back({static_cast<size_t>(static_cast<const std::byte*>(f.pointer) - first), f.address});
  steps_.push_back(std::move(step));
}

void LaunchPlan::run(const Args& a, Stream& s) const {
  for (const Step& step : steps_) {
    alignas(16) std::array<std::byte, kMostBytes> params;
    std::memcpy(params.data(), step.params.data(), step.params.size());
    for (const Patch& p : step.patches) {
      const std::byte* address = p.address.from == Address::operand  ? a.in[p.address.at]
                                 : p.address.from == Address::result ? a.out[p.address.at]
                                                                     : a.scratch + p.address.at;
      std::memcpy(params.data() + p.at, &address, sizeof address);
    }
    static_cast<Queue*>(s.handle)->launch(step.launch, params.data(), step.params.size());
  }
}

Number number_of(const Site& s) {
  bool wide = false, real = false;
  for (std::span<const Meta> metas : {s.in, s.out})
    for (const Meta& m : metas) {
      wide = wide || m.dtype == DType::f64;
      real = real || is_floating(m.dtype);
    }
  return wide ? Number::f64 : real ? Number::f32 : Number::i64;
}

KernelId by_width(KernelId first, DType t) {
  const size_t width = size_of(t);
  return static_cast<KernelId>(static_cast<int>(first) + (width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3));
}

Elements elements(const Meta& m) {
  Elements e{nullptr, m.dtype, {}};
  set_strides(e, m.strides);
  return e;
}

void set_strides(Elements& e, const Strides& s, int at) {
  for (int i = 0; i < s.size(); ++i) e.strides[at + i] = s[i];
}

Strides expanded_strides(const Meta& m, const Shape& s) {
  Strides strides = Dims::filled(s.size(), 0);
  const int lead = s.size() - m.rank();
  for (int i = 0; i < m.rank(); ++i)
    if (m.shape[i] != 1) strides[lead + i] = m.strides[i];
  return strides;
}

Grid grid_of(const Shape& s) {
  Grid g{s.size(), {}, 1};
  for (int i = 0; i < s.size(); ++i) {
    g.sizes[i] = s[i];
    g.count *= s[i];
  }
  return g;
}

Walk walk_over(const Shape& s, const std::vector<Strides>& arrays) {
  std::vector<int> order;
  for (int d = 0; d < s.size(); ++d)
    if (s[d] != 1) order.push_back(d);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return std::abs(arrays[0][a]) > std::abs(arrays[0][b]); });
  Shape sizes;
  std::vector<Strides> strides(arrays.size());
  for (int d : order) {
    bool merges = !sizes.empty();
    for (size_t k = 0; k < arrays.size() && merges; ++k)
      merges = strides[k][sizes.size() - 1] == arrays[k][d] * s[d];
    if (merges) sizes[sizes.size() - 1] *= s[d];
    else sizes.push_back(s[d]);
    for (size_t k = 0; k < arrays.size(); ++k) {
      if (merges) strides[k][sizes.size() - 1] = arrays[k][d];
      else strides[k].push_back(arrays[k][d]);
    }
  }
  return {grid_of(sizes), strides};
}

Launch for_elements(KernelId k, int64_t count) {
  return {k, blocks_for((count + kMostThreads - 1) / kMostThreads), kMostThreads, 0};
}

Launch for_rows(KernelId k, int64_t rows, int64_t row_size, size_t each) {
  uint32_t threads = kWarp;
  while (threads < kMostThreads && threads * 2 < row_size) threads *= 2;
  return {k, blocks_for(rows), threads, static_cast<uint32_t>(threads / kWarp * each)};
}

std::vector<std::span<const Kernel>> own_kernels() {
  return {pointwise_kernels(), arrange_kernels(), index_kernels(),   reduce_kernels(), norm_kernels(),
          conv_kernels(),      pool_kernels(),    product_kernels(), random_kernels()};
}

}  // namespace fovea::cuda
