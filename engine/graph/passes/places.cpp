// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/places.cpp — proves a memory plan by walking the steps: nobody reads bytes that somebody else has
// overwritten.
#include <algorithm>

#include "engine/graph/passes/passes.h"

namespace fovea::passes {
namespace {

struct Bytes {
  Place::Kind kind;
  int index;
  int64_t from, to;
  bool meets(const Bytes& o) const { return kind == o.kind && index == o.index && from < o.to && o.from < to; }
};

// The bytes between a value's first and last element, both included.
Bytes bytes_of(const Graph& g, int v) {
  const Meta& m = g.meta(v);
  const Place& p = g.places[static_cast<size_t>(v)];
  int64_t span = 1;
  for (int i = 0; i < m.rank(); ++i) span += (m.shape[i] - 1) * m.strides[i];
  if (m.numel() == 0) span = 0;
  return {p.kind, p.index, p.offset, p.offset + span * static_cast<int64_t>(size_of(m.dtype))};
}

class Walk {
 public:
  explicit Walk(const Graph& g) : g_(g), whole_(g.values.size(), false) {}

  void run() {
    for (int v : g_.inputs) write(v);
    for (const State& s : g_.state) write(s.in);
    for (size_t v = 0; v < g_.values.size(); ++v)
      if (g_.values[v].constant) write(static_cast<int>(v));
    for (const Step& s : g_.steps) take(s);
    for (int v : g_.outputs) read(v, "an output");
    for (const State& s : g_.state) read(s.out, s.name);
  }

 private:
  void take(const Step& s) {
    const std::string who = cat(s.op->name(), s.scope.empty() ? "" : " at ", s.scope);
    for (int v : s.in)
      if (v >= 0) read(v, who);
    if (s.op->traits.view) {
      whole_[static_cast<size_t>(s.out[0])] = true;
      alive_.push_back(s.out[0]);
      return;
    }
    for (size_t i = 0; i < s.out.size(); ++i) {
      const Bytes out = bytes_of(g_, s.out[i]);
      if (g_.places[static_cast<size_t>(s.out[i])].kind == Place::Kind::none) fail(who, s.out[i], "has no place");
      if (out.kind == Place::Kind::input || out.kind == Place::Kind::constant)
        fail(who, s.out[i], "would write over what is not its own");
      for (int v : s.in)
        if (v >= 0 && out.meets(bytes_of(g_, v)) &&
            !(s.op->traits.pointwise && g_.meta(v) == g_.meta(s.out[i]) && bytes_of(g_, v).from == out.from))
          fail(who, s.out[i], "overlaps an operand");
      for (size_t k = 0; k < i; ++k)
        if (out.meets(bytes_of(g_, s.out[k]))) fail(who, s.out[i], "overlaps another result");
    }
    for (int v : s.out) write(v);
  }

  void read(int v, const std::string& who) const {
    if (!whole_[static_cast<size_t>(v)]) fail(who, v, "was overwritten before this use");
  }

  void write(int v) {
    const Bytes b = bytes_of(g_, v);
    std::erase_if(alive_, [&](int other) {
      if (!b.meets(bytes_of(g_, other))) return false;
      whole_[static_cast<size_t>(other)] = false;
      return true;
    });
    whole_[static_cast<size_t>(v)] = true;
    alive_.push_back(v);
  }

  [[noreturn]] void fail(const std::string& who, int v, const char* what) const {
    throw Error(Error::Kind::internal, cat("memory plan: ", who, ": %", v, " (", g_.meta(v), ") ", what));
  }

  const Graph& g_;
  std::vector<bool> whole_;
  std::vector<int> alive_;
};

}  // namespace

void check_places(const Graph& g) { Walk(g).run(); }

}  // namespace fovea::passes
