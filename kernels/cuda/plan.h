// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/plan.h — a plan is a few launches whose parameters are made once; a run fills in addresses.
#pragma once
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "engine/core/backend.h"
#include "kernels/cuda/device/vocabulary.h"
#include "kernels/cuda/launch.h"

namespace fovea::cuda {

/// Where an address comes from when a plan runs.
struct Address {
  enum From : uint8_t { operand, result, scratch } from;
  size_t at;                                       // which operand or result; bytes into the scratch memory
};
constexpr Address in(int i) { return {Address::operand, static_cast<size_t>(i)}; }
constexpr Address out(int i = 0) { return {Address::result, static_cast<size_t>(i)}; }
constexpr Address lent(size_t at) { return {Address::scratch, at}; }

class LaunchPlan final : public Plan {
 public:
  explicit LaunchPlan(const char* what) { name = std::string("cuda:") + what; }

  struct Field {                                   // a pointer among the parameters, and what it shall hold
    const void* pointer;
    Address address;
  };
  /// Params are copied. A launch of no blocks is left out.
  template <class Params>
  void add(const Launch& l, const Params& params, std::initializer_list<Field> fields) {
    static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= kMostBytes);
    add(l, &params, sizeof params, std::span(fields.begin(), fields.size()));
  }
  template <class Params>
  void add(const Launch& l, const Params& params, const std::vector<Field>& fields) {
    static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= kMostBytes);
    add(l, &params, sizeof params, std::span<const Field>(fields));
  }
  /// 64-byte aligned bytes of scratch memory.
  size_t lend(size_t bytes) {
    const size_t at = scratch;
    scratch += (bytes + 63) & ~size_t{63};
    return at;
  }

  void run(const Args& a, Stream& s) const override;

 private:
  static constexpr size_t kMostBytes = 4096;       // what a launch takes
  void add(const Launch& l, const void* params, size_t bytes, std::span<const Field> fields);
  struct Patch {
    size_t at;                                     // in the parameters
    Address address;
  };
  struct Step {
    Launch launch;
    std::vector<std::byte> params;
    std::vector<Patch> patches;
  };
  std::vector<Step> steps_;
};

/// What a kernel calculates in.
enum class Number : int { f32, f64, i64 };
/// i64 where no floating type takes part; nothing where all are integers and `real` is asked for.
Number number_of(const Site& s);
/// The kernel of a type or a width: those that follow `first` in kernels.inc.
constexpr KernelId variant(KernelId first, Number n) {
  return static_cast<KernelId>(static_cast<int>(first) + static_cast<int>(n));
}
KernelId by_width(KernelId first, DType t);        // 1, 2, 4 or 8 bytes

Elements elements(const Meta& m);                  // without an address
/// Strides of a meta that is repeated, NumPy's way, to a shape of at least its rank.
Strides expanded_strides(const Meta& m, const Shape& s);
Grid grid_of(const Shape& s);

/// Dimensions of several arrays of one shape in the order of the first in memory, neighbours merged.
struct Walk {
  Grid grid;
  std::vector<Strides> strides;                    // of each array
};
Walk walk_over(const Shape& s, const std::vector<Strides>& arrays);
void set_strides(Elements& e, const Strides& s, int at = 0);

Launch for_elements(KernelId k, int64_t count);     // a thread an element, up to a number that keeps a GPU busy
/// A block a row, as many threads as rows have work for. `each`: bytes of shared memory of a warp.
Launch for_rows(KernelId k, int64_t rows, int64_t row_size, size_t each);

// The tables at the end of each file.
std::span<const Kernel> pointwise_kernels();
std::span<const Kernel> arrange_kernels();
std::span<const Kernel> index_kernels();
std::span<const Kernel> reduce_kernels();
std::span<const Kernel> norm_kernels();
std::span<const Kernel> conv_kernels();
std::span<const Kernel> pool_kernels();
std::span<const Kernel> product_kernels();
std::span<const Kernel> random_kernels();
std::vector<std::span<const Kernel>> own_kernels();         // all of these

/// copy_strided() between metas of one shape, as one launch.
void convert(const Meta& from, const std::byte* source, const Meta& to, std::byte* target, Stream& s);

}  // namespace fovea::cuda
