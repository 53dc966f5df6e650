// SPDX-License-Identifier: Apache-2.0
// engine/graph/trace.cpp — the Tracer: an executor that writes steps down instead of running them.
#include "engine/graph/trace.h"

#include <atomic>
#include <unordered_map>

#include "engine/core/scope.h"
#include "engine/ops/ops.h"

namespace fovea {
namespace {

uint64_t next_id() {
  static std::atomic<uint64_t> counter{1};
  return counter.fetch_add(1, std::memory_order_relaxed);
}

class Tracer final : public Executor {
 public:
  explicit Tracer(const StateDict* names) : id_(next_id()) {
    if (!names) return;
    for (const auto& [name, tensor] : *names)
      if (tensor) names_.emplace(tensor.impl(), name);
  }

  Tensors emit(const Site& site, std::span<const Tensor> in, Metas out) override {
    Step step{&site.op, Attrs(site.attrs_ref), {}, {}, current_scope()};
    for (size_t i = 0; i < in.size(); ++i) step.in.push_back(in[i] ? value_of(in[i], site.op, i, step.scope) : -1);
    Tensors results;
    for (const Meta& m : out) {
      step.out.push_back(graph.add_value(m));
      results.push_back(traced(step.out.back()));
    }
    graph.steps.push_back(std::move(step));
    return results;
  }

  /// A tensor without bytes that stands for a value of the graph.
  Tensor traced(int value) const {
    Tensor t = meta_tensor(graph.meta(value));
    t.impl()->trace = id_;
    t.impl()->value = value;
    return t;
  }

  /// The number of a result; one that does not come from a step here is a constant.
  int result(const Tensor& t, std::string name) { return known(t) ? t.impl()->value : constant(t, std::move(name)); }

  Graph graph;

 private:
  bool known(const Tensor& t) const {
    if (t.impl()->trace == id_) return true;
    if (t.impl()->trace != 0)
      throw Error(Error::Kind::argument, str_cat("a traced value (", t.meta(), ") was used in another trace"),
                  "it has no values to capture; make it an input of the inner trace");
    return false;
  }

  int value_of(const Tensor& t, const OpDef& op, size_t operand, const std::string& scope) {
    if (known(t)) return t.impl()->value;
    return constant(t, str_cat(scope, scope.empty() ? "" : ".", op.operand(operand)));
  }

  int constant(const Tensor& t, std::string fallback) {
    const auto [it, first] = captured_.try_emplace(t.impl(), -1);
    if (first) {
      const auto named = names_.find(t.impl());
      it->second = graph.add_constant(t.detach(), named != names_.end() ? named->second : std::move(fallback));
      kept_.push_back(t);                          // while tracing no other tensor may take its address
    }
    return it->second;
  }

  uint64_t id_;
  std::unordered_map<const TensorImpl*, std::string> names_;
  std::unordered_map<const TensorImpl*, int> captured_;
  Tensors kept_;
};

// The slots hold traced values while this lives, then again what they held before.
class HeldSlots {
 public:
  HeldSlots(const std::vector<Slot>& slots, Tracer& tracer) : slots_(slots) {
    for (const Slot& s : slots) {
      if (!s.tensor || !*s.tensor)
        throw Error(Error::Kind::argument, str_cat("trace: state '", s.name, "' holds no tensor"));
      for (const Tensor& other : before_)
        if (other.same(*s.tensor))
          throw Error(Error::Kind::argument,
                      str_cat("trace: state '", s.name, "' holds a tensor that is listed already"));
      before_.push_back(*s.tensor);
    }
    for (const Slot& s : slots) {
      const Tensor held = *s.tensor;
      const Meta m{held.dtype(), held.device(), held.shape(), strides_for(held.shape(), held.meta().memory())};
      const int in = tracer.graph.add_value(m, s.name);
      tracer.graph.state.push_back({s.name, in, in, held.detach()});
      *s.tensor = tracer.traced(in);
      if (held.requires_grad() && !held.impl()->node) s.tensor->set_requires_grad();
    }
  }
  ~HeldSlots() {
    for (size_t i = 0; i < before_.size(); ++i) *slots_[i].tensor = before_[i];
  }
  HeldSlots(const HeldSlots&) = delete;
  HeldSlots& operator=(const HeldSlots&) = delete;

  // What the slots hold now is their value after a run.
  void take_results(Tracer& tracer) {
    for (size_t i = 0; i < slots_.size(); ++i) {
      State& s = tracer.graph.state[i];
      const Tensor now = *slots_[i].tensor;
      const Meta want = tracer.graph.meta(s.in);
      if (!now || now.shape() != want.shape || now.dtype() != want.dtype)
        throw Error(Error::Kind::argument, str_cat("trace: state '", s.name, "' was ", want, " and became ",
                                                   now ? str_cat(now.meta()) : "absent"));
      int value = tracer.result(now, s.name);
      if (tracer.graph.meta(value) != want)
        value = tracer.result(call1(ops::copy, {now}, CopyAttrs{want.memory()}), s.name);
      s.out = value;
    }
  }

 private:
  const std::vector<Slot>& slots_;
  Tensors before_;
};

}  // namespace

Graph trace(const Traceable& f, std::span<const Meta> in, const TraceOptions& o) {
  Tracer tracer(o.names);
  Tensors inputs;
  for (size_t i = 0; i < in.size(); ++i) {
    std::string name = i < o.input_names.size() ? o.input_names[i] : in.size() == 1 ? "input" : str_cat("input", i);
    tracer.graph.inputs.push_back(tracer.graph.add_value(dense_like(in[i], in[i].shape), std::move(name)));
    inputs.push_back(tracer.traced(tracer.graph.inputs.back()));
  }
  HeldSlots slots(o.state, tracer);
  {
    const UseExecutor use(tracer);
    const Tensors out = f(inputs);
    for (size_t i = 0; i < out.size(); ++i) {
      if (!out[i]) throw Error(Error::Kind::argument, str_cat("trace: result ", i, " is absent"));
      tracer.graph.outputs.push_back(tracer.result(out[i], str_cat("output", i)));
    }
    slots.take_results(tracer);
  }
  return std::move(tracer.graph);
}

}  // namespace fovea
