// SPDX-License-Identifier: Apache-2.0
// bench/machine.h — Machine: the processor's name, and how fast it multiplies and moves bytes, measured.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/progress.h"
#include "engine/graph/session.h"

namespace fovea::bench {

struct Peak {
  std::string name;                                // the instruction set: "avx512"
  DType dtype = DType::none;
  double flops = 0;                                // a second, all threads together; two a multiply-add
  bool settled = true;                             // several tries came close to the best
};

struct Bandwidth {
  int64_t bytes = 0;                               // all threads' data together
  double read = 0, copy = 0;                       // bytes a second; a copy counts what it reads and what it writes
  double best() const { return read > copy ? read : copy; }
};

struct Machine {
  std::string cpu, isa;                            // isa: the class of instructions that kernels may use: "avx2"
  std::vector<std::string> features;               // those that decide about kernels: "avx2", "amx_tile"
  int processors = 0, threads = 0;
  std::vector<Peak> peaks;                         // empty until measured
  std::vector<Bandwidth> bandwidths;               // by size

  bool measured() const { return !peaks.empty(); }
  /// The roof over products of factors of this type: the widest instructions that were measured for it. Types without a
  /// loop of their own compute as f32. Null before it was measured.
  const Peak* roof(DType t) const;
  double peak(DType t) const;                      // its FLOP a second
  /// Of a working set of this size.
  double bandwidth(int64_t bytes) const;
  /// The roofline: the least time in which the step's products and bytes can pass. 0 before it was measured.
  double least_seconds(const StepInfo& step) const;
};

/// What the system says; nothing is measured.
Machine this_machine();
/// Measures with as many threads as threads() says; takes two or three seconds, up to ten where others use the machine.
void measure(Machine& m, Progress& progress);

/// What tries at one peak say: the best, which has settled when two more came within a fiftieth of it.
Peak peak_of(std::string name, DType t, std::vector<double> tries);
/// Wider instructions do what narrower ones do: of one type, a later peak is not below an earlier one. Where it came
/// out so, it is raised, and has not settled.
void order_peaks(std::vector<Peak>& peaks);

}  // namespace fovea::bench
