// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/places.cpp — proves a memory plan by walking the steps: nobody reads bytes that somebody else has
// overwritten.
#include <iterator>
#include <map>

#include "engine/graph/passes/passes.h"

namespace fovea::passes {
namespace {

struct Bytes {
  Place::Kind kind;
  int index;
  int64_t from, to;
  bool meets(const Bytes& o) const { return kind == o.kind && index == o.index && from < o.to && o.from < to; }
  bool within(const Bytes& o) const { return kind == o.kind && index == o.index && from >= o.from && to <= o.to; }
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

// Who wrote each byte of one piece of memory last: runs of bytes in order, each of which ends where the next begins.
class Writers {
 public:
  void write(int64_t from, int64_t to, int time) {
    split(from);
    const auto end = split(to);
    runs_.erase(runs_.find(from), end);
    runs_[from] = time;
  }
  /// Was none of these bytes written after `time`? A value that was written as a whole is one run unless it was not.
  bool none_after(int64_t from, int64_t to, int time) const {
    for (auto run = std::prev(runs_.upper_bound(from)); run != runs_.end() && run->first < to; ++run)
      if (run->second > time) return false;
    return true;
  }

 private:
  std::map<int64_t, int>::iterator split(int64_t at) {
    const auto next = runs_.lower_bound(at);
    return next != runs_.end() && next->first == at ? next : runs_.emplace_hint(next, at, std::prev(next)->second);
  }
  std::map<int64_t, int> runs_{{0, 0}};            // where a run begins, and when it was written
};

class PlaceCheck {
 public:
  explicit PlaceCheck(const Graph& g) : g_(g), made_(g.values.size(), 0) {}

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
    const std::string who = str_cat(s.op->name(), s.scope.empty() ? "" : " at ", s.scope);
    for (int v : s.in)
      if (v >= 0) read(v, who);
    if (s.op->traits.view) {
      if (g_.meta(s.out[0]).numel() && !bytes_of(g_, s.out[0]).within(bytes_of(g_, s.in[0])))
        fail(who, s.out[0], "lies outside what it looks at");
      made_[static_cast<size_t>(s.out[0])] = ++time_;
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
    const int made = made_[static_cast<size_t>(v)];
    const Bytes b = bytes_of(g_, v);
    const auto memory = memories_.find({b.kind, b.index});
    const bool whole = b.from == b.to || memory == memories_.end() || memory->second.none_after(b.from, b.to, made);
    if (!made || !whole) fail(who, v, "was overwritten before this use");
  }

  void write(int v) {
    const Bytes b = bytes_of(g_, v);
    made_[static_cast<size_t>(v)] = ++time_;
    const bool written_once = b.kind == Place::Kind::input || b.kind == Place::Kind::constant;
    if (b.from < b.to && !written_once) memories_[{b.kind, b.index}].write(b.from, b.to, time_);
  }

  [[noreturn]] void fail(const std::string& who, int v, const char* what) const {
    throw Error(Error::Kind::internal, str_cat("memory plan: ", who, ": %", v, " (", g_.meta(v), ") ", what));
  }

  const Graph& g_;
  int time_ = 0;
  std::vector<int> made_;                          // per value: when; 0: not yet
  std::map<std::pair<Place::Kind, int>, Writers> memories_;
};

}  // namespace

void check_places(const Graph& g) { PlaceCheck(g).run(); }

}  // namespace fovea::passes
