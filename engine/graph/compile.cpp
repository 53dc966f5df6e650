// SPDX-License-Identifier: Apache-2.0
// engine/graph/compile.cpp — compile(): passes, then a plan, packed constants and addresses for every step.
#include <algorithm>
#include <cstring>
#include <map>

#include "engine/core/cancel.h"
#include "engine/core/scope.h"
#include "engine/core/threads.h"
#include "engine/graph/compile_like.h"
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
      throw Error(Error::Kind::argument, cat("no pass '", name, "' to leave out"), cat("passes: ", join(known, " ")));
}

void check_values(const Graph& g, const Target& t) {
  std::vector<std::string> missing;
  for (const Value& v : g.values) {
    if (v.meta.device != t.device)
      throw Error(Error::Kind::argument,
                  cat("compile for ", t.device, ": ", v.name.empty() ? "a value" : v.name.c_str(), " was traced on ",
                      v.meta.device));
    if (v.constant && !v.constant.has_bytes()) missing.push_back(v.name);
  }
  for (const State& s : g.state)
    if (!s.initial.has_bytes()) missing.push_back(s.name);
  if (missing.empty()) return;
  const size_t more = missing.size() > 4 ? missing.size() - 4 : 0;
  missing.resize(missing.size() - more);
  throw Error(Error::Kind::weights,
              cat("compile: no values for ", join(missing, ", "), more ? cat(" and ", more, " more") : ""),
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

class Compiler {
 public:
  Compiler(Graph g, const Target& t) : program_(std::make_shared<Session::Program>()) {
    program_->graph = std::move(g);
    program_->target = t;
    if (t.threads == 0) program_->target.threads = threads();
  }

  Session run(const Session* like = nullptr) {
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
    pack();
    if (like && like->program_) borrow(like->program_);
    Tensors state;                                 // the session works on a copy
    for (State& s : g.state) state.push_back(std::exchange(s.initial, meta_tensor(s.initial.meta())));
    return Session(std::move(program_), state);
  }

 private:
  struct Pack {
    int value;
    PlanPtr plan;
    int operand;
    int64_t at;
  };

  void rewrite() {
    Graph& g = program_->graph;
    for (const Pass& p : pass_table()) run_pass(p, g, program_->target);
    if (g.places.empty()) passes::place_apart(g);
    passes::check_places(g);
    plain_.assign(g.values.size(), false);
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
      const auto [pack, first] = packs_.try_emplace({v, plan.get(), i}, packed_bytes_);
      if (first) {
        order_.push_back({v, plan, i, packed_bytes_});
        packed_bytes_ += (static_cast<int64_t>(bytes) + 63) & ~int64_t{63};
        ++left_to_pack_[static_cast<size_t>(v)];
      }
      return {place, pack->second};
    }
    if (place.kind == Place::Kind::constant) plain_[static_cast<size_t>(place.index)] = true;
    return {place};
  }

  // One copy of the weights, in one piece of memory: what runs on its packed form alone lets go of the plain one at
  // once.
  void pack() {
    if (packed_bytes_ > 0) program_->packed = allocate(program_->target.device, static_cast<size_t>(packed_bytes_));
    for (size_t v = 0; v < plain_.size(); ++v) {
      if (plain_[v]) program_->constant_bytes += program_->graph.values[v].meta.bytes();
      else if (left_to_pack_[v] == 0) drop(v);
    }
    for (const Pack& p : order_) {
      check_cancelled();
      const auto v = static_cast<size_t>(p.value);
      pack(p, program_->graph.values[v].constant);
      if (--left_to_pack_[v] == 0 && !plain_[v]) drop(v);
    }
    program_->constant_bytes += packed_bytes_;
  }
  // Kernels pack on the host.
  void pack(const Pack& p, const Tensor& constant) {
    const Tensor here = on_host(constant);
    const Storage& to = *program_->packed;
    if (is_host(to.device)) return p.plan->pack(p.operand, here.bytes(), to.data + p.at);
    const size_t bytes = p.plan->packed_bytes(p.operand);
    const std::shared_ptr<Storage> packed = allocate(cpu(), bytes);
    p.plan->pack(p.operand, here.bytes(), packed->data);
    runtime_of(to.device).upload(to.data + p.at, packed->data, bytes, {to.device, to.stream});
  }
  struct Piece {
    int64_t at = 0;
    bool lent = false;
  };

  // Packed constants that the lender has are given up, and the others moved together.
  void borrow(const std::shared_ptr<const Session::Program>& lender) {
    if (!program_->packed || !lender->packed || !is_host(program_->target.device)) return;
    std::multimap<size_t, int64_t> theirs;         // places, by size
    for (const PlannedStep& s : lender->steps)
      for (size_t i = 0; i < s.in.size(); ++i)
        if (s.in[i].packed >= 0 && !s.in[i].lent)
          theirs.emplace(s.plan->packed_bytes(static_cast<int>(i)), s.in[i].packed);
    const std::byte *const mine = program_->packed->data, *const lent = lender->packed->data;
    std::map<int64_t, Piece> pieces;               // by the place before
    int64_t left = 0;
    for (const Pack& p : order_) {
      const size_t bytes = p.plan->packed_bytes(p.operand);
      const auto [from, to] = theirs.equal_range(bytes);
      const auto same = std::find_if(from, to, [&](const auto& t) { return !std::memcmp(lent + t.second, mine + p.at, bytes); });
      pieces[p.at] = same != to ? Piece{same->second, true} : Piece{left, false};
      if (same == to) left += (static_cast<int64_t>(bytes) + 63) & ~int64_t{63};
    }
    std::shared_ptr<Storage> kept = left > 0 ? allocate(cpu(), static_cast<size_t>(left)) : nullptr;
    for (const Pack& p : order_)
      if (const Piece& to = pieces[p.at]; !to.lent)
        std::memcpy(kept->data + to.at, mine + p.at, p.plan->packed_bytes(p.operand));
    for (PlannedStep& s : program_->steps)
      for (Operand& o : s.in)
        if (o.packed >= 0) o.lent = pieces[o.packed].lent, o.packed = pieces[o.packed].at;
    program_->constant_bytes -= packed_bytes_ - left;
    program_->packed = std::move(kept);
    program_->lender = lender;
  }

  void drop(size_t v) {
    Value& value = program_->graph.values[v];
    if (value.constant) value.constant = meta_tensor(value.meta);
  }

  std::shared_ptr<Session::Program> program_;
  std::vector<bool> plain_;                        // per value: a constant whose own bytes some step reads
  std::vector<int> left_to_pack_;                  // per value: in how many forms it is still to be packed
  std::map<std::tuple<int, const Plan*, int>, int64_t> packs_;
  std::vector<Pack> order_;
  int64_t packed_bytes_ = 0;
};

Session compile(Graph graph, const Target& target) { return Compiler(std::move(graph), target).run(); }

Session compile_like(Graph graph, const Target& target, const Session& like) {
  return Compiler(std::move(graph), target).run(&like);
}

}  // namespace fovea
