// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/layouts.cpp — channels-last from the image to the head: convolutions run so, and what lies
// between follows.
#include <algorithm>

#include "engine/graph/passes/passes.h"
#include "engine/graph/passes/rebuild.h"

namespace fovea::passes {
namespace {

// Both orders are one and the same for these.
bool indifferent(const Meta& m) { return m.rank() != 4 || m.shape[1] == 1 || m.shape[2] * m.shape[3] == 1; }
bool wants_turning(const Meta& m) { return !indifferent(m) && !m.is_channels_last(); }

bool is_image_conv(const Graph& g, const Step& s) { return s.op == &ops::conv && g.meta(s.in[0]).rank() == 4; }

class Layouts {
 public:
  explicit Layouts(Graph& g) : g_(g), r_(g) {}

  void run() {
    for (int v : g_.inputs) {
      Meta& m = g_.values[static_cast<size_t>(v)].meta;
      if (is_floating(m.dtype) && m.rank() == 4 && m.is_contiguous()) m.strides = channels_last_strides(m.shape);
    }
    for (Step& s : r_.old_steps()) take(s);
    for (int v : g_.outputs) restore(v);
    for (const State& s : g_.state) restore(s.out);
    r_.finish();
  }

 private:
  void take(Step& s) {
    const std::vector<int> out = s.out, in = s.in;
    for (int& v : s.in) v = r_.now(v);
    if (s.op == &ops::copy &&
        g_.meta(s.in[0]).strides == strides_for(g_.meta(s.in[0]).shape, s.attrs.as<CopyAttrs>().memory)) {
      r_.redirect(out[0], s.in[0]);
      return;
    }
    if (is_image_conv(g_, s)) {
      if (wants_turning(g_.meta(s.in[0]))) s.in[0] = r_.copy_to(s.in[0], Memory::channels_last);
    } else if (s.op->traits.pointwise) {
      turn_constants(s);
    }
    if (!emits(s, out)) {
      for (size_t i = 0; i < in.size(); ++i)
        if (in[i] >= 0) s.in[i] = as_it_was(in[i]);
      r_.emit(s, out);
    }
  }

  // A table added to a channels-last image is turned once, now.
  void turn_constants(Step& s) {
    const bool image = std::any_of(s.in.begin(), s.in.end(), [&](int v) {
      return v >= 0 && !g_.is_constant(v) && !indifferent(g_.meta(v)) && g_.meta(v).is_channels_last();
    });
    for (int& v : s.in)
      if (image && g_.is_constant(v) && wants_turning(g_.meta(v)) && g_.meta(v).is_contiguous())
        v = r_.copy_to(v, Memory::channels_last);
  }

  // Views are the ones that refuse: a reshape that joins dimensions which no longer lie side by side.
  bool emits(const Step& s, const std::vector<int>& out) {
    try {
      r_.emit(s, out);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  int as_it_was(int old) {
    const int v = r_.now(old);
    const Meta &m = g_.meta(v), &was = r_.was(old);
    return m.strides == was.strides ? v : r_.copy_to(v, was.memory());
  }

  void restore(int old) {
    const Meta& was = r_.was(old);
    if (was.is_contiguous() || was.is_channels_last()) r_.redirect(old, as_it_was(old));
  }

  Graph& g_;
  Rebuild r_;
};

}  // namespace

void layouts(Graph& g, const Target&) {
  if (std::none_of(g.steps.begin(), g.steps.end(), [&](const Step& s) { return is_image_conv(g, s); })) return;
  Layouts(g).run();
}

}  // namespace fovea::passes
