// SPDX-License-Identifier: Apache-2.0
// bench/op.h — one op at a chosen shape: every kernel that could run it, timed by turns.
#pragma once
#include <string>
#include <vector>

#include "bench/machine.h"
#include "bench/samples.h"
#include "engine/graph/session.h"
#include "engine/core/types.h"

namespace fovea::bench {

struct OpOptions {
  std::string op;                                  // one of op_names()
  Dims x, w;                                       // shapes; w: weights of conv and linear, second operand of matmul
  std::string dtype = "f32";                       // f32 or bf16
  Dims stride, pad, dilation, kernel;              // one number stands for both dimensions; kernel: of pools
  int64_t groups = 1;
  std::string act, fn;                             // fused activation of conv and linear; function of unary and binary
  bool residual = false, bias = true;
  int repeat = 50;
  int64_t between = 64 << 20;                      // bytes that a model touches between two runs of the op, its own too
};
/// "conv", "linear", ...
std::vector<std::string> op_names();

struct KernelTime {
  std::string kernel, isa;
  bool chosen = false;                             // a model would run this one
  /// At hand: one run after the other. In a model: its other bytes were read since the op's weights were, and results
  /// and operands were written just before. Seconds: median, and a tenth of the runs was shorter and longer.
  double at_hand = 0, in_model = 0, low = 0, high = 0;
};

struct OpTimes {
  StepInfo step;                                   // of the kernel that is chosen
  std::vector<KernelTime> kernels;
  Noise noise;
};
/// With the instructions that this process may use. Throws Error(argument or shape) for what does not go together.
OpTimes time_op(const OpOptions& o);
StepInfo op_step(const OpOptions& o);              // what is timed; nothing runs

/// The same with each class of instructions that this processor has, each in a process of its own: `program`
/// ("/proc/self/exe") is called with `args`, which say what `o` says, and --isa. Throws Error(io) when one fails.
std::vector<OpTimes> time_op_on_all(const std::string& program, const OpOptions& o,
                                    const std::vector<std::string>& args);

/// For people, and for programs. read_op_json() reads the times that op_json() wrote of one OpTimes.
std::string op_table(const std::vector<OpTimes>& times);
std::string op_json(const std::vector<OpTimes>& times);
OpTimes read_op_json(const std::string& text);

}  // namespace fovea::bench
