// SPDX-License-Identifier: Apache-2.0
// engine/graph/session.h — compile() makes a Graph ready once; a Session then runs it without allocating.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/state_dict.h"
#include "engine/graph/graph.h"

namespace fovea {

struct Calibration;                                // engine/graph/calibration.h

struct Stream;

/// What a graph is compiled for.
struct Target {
  Device device{};
  // bf16 or f16: compute in this type, inputs and outputs stay as traced; none: as traced
  DType dtype = DType::none;
  int threads = 0;                                 // 0: as threads() says when compiled
  std::vector<std::string> without{};              // passes to leave out, by name (passes.h)
  // given: convolutions and products compute in 8-bit integers where it knows the values' ranges
  std::shared_ptr<const Calibration> calibration{};
};

/// What a step does, for benches and `fovea info`.
struct StepInfo {
  std::string scope;
  std::string_view op;
  Role role = Role::other;
  std::string plan;                                // the kernel: "dnn:jit:avx2", "ref"
  std::string attrs;
  Metas in, out;
  int64_t bytes = 0;                               // operands read and results written once each
  int64_t flops = 0;                               // two a multiply-add for products and convolutions, else 0
};

/// A compiled graph with its own working memory. One thread at a time; fork() for more. A run that begins while another
/// one lasts throws Error(argument). Runs are queued on the device's current stream of the calling thread.
class Session {
 public:
  Session();                                       // empty: only to be assigned to
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Inputs have the shapes and dtypes that were traced; any strides will do, others than contiguous and channels-last
  /// cost a copy.
  /// The results are the caller's own.
  Tensors run(std::span<const Tensor> in);
  Tensors run(std::initializer_list<Tensor> in) { return run(std::span(in.begin(), in.size())); }
  Tensor run(const Tensor& in) { return run(std::span(&in, 1))[0]; }
  /// The same, but the results stay in the session's memory, are overwritten by the next run, and nothing is allocated
  /// (after a first run with inputs that lie this way).
  std::span<const Tensor> run_borrowed(std::span<const Tensor> in);
  std::span<const Tensor> run_borrowed(const Tensor& in) { return run_borrowed(std::span(&in, 1)); }
  /// run_borrowed() with the time of each step, in seconds, as steps() lists them.
  std::vector<double> profile(std::span<const Tensor> in);

  /// Shares plans and constants with this one; has its own working memory and a copy of the state.
  Session fork() const;

  /// The state by name. The tensors are the session's memory: run() changes their values. To go on with them elsewhere,
  /// assign them to the slots that were traced.
  const StateDict& state() const;
  const std::vector<StepInfo>& steps() const;      // without views, which cost nothing
  // after all passes; constants that live on packed only have no bytes here
  const Graph& graph() const;
  std::vector<Meta> inputs() const;                // as traced
  int64_t arena_bytes() const;                     // working memory of one fork
  int64_t constant_bytes() const;                  // what all forks share, packed or plain
  int64_t shared_bytes() const;                    // of these, what other sessions hold: see compile()

 private:
  friend class Compiler;
  friend class SessionWriter;
  friend class SessionReader;
  struct Program;
  struct Workspace;
  Session(std::shared_ptr<const Program> program, const Tensors& state);
  const Program& program() const;                  // throws when empty
  void take_inputs(std::span<const Tensor> in, Stream& stream);
  void run_all(std::span<const Tensor> in);
  template <class Around>
  void run_steps(std::span<const Tensor> given, Around around);

  std::shared_ptr<const Program> program_;
  std::unique_ptr<Workspace> work_;
};

/// Rewrites the graph by the passes of passes.h, plans every step and its place in memory, and packs constants.
/// Throws Error(weights) for constants and state without bytes, by name. `sharing`: sessions of the same weights, say
/// for other batches or sizes of images. A constant that one of them has in the same form is read there, not held
/// again, and lives as long as its last reader.
Session compile(Graph graph, const Target& target = {}, std::span<const Session* const> sharing = {});

}  // namespace fovea
