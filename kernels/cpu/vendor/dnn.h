// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/vendor/dnn.h — oneDNN behind one door: the only includer of dnnl.hpp. Built only where oneDNN was found.
#pragma once
#include <dnnl.hpp>

#include <unordered_map>
#include <vector>

#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu::dnn {

using dnnl::memory;

const dnnl::engine& engine();
dnnl::stream& stream();                            // this thread's

memory::desc desc(const Meta& m);                  // as the tensor lies
// [groups, O / groups, C / groups, ...] where there are several groups
memory::desc filters(const Meta& m, int64_t groups);
memory::desc any(const memory::desc& d);           // the same sizes in whatever layout oneDNN likes
bool is_reference(const char* implementation);     // one of oneDNN's slow fall-backs

/// While alive, oneDNN computes on the calling thread alone: whoever wants more threads cuts the work and calls it from
/// our pool, so that no second team competes for the processors.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// Runs f, which makes a primitive descriptor; an empty one where oneDNN has no implementation or refuses the
/// arguments.
template <class F>
auto attempt(F f) -> decltype(f()) {
  const OneThread alone;
  try {
    return f();
  } catch (const dnnl::error&) {
    return {};
  }
}

/// Executes on this thread; the scratchpad is the caller's.
void execute(const dnnl::primitive& p, const std::unordered_map<int, memory>& args);

/// A primitive with its operands and results; those that it wants in another layout than they have are reordered in
/// scratch.
class DnnPlan : public Plan {
 public:
  void run(const Args& a, Stream& s) const override;

 protected:
  void in(int operand, int argument, const memory::desc& given, const memory::desc& wanted);
  void out(int result, int argument, const memory::desc& given, const memory::desc& wanted);
  void finish(const dnnl::primitive& p, const memory::desc& scratchpad, const char* implementation);

 private:
  struct Slot {
    int index, argument;
    memory::desc given, wanted;
    dnnl::reorder reorder;                         // empty where given == wanted
    size_t at;                                     // in scratch
  };
  Slot slot(int index, int argument, const memory::desc& given, const memory::desc& wanted, bool result);
  std::vector<Slot> in_, out_;
  dnnl::primitive primitive_;
  memory::desc scratchpad_;
  size_t scratchpad_at_ = 0;
};

}  // namespace fovea::kernels::cpu::dnn
