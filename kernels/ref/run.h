// SPDX-License-Identifier: Apache-2.0
// kernels/ref/run.h — a kernel is a function of one Run; these helpers make it a plan.
#pragma once
#include <span>
#include <string>

#include "engine/core/backend.h"
#include "engine/ops/ops.h"
#include "kernels/ref/view.h"

namespace fovea::ref {

/// What a plan keeps of its Site: a Site's own spans end with planning.
struct Recorded {
  const OpDef& op;
  Metas in, out;
  Attrs attrs;
};

/// One run of one plan: the operands and results as they lie in memory.
class Run {
 public:
  Run(const Recorded& site, const Args& args) : site_(site), args_(args) {}
  int inputs() const { return static_cast<int>(site_.in.size()); }
  bool has(int i) const { return i < inputs() && site_.in[static_cast<size_t>(i)].present(); }
  Source in(int i) const { return {args_.in[i], site_.in[static_cast<size_t>(i)]}; }
  Target out(int i = 0) const { return {args_.out[i], site_.out[static_cast<size_t>(i)]}; }
  template <class A>
  const A& attrs() const { return site_.attrs.as<A>(); }
  /// Bad values are only seen while running: indices out of range, an integer divided by zero.
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Error::Kind::argument, str_cat(site_.op.name(), ": ", what));
  }

 private:
  const Recorded& site_;
  const Args& args_;
};

using Function = void (*)(const Run&);
PlanPtr make(const Site& s, Function f);
bool has_half(const Site& s);

/// For kernels that move elements and never calculate: every dtype.
template <Function f>
PlanPtr any_dtype(const Site& s) { return make(s, f); }
/// For kernels that calculate: bf16 and f16 are refused, because the planner may know a faster f32 kernel for them.
template <Function f>
PlanPtr no_half(const Site& s) { return has_half(s) ? nullptr : make(s, f); }

// The tables at the end of each file.
std::span<const Kernel> pointwise_kernels();
std::span<const Kernel> reduce_kernels();
std::span<const Kernel> arrange_kernels();
std::span<const Kernel> index_kernels();
std::span<const Kernel> matmul_kernels();
std::span<const Kernel> conv_kernels();
std::span<const Kernel> norm_kernels();
std::span<const Kernel> attention_kernels();
std::span<const Kernel> pool_kernels();
std::span<const Kernel> quant_kernels();
std::span<const Kernel> resize_kernels();
std::span<const Kernel> random_kernels();
std::span<const Kernel> recurrent_kernels();
std::span<const Kernel> peers_kernels();

}  // namespace fovea::ref
