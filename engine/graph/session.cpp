// SPDX-License-Identifier: Apache-2.0
// engine/graph/session.cpp — running a compiled graph: resolved addresses, one loop over plans.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

#include "engine/core/cancel.h"
#include "engine/core/threads.h"
#include "engine/core/watch.h"
#include "engine/graph/busy.h"
#include "engine/graph/program.h"
#include "engine/graph/quiet.h"
#include "engine/ops/ops.h"

namespace fovea {
namespace {

struct Patch {                                     // an operand whose address each run's input decides
  size_t operand;
  int input;
  int64_t offset;
};

// An input that lies otherwise than the graph wants is brought into order here first.
struct Staging {
  Meta from;
  PlanPtr plan;
  Tensor held;
};

// Another tensor of the same values, whatever is being traced.
Tensor copied(const Tensor& t, Memory order) {
  const Quiet quiet;
  return call1(ops::copy, {t}, CopyAttrs{order});
}

Tensor at_bytes(const std::shared_ptr<Storage>& storage, const Meta& m, int64_t offset) {
  auto impl = std::make_shared<TensorImpl>();
  impl->meta = m;
  impl->storage = storage;
  impl->offset = offset / static_cast<int64_t>(size_of(m.dtype));
  return Tensor(std::move(impl));
}

}  // namespace

struct Session::Workspace {
  Workspace(const Program& p, const std::vector<Tensor>& state_values);

  std::vector<const std::byte*> in;                // of all steps, one behind the other
  std::vector<std::byte*> out;
  std::vector<Patch> patches;
  std::vector<Staging> staging;                    // one an input
  std::vector<const std::byte*> given;             // the inputs' addresses in this run
  std::vector<std::shared_ptr<Storage>> memory;    // on devices: all of the session's that steps touch
  // source of what is copied into state after a run, and bytes
  std::vector<std::pair<const std::byte*, size_t>> state_from;
  std::vector<std::byte*> state_to;
  std::vector<Tensor> state;
  StateDict named_state;
  Tensors results;
  // the latter where bringing an input into order needs more than the steps do
  std::shared_ptr<Storage> arena, larger_scratch;
  size_t scratch_bytes = 0;
  std::byte* scratch = nullptr;

  std::atomic<bool> busy{false};

  Busy hold() { return {busy, "Session", "fork() gives each thread a session of its own"}; }
  /// Before a run: what other streams do with its memory, and with these inputs, comes before it or after it.
  void order(Fence& fence, std::span<const Tensor> inputs) const;
  const std::byte* staged(size_t input, const Meta& from, const Meta& to, const std::byte* bytes, Stream& stream);

  // A result of an earlier run, or state, given as input: the steps would write over it while they read it.
  bool owns(const Tensor& t) const {
    const std::shared_ptr<Storage>& s = t.impl()->storage;
    return s == arena ||
           std::any_of(state.begin(), state.end(), [&](const Tensor& mine) { return mine.impl()->storage == s; });
  }

 private:
  const std::byte* address(const Program& p, const Place& place) const;
  const std::byte* address(const Program& p, const Operand& o) const;
  void resolve(const Program& p);
  void gather_memory(const Program& p);
};

const std::byte* Session::Workspace::address(const Program& p, const Place& place) const {
  switch (place.kind) {
    case Place::Kind::arena: return arena->data + place.offset;
    case Place::Kind::state: return state[static_cast<size_t>(place.index)].bytes() + place.offset;
    case Place::Kind::constant: return p.graph.values[static_cast<size_t>(place.index)].constant.bytes() + place.offset;
    default: return nullptr;
  }
}

const std::byte* Session::Workspace::address(const Program& p, const Operand& o) const {
  if (o.packed < 0) return address(p, o.place);
  const PackedConstant& c = p.packs[static_cast<size_t>(o.packed)];
  return c.memory->data + c.at;
}

Session::Workspace::Workspace(const Program& p, const std::vector<Tensor>& state_values) {
  arena = allocate(p.target.device, static_cast<size_t>(p.graph.arena_bytes) + p.scratch + 64);
  scratch = arena->data + p.graph.arena_bytes;
  scratch_bytes = p.scratch;
  for (size_t i = 0; i < p.graph.state.size(); ++i) {
    const State& s = p.graph.state[i];
    const Meta& m = p.graph.meta(s.in);
    state.push_back(copied(state_values[i], m.memory()));
    named_state.set(s.name, state.back());
  }
  staging.resize(p.graph.inputs.size());
  given.resize(p.graph.inputs.size());
  resolve(p);
  if (!is_host(p.target.device)) gather_memory(p);
}

void Session::Workspace::gather_memory(const Program& p) {
  memory = {arena};                                // state was allocated on its stream
  for (const PackedConstant& c : p.packs)
    if (std::find(memory.begin(), memory.end(), c.memory) == memory.end()) memory.push_back(c.memory);
  for (const Value& v : p.graph.values)
    if (v.constant && v.constant.has_bytes()) memory.push_back(v.constant.impl()->storage);
}

void Session::Workspace::order(Fence& fence, std::span<const Tensor> inputs) const {
  for (const std::shared_ptr<Storage>& s : memory) fence.use(*s);
  for (const Staging& s : staging)
    if (s.held) fence.use(*s.held.impl()->storage);
  if (larger_scratch) fence.use(*larger_scratch);
  for (const Tensor& t : inputs)
    if (t.has_bytes()) t.bytes(), fence.use(*t.impl()->storage);
}

void Session::Workspace::resolve(const Program& p) {
  for (const PlannedStep& s : p.steps) {
    for (const Operand& o : s.in) {
      if (o.place.kind == Place::Kind::input) patches.push_back({in.size(), o.place.index, o.place.offset});
      in.push_back(address(p, o));
    }
    for (const Place& place : s.out) out.push_back(const_cast<std::byte*>(address(p, place)));
  }
  for (size_t i = 0; i < p.graph.state.size(); ++i) {
    const State& s = p.graph.state[i];
    const std::byte* from = address(p, p.graph.places[static_cast<size_t>(s.out)]);
    std::byte* to = state[i].bytes();
    if (s.out == s.in || from == to) continue;
    state_from.emplace_back(from, static_cast<size_t>(p.graph.meta(s.in).bytes()));
    state_to.push_back(to);
  }
  for (int v : p.graph.outputs) {
    const Place& place = p.graph.places[static_cast<size_t>(v)];
    const bool in_state = place.kind == Place::Kind::state;
    const Tensor* slot = in_state ? &state[static_cast<size_t>(place.index)] : nullptr;
    results.push_back(at_bytes(in_state ? slot->impl()->storage : arena, p.graph.meta(v), place.offset));
  }
}

// Copies an input into the order that was planned.
const std::byte* Session::Workspace::staged(size_t input, const Meta& from, const Meta& to, const std::byte* bytes,
                                            Stream& stream) {
  Staging& s = staging[input];
  if (!s.plan || s.from != from) {
    const CopyAttrs attrs{to.memory()};
    const Meta in_meta[] = {from}, out_meta[] = {to};
    s = {from, cached_plan({ops::copy, in_meta, out_meta, AttrsRef::of(attrs)}), s.held ? s.held : empty(to)};
    if (s.plan->scratch > scratch_bytes) {
      larger_scratch = allocate(to.device, s.plan->scratch);
      scratch = larger_scratch->data;
      scratch_bytes = s.plan->scratch;
    }
  }
  std::byte* target = s.held.bytes();
  s.plan->run({&bytes, &target, scratch}, stream);
  return target;
}

Session::Session() = default;
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

Session::Session(std::shared_ptr<const Program> program, const Tensors& state)
    : program_(std::move(program)), work_(std::make_unique<Workspace>(*program_, state)) {}

const Session::Program& Session::program() const {
  if (!program_) throw Error(Error::Kind::argument, "an empty Session was used", "compile() makes one");
  return *program_;
}

// Checks the inputs, and copies those that lie otherwise into the order that was planned.
void Session::take_inputs(std::span<const Tensor> in, Stream& stream) {
  const Program& p = program();
  if (in.size() != p.graph.inputs.size())
    throw Error(Error::Kind::argument,
                str_cat("run() with ", in.size(), " inputs, the graph has ", p.graph.inputs.size()));
  for (size_t i = 0; i < in.size(); ++i) {
    const Value& want = p.graph.values[static_cast<size_t>(p.graph.inputs[i])];
    const Meta& m = in[i].meta();
    if (m.shape != want.meta.shape || m.dtype != want.meta.dtype || m.device != want.meta.device)
      throw Error(Error::Kind::shape,
                  str_cat("run(): ", want.name, " is ", m, ", the graph was compiled for ", p.inputs[i]),
                  m.device != want.meta.device ? str_cat("to() copies it to ", want.meta.device)
                                               : "compile again for another shape");
    const std::byte* bytes = in[i].bytes();
    const bool fits = m.strides == want.meta.strides || (m.is_contiguous() && want.meta.is_contiguous());
    work_->given[i] = fits && !work_->owns(in[i]) ? bytes : work_->staged(i, m, want.meta, bytes, stream);
  }
  for (const Patch& patch : work_->patches)
    work_->in[patch.operand] = work_->given[static_cast<size_t>(patch.input)] + patch.offset;
}

template <class Around>
void Session::run_steps(std::span<const Tensor> given, Around around) {
  const UseThreads use(program_->target.threads);
  for (const std::shared_ptr<const PlanFile>& file : program_->files) file->check();
  Workspace& m = *work_;
  Stream stream = current_stream(program_->target.device);
  Fence fence(stream);
  if (stream.handle) m.order(fence, given);
  take_inputs(given, stream);
  const std::byte* const* in = m.in.data();
  std::byte* const* out = m.out.data();
  for (const PlannedStep& s : program_->steps) {
    check_cancelled();
    around([&] { s.plan->run({in, out, m.scratch}, stream); });
    in += s.in.size();
    out += s.out.size();
  }
  // Constants that were written over meanwhile give no answer.
  for (const std::shared_ptr<const PlanFile>& file : program_->files) file->check();
  if (m.state_to.empty()) return;
  const Runtime& runtime = runtime_of(stream.device);
  for (size_t i = 0; i < m.state_to.size(); ++i)
    runtime.copy(m.state_to[i], m.state_from[i].first, m.state_from[i].second, stream);
}

void Session::run_all(std::span<const Tensor> in) {
  run_steps(in, [](const auto& step) { step(); });
}

std::span<const Tensor> Session::run_borrowed(std::span<const Tensor> in) {
  program();
  const Busy busy = work_->hold();
  run_all(in);
  return work_->results;
}

Tensors Session::run(std::span<const Tensor> in) {
  program();
  const Busy busy = work_->hold();                 // until the results are copied
  run_all(in);
  Tensors own;
  for (const Tensor& t : work_->results) {
    const Meta& m = t.meta();
    if (!m.is_contiguous() && !m.is_channels_last()) {
      own.push_back(copied(t, Memory::contiguous));
      continue;
    }
    own.push_back(empty(m));
    const TensorImpl& from = *t.impl();
    copy_bytes(*from.storage, from.offset * static_cast<int64_t>(size_of(m.dtype)), *own.back().impl()->storage, 0,
               m.bytes());
  }
  return own;
}

std::vector<double> Session::profile(std::span<const Tensor> in) {
  using Clock = std::chrono::steady_clock;
  program();
  const Busy busy = work_->hold();
  const Device device = program_->target.device;
  std::vector<double> seconds;
  seconds.reserve(program_->steps.size());
  Watch* const told = watch();
  run_steps(in, [&](const auto& step) {
    synchronize(device);
    if (told) told->step_begins();
    const Clock::time_point before = Clock::now();
    step();
    synchronize(device);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - before).count());
    if (told) told->step_ended();
  });
  return seconds;
}

Session Session::fork() const {
  program();
  Session other;
  other.program_ = program_;
  std::optional<Busy> busy;                        // a run changes the state; without any, forks may be made meanwhile
  if (!work_->state.empty()) busy.emplace(work_->busy, "Session", "fork() it before it runs on another thread");
  other.work_ = std::make_unique<Workspace>(*program_, work_->state);
  return other;
}

const StateDict& Session::state() const { return program(), work_->named_state; }
const std::vector<StepInfo>& Session::steps() const { return program().info; }
const Graph& Session::graph() const { return program().graph; }
std::vector<Meta> Session::inputs() const { return program().inputs; }
int64_t Session::arena_bytes() const { return program().graph.arena_bytes + static_cast<int64_t>(program_->scratch); }
int64_t Session::constant_bytes() const { return program().constant_bytes; }
int64_t Session::shared_bytes() const { return program().shared_bytes; }

}  // namespace fovea
