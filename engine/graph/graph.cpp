// SPDX-License-Identifier: Apache-2.0
// engine/graph/graph.cpp — building, checking and cleaning of graphs.
#include "engine/graph/graph.h"

#include <algorithm>
#include <unordered_map>

#include "engine/core/scope.h"

namespace fovea {
namespace {

size_t at(int value) { return static_cast<size_t>(value); }

template <class F>
void for_each_use(const Graph& g, F f) {
  for (const Step& s : g.steps)
    for (int v : s.in)
      if (v >= 0) f(v);
  for (int v : g.outputs) f(v);
  for (const State& s : g.state) f(s.out);
}

std::string describe(const Graph& g, size_t step) {
  const Step& s = g.steps[step];
  return str_cat("step ", step, " (", s.op ? s.op->name() : std::string_view("no op"), s.scope.empty() ? "" : " at ",
                 s.scope, ")");
}

[[noreturn]] void wrong(const std::string& what) { throw Error(Error::Kind::internal, str_cat("graph: ", what)); }

class Verifier {
 public:
  explicit Verifier(const Graph& g) : g_(g), made_(g.values.size(), false) {}

  void run() {
    for (size_t i = 0; i < g_.values.size(); ++i) check_constant(i);
    for (int v : g_.inputs) define(v, "an input");
    for (const State& s : g_.state) define(s.in, "state '" + s.name + "'");
    for (size_t i = 0; i < g_.steps.size(); ++i) check_step(i);
    for (int v : g_.outputs) want_made(v, "an output");
    for (const State& s : g_.state) {
      want_made(s.out, "state '" + s.name + "'");
      if (g_.meta(s.out) != g_.meta(s.in))
        wrong(str_cat("state '", s.name, "' is ", g_.meta(s.in), " before a run and ", g_.meta(s.out), " after it"));
    }
    if (!g_.places.empty() && g_.places.size() != g_.values.size()) wrong("some values have places, others not");
  }

 private:
  void check_constant(size_t i) {
    const Value& v = g_.values[i];
    if (!v.constant) return;
    if (v.constant.meta() != v.meta)
      wrong(str_cat("constant %", i, " ", v.name, " is ", v.constant.meta(), ", its value says ", v.meta));
    made_[i] = true;
  }
  void in_range(int v, const std::string& who) const {
    if (v < 0 || at(v) >= g_.values.size()) wrong(str_cat(who, " names %", v, " of ", g_.values.size(), " values"));
  }
  void define(int v, const std::string& who) {
    in_range(v, who);
    if (made_[at(v)]) wrong(str_cat(who, " makes %", v, ", which is there already"));
    made_[at(v)] = true;
  }
  void want_made(int v, const std::string& who) const {
    in_range(v, who);
    if (!made_[at(v)]) wrong(str_cat(who, " uses %", v, " before it is made"));
  }
  void check_step(size_t i) {
    const Step& s = g_.steps[i];
    const std::string who = describe(g_, i);
    if (!s.op) wrong(who);
    for (int v : s.in)
      if (v != -1) want_made(v, who);
    for (int v : s.out) define(v, who);
    const Metas inferred = infer_step(g_, s);
    if (inferred.size() != s.out.size())
      wrong(str_cat(who, " has ", s.out.size(), " results instead of ", inferred.size()));
    for (size_t k = 0; k < inferred.size(); ++k)
      if (g_.meta(s.out[k]) != inferred[k])
        wrong(str_cat(who, ": %", s.out[k], " is ", g_.meta(s.out[k]), ", but infer gives ", inferred[k]));
  }

  const Graph& g_;
  std::vector<bool> made_;
};

}  // namespace

int Graph::add_value(const Meta& m, std::string name) {
  values.push_back({m, {}, std::move(name)});
  return static_cast<int>(values.size()) - 1;
}

int Graph::add_constant(const Tensor& t, std::string name) {
  values.push_back({t.meta(), t, std::move(name)});
  return static_cast<int>(values.size()) - 1;
}

int Graph::insert_step(size_t where, Step step) {
  for (const Meta& m : infer_step(*this, step)) step.out.push_back(add_value(m));
  const int first = step.out.front();
  steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(where), std::move(step));
  return first;
}

const Meta& Graph::meta(int value) const {
  static const Meta absent;
  return value < 0 ? absent : values[at(value)].meta;
}

std::vector<int> Graph::use_counts() const {
  std::vector<int> n(values.size(), 0);
  for_each_use(*this, [&](int v) { ++n[at(v)]; });
  return n;
}

std::vector<int> Graph::makers() const {
  std::vector<int> m(values.size(), -1);
  for (size_t i = 0; i < steps.size(); ++i)
    for (int v : steps[i].out) m[at(v)] = static_cast<int>(i);
  return m;
}

void Graph::replace_uses(int before, int after) {
  for (Step& s : steps) std::replace(s.in.begin(), s.in.end(), before, after);
  std::replace(outputs.begin(), outputs.end(), before, after);
  for (State& s : state)
    if (s.out == before) s.out = after;
}

void Graph::remove_dead() {
  std::vector<bool> needed(values.size(), false);
  for (int v : inputs) needed[at(v)] = true;
  for (int v : outputs) needed[at(v)] = true;
  for (const State& s : state) needed[at(s.in)] = needed[at(s.out)] = true;
  std::vector<Step> kept;
  for (size_t i = steps.size(); i-- > 0;) {
    Step& s = steps[i];
    if (std::none_of(s.out.begin(), s.out.end(), [&](int v) { return needed[at(v)]; })) continue;
    for (int v : s.in)
      if (v >= 0) needed[at(v)] = true;
    for (int v : s.out) needed[at(v)] = true;
    kept.push_back(std::move(s));
  }
  std::reverse(kept.begin(), kept.end());
  steps = std::move(kept);

  std::vector<Value> ordered;
  std::vector<int> number(values.size(), -1);
  const auto take = [&](int& v) {
    if (v < 0) return;
    if (number[at(v)] < 0) {
      number[at(v)] = static_cast<int>(ordered.size());
      ordered.push_back(std::move(values[at(v)]));
    }
    v = number[at(v)];
  };
  for (int& v : inputs) take(v);
  for (State& s : state) take(s.in);
  for (Step& s : steps) {
    for (int& v : s.in) take(v);
    for (int& v : s.out) take(v);
  }
  for (int& v : outputs) take(v);
  for (State& s : state) take(s.out);
  values = std::move(ordered);
  places.clear();
}

void Graph::verify() const { Verifier(*this).run(); }

std::string Graph::print() const {
  std::string text;
  const auto name = [&](int v) {
    if (v < 0) return std::string("-");
    const std::string& n = values[at(v)].name;
    return str_cat("%", v, n.empty() ? "" : " ", n);
  };
  for (int v : inputs) text += str_cat(name(v), ": ", meta(v), " input\n");
  for (const State& s : state) text += str_cat("%", s.in, " ", s.name, ": ", meta(s.in), " state\n");
  for (const Step& s : steps) {
    std::string results, operands;
    for (int v : s.out) results += str_cat(results.empty() ? "" : ", ", "%", v, ": ", meta(v));
    for (int v : s.in) operands += str_cat(operands.empty() ? "" : ", ", name(v));
    const std::string attrs = to_string(s.attrs.ref());
    text += str_cat(results, " = ", s.op->name(), "(", operands, ")", attrs.empty() ? "" : " ", attrs,
                    s.scope.empty() ? "" : " at ", s.scope, "\n");
  }
  for (const State& s : state)
    if (s.out != s.in) text += str_cat(s.name, " becomes %", s.out, "\n");
  std::string results;
  for (int v : outputs) results += str_cat(results.empty() ? "" : ", ", name(v));
  return text + "return " + results + "\n";
}

StepSite::StepSite(const Graph& g, const Step& s) : op(*s.op), attrs(s.attrs.ref()) {
  for (size_t i = 0; i < s.in.size(); ++i) {
    in.push_back(g.meta(s.in[i]));
    if (i < 32 && g.is_constant(s.in[i])) constant |= 1u << i;
  }
  for (int v : s.out) out.push_back(g.meta(v));
}

Metas infer_step(const Graph& g, const Step& s) {
  const Scope scope(s.scope);
  Metas in;
  for (int v : s.in) in.push_back(g.meta(v));
  return s.op->infer({*s.op, in, {}, s.attrs.ref()});
}

}  // namespace fovea
