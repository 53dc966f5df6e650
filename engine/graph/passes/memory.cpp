// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/memory.cpp — gives every value its place: one arena by lifetime, pointwise steps and state in
// place, views inside what they look at.
#include <algorithm>

#include "engine/graph/passes/passes.h"

namespace fovea::passes {
namespace {

constexpr int64_t kAlign = 64;
int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

// What a value's bytes belong to: itself, or what a chain of views looks at.
struct Root {
  int value;
  int64_t offset;                                  // bytes
};

struct Block {
  int64_t bytes = 0;
  int first = 0, last = 0;                         // steps during which it is in use, both included
  int64_t offset = -1;
};

class Planner {
 public:
  Planner(Graph& g, bool share) : g_(g), share_(share), end_(static_cast<int>(g.steps.size())) {}

  void run() {
    g_.places.assign(g_.values.size(), {});
    place_given();
    find_roots();
    find_lifetimes();
    if (share_) update_state_in_place();
    make_blocks();
    lay_out();
    for (size_t v = 0; v < g_.values.size(); ++v) g_.places[v] = place_of(v);
  }

 private:
  static size_t at(int v) { return static_cast<size_t>(v); }

  void place_given() {
    given_.assign(g_.values.size(), {});
    for (size_t v = 0; v < g_.values.size(); ++v)
      if (g_.values[v].constant) given_[v] = {Place::Kind::constant, static_cast<int>(v), 0};
    for (size_t i = 0; i < g_.inputs.size(); ++i)
      given_[at(g_.inputs[i])] = {Place::Kind::input, static_cast<int>(i), 0};
    for (size_t i = 0; i < g_.state.size(); ++i)
      given_[at(g_.state[i].in)] = {Place::Kind::state, static_cast<int>(i), 0};
  }

  void find_roots() {
    for (size_t v = 0; v < g_.values.size(); ++v) roots_.push_back({static_cast<int>(v), 0});
    made_at_.assign(g_.values.size(), -1);
    for (size_t i = 0; i < g_.steps.size(); ++i) {
      const Step& s = g_.steps[i];
      for (int v : s.out) made_at_[at(v)] = static_cast<int>(i);
      if (!s.op->traits.view) continue;
      const StepSite site(g_, s);
      const int64_t elements = s.op->offset ? s.op->offset(site.site()) : 0;
      Root r = roots_[at(s.in[0])];
      r.offset += elements * static_cast<int64_t>(size_of(g_.meta(s.out[0]).dtype));
      roots_[at(s.out[0])] = r;
    }
  }

  // The last step that reads a root, through whichever view; end_ for what is left when all is done.
  void find_lifetimes() {
    last_.assign(g_.values.size(), -1);
    const auto use = [&](int v, int step) {
      int& last = last_[at(roots_[at(v)].value)];
      last = std::max(last, step);
    };
    for (size_t i = 0; i < g_.steps.size(); ++i) {
      for (int v : g_.steps[i].out) use(v, static_cast<int>(i));
      if (g_.steps[i].op->traits.view) continue;   // looking is not reading
      for (int v : g_.steps[i].in)
        if (v >= 0) use(v, static_cast<int>(i));
    }
    for (int v : g_.outputs) use(v, end_);
    for (const State& s : g_.state)
      if (s.out != s.in) use(s.out, end_);
  }

  // May this step write its result over operand i? Each element must be read before it is written, by nobody else.
  bool overwrites(const Step& s, size_t i) const {
    if (!s.op->traits.pointwise || s.op->traits.view || s.in[i] < 0) return false;
    // of a chain's results each may lie where another operand does
    if (!std::all_of(s.out.begin(), s.out.end(), [&](int v) { return g_.meta(v) == g_.meta(s.out[0]); })) return false;
    const auto whole = [&](int v) { return g_.meta(v) == g_.meta(s.out[0]) && roots_[at(v)].offset == 0; };
    const int root = roots_[at(s.in[i])].value;
    return std::all_of(s.in.begin(), s.in.end(),
                       [&](int v) { return v < 0 || roots_[at(v)].value != root || whole(v); });
  }

  void update_state_in_place() {
    for (size_t i = 0; i < g_.state.size(); ++i) {
      const State& s = g_.state[i];
      if (s.out == s.in || roots_[at(s.out)].value != s.out || given_[at(s.out)].kind != Place::Kind::none) continue;
      const int made = made_at_[at(s.out)], read = last_[at(s.in)];
      if (made < 0 || read > made) continue;
      const Step& step = g_.steps[at(made)];
      if (read == made && !overwrites_root(step, s.in)) continue;
      given_[at(s.out)] = {Place::Kind::state, static_cast<int>(i), 0};
    }
  }

  bool overwrites_root(const Step& s, int root) const {
    for (size_t i = 0; i < s.in.size(); ++i)
      if (s.in[i] >= 0 && roots_[at(s.in[i])].value == root) return overwrites(s, i);
    return false;
  }

  void make_blocks() {
    block_of_.assign(g_.values.size(), -1);
    for (size_t i = 0; i < g_.steps.size(); ++i) {
      const Step& s = g_.steps[i];
      if (s.op->traits.view) continue;
      for (int v : s.out) {
        if (given_[at(v)].kind != Place::Kind::none) continue;
        const int last = last_[at(v)];
        if (const int block = share_ ? block_to_overwrite(s, static_cast<int>(i)) : -1; block >= 0) {
          block_of_[at(v)] = block;
          blocks_[at(block)].last = std::max(blocks_[at(block)].last, last);
          continue;
        }
        block_of_[at(v)] = static_cast<int>(blocks_.size());
        blocks_.push_back({aligned(g_.meta(v).bytes()), static_cast<int>(i), last, -1});
      }
    }
  }

  // The block of an operand that nobody needs after this step, or -1.
  int block_to_overwrite(const Step& s, int step) const {
    for (size_t i = 0; i < s.in.size(); ++i) {
      const int block = s.in[i] < 0 ? -1 : block_of_[at(roots_[at(s.in[i])].value)];
      if (block >= 0 && blocks_[at(block)].last == step && overwrites(s, i)) return block;
    }
    return -1;
  }

  // Large blocks first, each into the tightest gap that those in use at the same time leave.
  void lay_out() {
    std::vector<size_t> order(blocks_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (share_)
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return blocks_[a].bytes > blocks_[b].bytes; });
    std::vector<const Block*> placed;              // by offset
    g_.arena_bytes = 0;
    for (size_t i : order) {
      Block& b = blocks_[i];
      b.offset = share_ ? tightest_gap(placed, b) : g_.arena_bytes;
      const auto where = std::upper_bound(placed.begin(), placed.end(), b.offset,
                                          [](int64_t offset, const Block* p) { return offset < p->offset; });
      placed.insert(where, &b);
      g_.arena_bytes = std::max(g_.arena_bytes, b.offset + b.bytes);
    }
  }

  static int64_t tightest_gap(const std::vector<const Block*>& placed, const Block& b) {
    int64_t free_from = 0, best = -1, best_size = 0;
    for (const Block* p : placed) {
      if (p->last < b.first || p->first > b.last) continue;
      const int64_t gap = p->offset - free_from;
      if (gap >= b.bytes && (best < 0 || gap < best_size)) best = free_from, best_size = gap;
      free_from = std::max(free_from, p->offset + p->bytes);
    }
    return best >= 0 ? best : free_from;
  }

  Place place_of(size_t v) const {
    const Root r = roots_[v];
    Place p = given_[at(r.value)];
    if (p.kind == Place::Kind::none && block_of_[at(r.value)] >= 0)
      p = {Place::Kind::arena, 0, blocks_[at(block_of_[at(r.value)])].offset};
    p.offset += r.offset;
    return p;
  }

  Graph& g_;
  const bool share_;
  const int end_;
  std::vector<Place> given_;
  std::vector<Root> roots_;
  std::vector<int> made_at_, last_, block_of_;
  std::vector<Block> blocks_;
};

}  // namespace

void memory(Graph& g, const Target&) { Planner(g, true).run(); }
void place_apart(Graph& g) { Planner(g, false).run(); }

}  // namespace fovea::passes
