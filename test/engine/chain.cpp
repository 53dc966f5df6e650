// SPDX-License-Identifier: Apache-2.0
// test/engine/chain.cpp — pointwise steps of a training step as chains: the same bits, memory once, damage refused.
#include "engine/ops/lowered/chain.h"

#include <algorithm>
#include <optional>

#include "engine/core/backend.h"
#include "engine/graph/passes/passes.h"
#include "engine/graph/session.h"
#include "engine/graph/trace.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"

using namespace fovea;
using fovea::test::values_of;

namespace {

Tensor filled(const char* name, const Shape& s) {
  std::vector<float> v(static_cast<size_t>(numel(s)));
  for (size_t i = 0; i < v.size(); ++i) v[i] = hash_uniform(fnv1a(name), i);
  return from<float>(v, s);
}

// A rule with momentum that may be taken back, and what others read of it.
struct Rule {
  Tensor p = filled("p", {37, 129}), v = filled("v", {37, 129});
  Tensors operator()(std::span<const Tensor> in) {
    const Tensor &g = in[0], &lr = in[1], &ok = in[2];
    const Tensor d = g + p * 0.01, now = v * 0.9 + d, step = p - (d + now * 0.9) * lr;
    const Tensor other = tanh(now), positive = square(relu(step));
    p = where(ok, step, p);
    v = where(ok, now, v);
    return {sum(positive), other};                          // both leave the chain
  }
};

struct Ran {
  std::vector<std::vector<double>> values;
  std::vector<StepInfo> steps;
  int64_t arena = 0;
};

Ran run(const std::vector<std::string>& without, const char* backend = nullptr) {
  std::optional<UseBackend> use;
  if (backend) use.emplace(backend);
  Rule rule;
  const TraceOptions options{.state = {{"p", &rule.p}, {"v", &rule.v}}, .input_names = {"g", "lr", "ok"}};
  const Metas in{make_meta(DType::f32, {37, 129}), make_meta(DType::f32, {}), make_meta(DType::boolean, {})};
  const auto traced = [&](std::span<const Tensor> x) { return rule(x); };
  Session session = compile(trace(traced, in, options), {.without = without});
  Ran out{.steps = session.steps(), .arena = session.arena_bytes()};
  for (const bool ok : {true, false, true}) {
    const Tensors results = session.run({filled("g", {37, 129}), full({}, 0.1), full({}, ok, DType::boolean)});
    for (const Tensor& t : results) out.values.push_back(values_of(t));
    for (const std::string& name : {std::string("p"), std::string("v")})
      out.values.push_back(values_of(session.state().at(name)));
  }
  return out;
}

int64_t count(const Ran& r, std::string_view op) {
  return std::ranges::count_if(r.steps, [&](const StepInfo& s) { return s.op == op; });
}

}  // namespace

TEST_CASE("a rule becomes one chain with the bits of its steps", "[graph]") {
  const Ran apart = run({"chain"}), chained = run({});
  CHECK(count(apart, "chain") == 0);
  CHECK(count(chained, "chain") == 1);
  CHECK(count(chained, "binary") == 0);
  CHECK(count(chained, "where") == 0);
  CHECK(chained.values == apart.values);
  CHECK(chained.arena <= apart.arena);
  CHECK(values_of(filled("p", {37, 129})) != chained.values[2]);
  CHECK(chained.values[6] == chained.values[2]);            // taken back
  CHECK(chained.values[10] != chained.values[2]);
  const Ran plain = run({}, "ref");
  REQUIRE(plain.values.size() == chained.values.size());
  for (size_t i = 0; i < plain.values.size(); ++i)
    CHECK(test::relative_error(chained.values[i], plain.values[i]) < 1e-6);
}

TEST_CASE("chains keep what others read in between where it is", "[graph]") {
  Tensor s = filled("s", {64, 64});
  const auto f = [&](std::span<const Tensor> x) -> Tensors {
    const Tensor a = x[0] * 2.0, b = exp(a);                // a is read by a product before its chain could end
    const Tensor m = matmul(a, x[0]);
    const Tensor c = b + m, d = c * a;
    s = s + d;
    return {sum(d)};
  };
  const TraceOptions options{.state = {{"s", &s}}, .input_names = {"x"}};
  const Graph g = trace(f, {make_meta(DType::f32, {64, 64})}, options);
  Session chained = compile(g, {}), apart = compile(g, {.without = {"chain"}});
  const Tensor x = filled("x", {64, 64});
  for (int i = 0; i < 2; ++i) CHECK(values_of(chained.run(x)) == values_of(apart.run(x)));
  CHECK(values_of(chained.state().at("s")) == values_of(apart.state().at("s")));
}

TEST_CASE("damaged chains are refused", "[graph]") {
  const Metas in{make_meta(DType::f32, {8}), make_meta(DType::f32, {})};
  const auto infer = [&](const ChainAttrs& a, Metas given) {
    return ops::chain.infer({ops::chain, given, {}, AttrsRef::of(a)});
  };
  ChainAttrs good;
  good.links[0] = {.kind = Link::Kind::binary, .x = 0, .y = 1};
  good.links[1] = {.kind = Link::Kind::unary, .fn = Unary::exp, .x = -1};
  good.size = 2, good.given = 1, good.results[0] = 1;
  CHECK(infer(good, in) == Metas{in[0]});
  const auto refused = [&](auto change) {
    ChainAttrs bad = good;
    change(bad);
    CHECK_THROWS_AS(infer(bad, in), Error);
  };
  refused([](ChainAttrs& a) { a.size = 0; });
  refused([](ChainAttrs& a) { a.size = ChainAttrs::kMostLinks + 1; });
  refused([](ChainAttrs& a) { a.given = 0; });
  refused([](ChainAttrs& a) { a.results[0] = 2; });
  refused([](ChainAttrs& a) { a.links[0].y = 2; });
  refused([](ChainAttrs& a) { a.links[0].y = -1; });        // itself
  refused([](ChainAttrs& a) { a.links[1].x = -2; });
  refused([](ChainAttrs& a) { a.links[0].op = Binary::lt; });
  refused([](ChainAttrs& a) { a.links[1].kind = Link::Kind::where; });
  CHECK_THROWS_AS(infer(good, {in[1], in[1]}), Error);
  CHECK_THROWS_AS(infer(good, {in[0], make_meta(DType::f32, {7})}), Error);
  CHECK_THROWS_AS(infer(good, {in[0], make_meta(DType::f64, {})}), Error);
}
