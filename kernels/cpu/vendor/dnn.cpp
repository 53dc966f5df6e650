// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/vendor/dnn.h"

#include <string_view>
#include <unordered_map>

#include "engine/core/isa.h"
#include "kernels/cpu/threads/parallel.h"

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
#include <omp.h>
#endif

namespace fovea::kernels::cpu::dnn {
namespace {

memory::dims dims_of(const Dims& d) { return {d.begin(), d.end()}; }

// Strides of dimensions of size 1 mean nothing to us, but must be valid for oneDNN.
memory::dims strides_of(const Meta& m) {
  memory::dims s = dims_of(m.strides);
  for (int i = 0; i < m.rank(); ++i)
    if (m.shape[i] == 1)
      s[static_cast<size_t>(i)] = m.memory() == Memory::channels_last && i == 1 ? 1 : contiguous_strides(m.shape)[i];
  return s;
}

void* address(const std::byte* p) { return const_cast<std::byte*>(p); }

}  // namespace

const dnnl::engine& engine() {
  static const dnnl::engine* const one = [] {
    if (!isa_allowed(Isa::avx512)) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);   // outlives every plan
  }();
  return *one;
}
dnnl::stream& stream() {
  thread_local dnnl::stream one(engine());
  return one;
}

memory::desc desc(const Meta& m) { return {dims_of(m.shape), memory::data_type::f32, strides_of(m)}; }
memory::desc filters(const Meta& m, int64_t groups) {
  memory::dims size = dims_of(m.shape), stride = strides_of(m);
  if (groups > 1) {
    size[0] /= groups;
    size.insert(size.begin(), groups);
    stride.insert(stride.begin(), stride[0] * size[1]);
  }
  return {size, memory::data_type::f32, stride};
}
memory::desc any(const memory::desc& d) { return {d.get_dims(), d.get_data_type(), memory::format_tag::any}; }

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
OneThread::OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(before_); }
#else
OneThread::OneThread() : before_(0) {}
OneThread::~OneThread() { (void)before_; }
#endif

bool is_reference(const char* implementation) {
  return std::string_view(implementation).find("ref") != std::string_view::npos;
}

void execute(const dnnl::primitive& p, const std::unordered_map<int, memory>& args) {
  const OneThread alone;
  const FlushDenormals flush;
  p.execute(stream(), args);
  stream().wait();
}

DnnPlan::Slot DnnPlan::slot(int index, int argument, const memory::desc& given, const memory::desc& wanted,
                            bool result) {
  Slot s{index, argument, given, wanted, {}, 0};
  if (given == wanted) return s;
  s.at = scratch;
  scratch += aligned(wanted.get_size());
  const memory::desc &from = result ? wanted : given, &to = result ? given : wanted;
  s.reorder = dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to));
  return s;
}
void DnnPlan::in(int operand, int argument, const memory::desc& given, const memory::desc& wanted) {
  in_.push_back(slot(operand, argument, given, wanted, false));
}
void DnnPlan::out(int result, int argument, const memory::desc& given, const memory::desc& wanted) {
  out_.push_back(slot(result, argument, given, wanted, true));
}
void DnnPlan::finish(const dnnl::primitive& p, const memory::desc& scratchpad, const char* implementation) {
  primitive_ = p;
  scratchpad_ = scratchpad;
  scratchpad_at_ = scratch;
  scratch += aligned(scratchpad.get_size());
  name = str_cat("dnn:", implementation);
}

void DnnPlan::run(const Args& a, Stream&) const {
  std::unordered_map<int, memory> args;
  for (const Slot& s : in_) {
    memory m(s.given, engine(), address(a.in[s.index]));
    if (s.reorder) {
      memory inner(s.wanted, engine(), a.scratch + s.at);
      execute(s.reorder, {{DNNL_ARG_FROM, m}, {DNNL_ARG_TO, inner}});
      m = inner;
    }
    args.emplace(s.argument, m);
  }
  for (const Slot& s : out_)
    args.emplace(s.argument,
                 memory(s.reorder ? s.wanted : s.given, engine(), s.reorder ? a.scratch + s.at : a.out[s.index]));
  args.emplace(DNNL_ARG_SCRATCHPAD, memory(scratchpad_, engine(), a.scratch + scratchpad_at_));
  execute(primitive_, args);
  for (const Slot& s : out_)
    if (s.reorder)
      execute(s.reorder,
              {{DNNL_ARG_FROM, args.at(s.argument)}, {DNNL_ARG_TO, memory(s.given, engine(), a.out[s.index])}});
}

}  // namespace fovea::kernels::cpu::dnn
