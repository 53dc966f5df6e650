// SPDX-License-Identifier: Apache-2.0
// engine/core/op.h — what an op is (OpDef), one use of it (Site), and the one door that every op goes through (call).
#pragma once
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/core/attrs.h"
#include "engine/core/error.h"
#include "engine/core/tensor.h"

namespace fovea {

struct OpDef;

/// One use of an op: everything that decides its result's shape, and which kernel runs it.
struct Site {
  const OpDef& op;
  std::span<const Meta> in;                        // an operand that was not given has !present()
  std::span<const Meta> out;                       // empty while infer runs
  AttrsRef attrs_ref;
  uint32_t constant = 0;                           // bit i: operand i never changes and is passed as Plan::pack left it

  const Meta& operand(int i) const { return in[static_cast<size_t>(i)]; }
  const Meta& result(int i = 0) const { return out[static_cast<size_t>(i)]; }
  bool has(int i) const { return i < static_cast<int>(in.size()) && operand(i).present(); }
  bool is_constant(int i) const { return i < 32 && (constant >> i & 1u); }
  template <class A>
  const A& attrs() const { return attrs_ref.as<A>(); }

  /// Throws Error(shape): "<op>: <what>", then the module path and every operand by name.
  [[noreturn]] void fail(const std::string& what) const;
  /// Normalises an axis of operand 0 (negative counts from the end); fails when it is out of range.
  int axis(const char* name, int64_t dim, int extra = 0) const;      // extra = 1 for ops that insert a dimension
  void want_floating(int i) const;
  void want_rank(int i, int rank) const;
  void want_same_dtype() const;                    // of all present operands
};

/// What a vjp may ask for. Gradients are written with public ops, so they run, trace and differentiate.
class Backward {
 public:
  Backward(const std::shared_ptr<Node>& node, std::span<const Tensor> grads) : node_(node), grads_(grads) {}
  Tensor grad(int output = 0) const;               // zeros when nothing depends on that output
  bool has_grad(int output) const { return static_cast<bool>(grads_[static_cast<size_t>(output)]); }
  Tensor in(int i) const;                          // only those that the op's Saves name; absent when it was not given
  Tensor out(int i = 0) const;                     // likewise
  const Meta& in_meta(int i) const;
  const Meta& out_meta(int i = 0) const;
  int inputs() const;
  bool given(int i) const { return i < inputs() && in_meta(i).present(); }
  bool needs(int i) const;                         // does anything want the gradient of operand i?
  template <class A>
  const A& attrs() const { return attrs_ref().as<A>(); }

 private:
  AttrsRef attrs_ref() const;
  const std::shared_ptr<Node>& node_;
  std::span<const Tensor> grads_;
};

/// Which operands and results the vjp reads, as bit masks; training keeps nothing else alive.
struct Saves {
  uint32_t inputs = 0, outputs = 0;
};

/// What passes and executors may assume.
struct Traits {
  bool pointwise = false;                          // result i depends on element i of each (broadcast) operand only
  bool view = false;                               // the result is the operand's bytes, described by strides and offset
  bool random = false;                             // not to be folded or merged
};

/// What kind of op it is, for passes and benches that treat kinds alike.
enum class Role : uint8_t { other, conv, product, attention, norm, pool, pointwise, move, count_ };
constexpr Role last_of(Role) { return Role::move; }
std::string_view name_of(Role r);                  // "conv"

struct Epilogue;
/// Where an op that takes an Epilogue (engine/core/epilogue.h) has it.
struct EpilogueSlot {
  int at = -1;                                     // bytes into the attributes; -1: it takes none
  int residual = -1;                               // the operand that is added; -1: none can be
};

struct OpDef {
  // "conv(x, w, b?, residual?) -> y": used by errors, docs and printing
  const char* signature;
  Metas (*infer)(const Site&);                     // shape and dtype rule; the only place that rejects operands
  Tensors (*vjp)(const Backward&) = nullptr;       // one gradient per operand (absent: none); null: not differentiable
  Saves saves = {};
  Traits traits = {};
  int64_t (*offset)(const Site&) = nullptr;        // views: where the result starts in the operand, in elements
  Saves (*saves_for)(AttrsRef) = nullptr;          // instead of `saves` where attributes decide what vjp reads
  Role role = Role::other;
  int64_t (*work)(const Site&) = nullptr;          // multiply-adds of products; null: none
  EpilogueSlot epilogue = {};
  std::string_view name() const;                   // "conv"
  /// x by weights (operand 1) and a bias, then an epilogue: conv, linear and what passes make of them.
  bool takes_weights() const { return work && epilogue.at >= 0; }
  /// "w" for operand 1 of conv. A name with dots stands for all operands from its place on, "x2".
  std::string operand(size_t at) const;
  const Epilogue& epilogue_in(AttrsRef attrs) const;       // of an op that takes one
  void set_epilogue(Attrs& attrs, const Epilogue& e) const;
};

/// Checks, infers, hands the op to the current executor and links the results to the tape where gradients are wanted.
Tensors call(const OpDef& op, std::span<const Tensor> in, AttrsRef attrs);
inline Tensors call(const OpDef& op, std::initializer_list<Tensor> in, AttrsRef attrs = {}) {
  return call(op, std::span(in.begin(), in.size()), attrs);
}
template <class A>
Tensors call(const OpDef& op, std::initializer_list<Tensor> in, const A& attrs) {
  return call(op, std::span(in.begin(), in.size()), AttrsRef::of(attrs));
}
template <class A>
Tensor call1(const OpDef& op, std::initializer_list<Tensor> in, const A& attrs) { return call(op, in, attrs)[0]; }
inline Tensor call1(const OpDef& op, std::initializer_list<Tensor> in) { return call(op, in)[0]; }

/// Who carries ops out: Eager runs them, a Tracer writes them down. One per thread; Eager unless a Tracer is active.
struct Executor {
  virtual ~Executor() = default;
  virtual Tensors emit(const Site& site, std::span<const Tensor> in, Metas out) = 0;
};
Executor& executor();
class UseExecutor {                                // for the lifetime of this object, on this thread
 public:
  explicit UseExecutor(Executor& e);
  ~UseExecutor();
  UseExecutor(const UseExecutor&) = delete;
  UseExecutor& operator=(const UseExecutor&) = delete;

 private:
  Executor* before_;
};

// Rules that many infer functions share.
Metas same_as(const Meta& m);                      // shape, dtype and memory order of m, dense
Meta dense_like(const Meta& m, const Shape& s);    // dtype and memory order of m, another shape
Shape broadcast(const Site& s, const Shape& a, const Shape& b);      // NumPy's rule; fails through the site

}  // namespace fovea
