// SPDX-License-Identifier: Apache-2.0
// engine/graph/compile.cpp — compile(): passes, then a plan, packed constants and addresses for every step.
#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "engine/core/cancel.h"
#include "engine/core/scope.h"
#include "engine/core/threads.h"
#include "engine/graph/passes/passes.h"
#include "engine/graph/program.h"
#include "engine/graph/quiet.h"
#include "engine/ops/ops.h"

namespace fovea {
namespace {

bool listed(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void check_pass_names(const Target& t) {
  const std::vector<std::string> known = passes_but("");
  for (const std::string& name : t.without)
    if (!listed(known, name))
      throw Error(Error::Kind::argument, str_cat("no pass '", name, "' to leave out"),
                  str_cat("passes: ", join(known, " ")));
}

void check_values(const Graph& g, const Target& t) {
  std::vector<std::string> missing;
  for (const Value& v : g.values) {
    if (v.meta.device != t.device)
      throw Error(Error::Kind::argument,
                  str_cat("compile for ", t.device, ": ", v.name.empty() ? "a value" : v.name.c_str(),
                          " was traced on ", v.meta.device));
    if (v.constant && !v.constant.has_bytes()) missing.push_back(v.name);
  }
  for (const State& s : g.state)
    if (!s.initial.has_bytes()) missing.push_back(s.name);
  if (missing.empty()) return;
  const size_t more = missing.size() > 4 ? missing.size() - 4 : 0;
  missing.resize(missing.size() - more);
  throw Error(Error::Kind::weights,
              str_cat("compile: no values for ", join(missing, ", "), more ? str_cat(" and ", more, " more") : ""),
              "load() weights or materialise() the model before tracing");
}

}  // namespace

void Session::Program::add(const Step& s, const Site& site, PlannedStep planned) {
  StepInfo i{.scope = s.scope,
             .op = s.op->name(),
             .role = s.op->role,
             .plan = planned.plan->name,
             .attrs = to_string(site.attrs_ref),
             .in = Metas(site.in.begin(), site.in.end()),
             .out = Metas(site.out.begin(), site.out.end()),
             .bytes = 0,
             .flops = s.op->work ? 2 * s.op->work(site) : 0};
  for (const Metas& metas : {i.in, i.out})
    for (const Meta& m : metas) i.bytes += m.present() ? m.bytes() : 0;
  scratch = std::max(scratch, (planned.plan->scratch + 63) & ~size_t{63});
  steps.push_back(std::move(planned));
  info.push_back(std::move(i));
}

namespace {

bool same_bytes(const Tensor& a, const Tensor& b) {
  if (a.bytes() == b.bytes()) return true;
  const Tensor x = on_host(a), y = on_host(b);
  return std::memcmp(x.bytes(), y.bytes(), static_cast<size_t>(span_of(a.meta())) * size_of(a.dtype())) == 0;
}

}  // namespace

Tensor PackedConstant::tensor() const {
  auto impl = std::make_shared<TensorImpl>();
  impl->meta = make_meta(DType::u8, {bytes}, Memory::contiguous, memory->device);
  impl->storage = memory;
  impl->offset = at;
  return Tensor(std::move(impl));
}

const PackedConstant* Session::Program::find(const PackedConstant& want) const {
  for (const PackedConstant& c : packs)
    if (c.bytes == want.bytes && c.name == want.name && same_bytes(c.tensor(), want.tensor())) return &c;
  return nullptr;
}

const Tensor* Session::Program::find(const Value& want) const {
  for (const Value& v : graph.values)
    if (v.constant && v.name == want.name && v.meta == want.meta && v.constant.has_bytes() &&
        same_bytes(v.constant, want.constant))
      return &v.constant;
  return nullptr;
}

class Compiler {
 public:
  Compiler(Graph g, const Target& t, std::span<const Session* const> sharing)
      : program_(std::make_shared<Session::Program>()) {
    program_->graph = std::move(g);
    program_->target = t;
    if (t.threads == 0) program_->target.threads = threads();
    for (const Session* s : sharing)
      if (s && s->program_ && s->program_->target.device == t.device) others_.push_back(s->program_.get());
  }

  Session run() {
    const Quiet quiet;
    const Target& t = program_->target;
    const UseThreads use(t.threads);
    Graph& g = program_->graph;
    check_pass_names(t);
    check_values(g, t);
    for (int v : g.inputs) program_->inputs.push_back(g.meta(v));
    g.verify();
    rewrite();
    for (const Step& s : g.steps)
      if (!s.op->traits.view) plan(s);
    for (size_t v = 0; v < plain_.size(); ++v)
      if (!plain_[v] && left_to_pack_[v] == 0) drop(v);
    for (const Session::Program* other : others_) share_plain(*other);
    pack();
    Tensors state;                                 // the session works on a copy
    for (State& s : g.state) state.push_back(std::exchange(s.initial, meta_tensor(s.initial.meta())));
    return Session(std::move(program_), state);
  }

 private:
  struct Pack {
    int value;
    PlanPtr plan;
    int operand;
  };

  void rewrite() {
    Graph& g = program_->graph;
    for (const Pass& p : pass_table()) run_pass(p, g, program_->target);
    if (g.places.empty()) passes::place_apart(g);
    passes::check_places(g);
    plain_.assign(g.values.size(), false);
    taken_.assign(g.values.size(), false);
    left_to_pack_.assign(g.values.size(), 0);
  }

  void plan(const Step& s) {
    check_cancelled();
    const Graph& g = program_->graph;
    const Scope scope(s.scope);
    const StepSite borrowed(g, s);
    const Site site = borrowed.site();
    PlannedStep planned{cached_plan(site), {}, {}};
    for (size_t i = 0; i < s.in.size(); ++i)
      planned.in.push_back(operand(planned.plan, site, s.in[i], static_cast<int>(i)));
    for (int v : s.out) planned.out.push_back(g.places[static_cast<size_t>(v)]);
    program_->add(s, site, std::move(planned));
  }

  Operand operand(const PlanPtr& plan, const Site& site, int v, int i) {
    if (v < 0) return {};
    const Graph& g = program_->graph;
    const Place& place = g.places[static_cast<size_t>(v)];
    if (const size_t bytes = site.is_constant(i) ? plan->packed_bytes(i) : 0) {
      const auto [pack, first] = numbers_.try_emplace({v, plan.get(), i}, static_cast<int>(packs_.size()));
      if (first) {
        packs_.push_back({v, plan, i});
        program_->packs.push_back({value(static_cast<size_t>(v)).name, static_cast<int64_t>(bytes)});
        ++left_to_pack_[static_cast<size_t>(v)];
      }
      return {place, pack->second};
    }
    if (place.kind == Place::Kind::constant) plain_[static_cast<size_t>(place.index)] = true;
    return {place};
  }

  // What others have in the same form is taken from them. Whether it is the same is seen from the bytes.
  void share_plain(const Session::Program& other) {
    for (size_t v = 0; v < plain_.size(); ++v)
      if (const Tensor* const same = plain_[v] && !taken_[v] ? other.find(value(v)) : nullptr) {
        value(v).constant = *same;
        taken_[v] = true;
        shared_from(other, value(v).meta.bytes());
      }
  }
  void shared_from(const Session::Program& other, int64_t bytes) {
    program_->shared_bytes += bytes;
    std::vector<std::shared_ptr<const PlanFile>>& files = program_->files;
    for (const std::shared_ptr<const PlanFile>& file : other.files)
      if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }

  // One copy of the weights: what runs on its packed form alone lets go of the plain one at once.
  void pack() {
    for (const PackedConstant& c : program_->packs) program_->constant_bytes += c.room();
    for (size_t v = 0; v < plain_.size(); ++v)
      if (plain_[v]) program_->constant_bytes += value(v).meta.bytes();
    if (others_.empty()) return pack_together();
    for (size_t i = 0; i < packs_.size(); ++i) pack_apart(i);
  }
  // The first session of some weights has its constants in one piece of memory.
  void pack_together() {
    int64_t all = 0;
    for (PackedConstant& c : program_->packs) c.at = std::exchange(all, all + c.room());
    if (all == 0) return;
    const std::shared_ptr<Storage> memory = allocate(program_->target.device, static_cast<size_t>(all));
    for (size_t i = 0; i < packs_.size(); ++i) {
      check_cancelled();
      PackedConstant& c = program_->packs[i];
      c.memory = memory;
      if (is_host(memory->device)) pack_to(i, memory->data + c.at);
      else upload(*packed_on_host(i), *memory, c.at);
      packed(packs_[i]);
    }
  }
  // Of a further one each has its own, so that a session that shares one of them later keeps no other.
  void pack_apart(size_t i) {
    check_cancelled();
    PackedConstant& c = program_->packs[i];
    c.memory = packed_on_host(i);
    const PackedConstant* same = nullptr;
    for (const Session::Program* other : others_)
      if (!same && (same = other->find(c))) shared_from(*other, c.room());
    if (same) {
      c.at = same->at;
      c.memory = same->memory;
    } else if (const Device d = program_->target.device; !is_host(d)) {
      const std::shared_ptr<Storage> here = std::exchange(c.memory, allocate(d, static_cast<size_t>(c.room())));
      upload(*here, *c.memory, 0);
    }
    packed(packs_[i]);
  }
  // Kernels pack on the host, and the last bytes of a piece are zeros.
  void pack_to(size_t i, std::byte* to) {
    const Pack& p = packs_[i];
    const PackedConstant& c = program_->packs[i];
    const Tensor plain = on_host(value(static_cast<size_t>(p.value)).constant);
    p.plan->pack(p.operand, plain.bytes(), to);
    std::memset(to + c.bytes, 0, static_cast<size_t>(c.room() - c.bytes));
  }
  std::shared_ptr<Storage> packed_on_host(size_t i) {
    std::shared_ptr<Storage> here = allocate(cpu(), static_cast<size_t>(program_->packs[i].room()));
    pack_to(i, here->data);
    return here;
  }
  void upload(const Storage& here, const Storage& to, int64_t at) {
    runtime_of(to.device).upload(to.data + at, here.data, here.bytes, {to.device, to.stream});
  }
  void packed(const Pack& p) {
    const auto v = static_cast<size_t>(p.value);
    if (--left_to_pack_[v] == 0 && !plain_[v]) drop(v);
  }
  void drop(size_t v) {
    if (value(v).constant) value(v).constant = meta_tensor(value(v).meta);
  }

  Value& value(size_t v) { return program_->graph.values[v]; }

  std::shared_ptr<Session::Program> program_;
  std::vector<const Session::Program*> others_;    // whose constants may be taken
  std::vector<bool> plain_;                        // per value: a constant whose own bytes some step reads
  std::vector<int> left_to_pack_;                  // per value: in how many forms it is still to be packed
  std::map<std::tuple<int, const Plan*, int>, int> numbers_;           // in Program::packs
  std::vector<Pack> packs_;                        // what is to be packed, one an entry of Program::packs
  std::vector<bool> taken_;                        // per value: a plain constant that is another session's already
};

Session compile(Graph graph, const Target& target, std::span<const Session* const> sharing) {
  return Compiler(std::move(graph), target, sharing).run();
}

}  // namespace fovea
