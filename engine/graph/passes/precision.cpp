// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/precision.cpp — computes in bf16 or f16: constants are cast now, inputs first of all, outputs
// last of all.
#include "engine/graph/passes/rebuild.h"
#include "engine/graph/session.h"
#include "engine/graph/passes/passes.h"

namespace fovea::passes {
namespace {

bool changes(DType have, DType want) { return is_floating(have) && have != DType::f64 && have != want; }

class Precision {
 public:
  Precision(Graph& g, DType t) : g_(g), r_(g), t_(t) {}

  void run() {
    for (int v : g_.inputs)
      if (changes(g_.meta(v).dtype, t_)) r_.redirect(v, r_.cast_to(v, t_));
    for (Step& s : r_.old_steps()) take(s);
    for (int& v : g_.outputs) {
      const int value = r_.cast_to(r_.now(v), r_.was(v).dtype);
      if (value != r_.now(v)) r_.redirect(v, value);
    }
    r_.finish();
  }

 private:
  void take(Step& s) {
    const std::vector<int> out = s.out, in = s.in;
    if (s.op == &ops::cast && is_floating(s.attrs.as<CastAttrs>().to) && s.attrs.as<CastAttrs>().to != DType::f64) {
      r_.redirect(out[0], r_.cast_to(r_.now(in[0]), t_));
      return;
    }
    const bool norm = s.op->role == Role::norm;
    for (size_t i = 0; i < in.size(); ++i) s.in[i] = operand(in[i], norm && i > 0);
    if (infers(s)) return settle(s, out);
    if (norm) {
      for (size_t i = 1; i < in.size(); ++i) s.in[i] = operand(in[i], false);
      if (infers(s)) return settle(s, out);
    }
    for (size_t i = 0; i < in.size(); ++i)         // a rule of the op wants the dtypes that were traced
      if (in[i] >= 0) s.in[i] = r_.cast_to(r_.now(in[i]), r_.was(in[i]).dtype);
    settle(s, out);
  }

  // Statistics and scales of norms are few and decide much: they stay as they are.
  int operand(int old, bool keep) {
    if (old < 0) return -1;
    const int v = r_.now(old);
    return keep || !changes(g_.meta(v).dtype, t_) ? v : r_.cast_to(v, t_);
  }

  bool infers(const Step& s) const {
    try {
      infer_step(g_, s);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  void settle(Step& s, const std::vector<int>& out) {
    r_.emit(s, out);
    for (int v : out)
      if (changes(g_.meta(v).dtype, t_)) r_.redirect(v, r_.cast_to(v, t_));
  }

  Graph& g_;
  Rebuild r_;
  DType t_;
};

}  // namespace

void precision(Graph& g, const Target& t) {
  if (t.dtype == DType::none) return;
  if (!is_floating(t.dtype) || t.dtype == DType::f64)
    throw Error(Error::Kind::argument, str_cat("a graph cannot be compiled for ", name_of(t.dtype)),
                "give f32, bf16 or f16");
  for (const State& s : g.state)
    if (changes(g.meta(s.in).dtype, t.dtype))
      throw Error(Error::Kind::unsupported,
                  str_cat("compile for ", name_of(t.dtype), ": state '", s.name, "' is ", g.meta(s.in)),
                  "train in the dtype that was traced; casts in the traced code choose others");
  Precision(g, t.dtype).run();
}

}  // namespace fovea::passes
