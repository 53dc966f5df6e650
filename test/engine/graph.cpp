// SPDX-License-Identifier: Apache-2.0
// test/engine/graph.cpp — tracing, what a graph prints, and what verify() catches.
#include "engine/graph/graph.h"

#include "engine/autograd/autograd.h"
#include "engine/core/scope.h"
#include "engine/graph/passes/passes.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "engine/ops/table.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a trace writes steps down and prints them", "[graph]") {
  const Tensor w = ones({4, 3, 3, 3}), scale = ones({4, 1, 1});
  StateDict names;
  names.set("conv.weight", w);
  const Graph g = trace(
      [&](const Tensor& x) {
        const Scope scope("stem");
        return conv(x, w, {}, {.stride = {2}, .pad = {1}}) * scale;
      },
      {make_meta(DType::f32, {1, 3, 8, 8})}, {.input_names = {"image"}, .names = &names});
  g.verify();
  REQUIRE(g.steps.size() == 2);
  const std::string text = g.print();
  CHECK(has(text, "%0 image: f32[1, 3, 8, 8] input\n"));
  CHECK(has(text, "f32[1, 4, 4, 4] = conv(%0 image, %1 conv.weight"));
  CHECK(has(text, "stride=[2, 2]"));
  CHECK(has(text, "%3 stem.b)"));                  // a constant without a name is called after its first use
  CHECK(has(text, " at stem\n"));
  CHECK(has(text, "return %4\n"));
}

TEST_CASE("constants are captured once, kept alive, and may lack values", "[graph]") {
  Graph g;
  {
    const Tensor c = from({1, 2}), none = meta_tensor(make_meta(DType::f32, {2}));
    g = trace([&](const Tensor& x) { return (x + c) * c + none; }, {make_meta(DType::f32, {2})});
  }
  int constants = 0;
  for (const Value& v : g.values) constants += static_cast<bool>(v.constant);
  CHECK(constants == 2);
  CHECK(g.values[static_cast<size_t>(g.steps[0].in[1])].constant.data<float>()[1] == 2);
}

TEST_CASE("inputs and constants may be results", "[graph]") {
  const Tensor c = from({1, 2});
  const Graph g = trace([&](const Tensor& x) { return Tensors{x, c, x}; }, {make_meta(DType::f32, {2})});
  g.verify();
  CHECK(g.outputs == std::vector<int>{0, 1, 0});
}

TEST_CASE("values cannot be read while tracing", "[graph]") {
  CHECK(has(
      message_of([] { trace([](const Tensor& x) { return x.item() > 0 ? x : -x; }, {make_meta(DType::f32, {1})}); }),
      "it is being traced"));
}

TEST_CASE("a trace inside a trace has its own values", "[graph]") {
  const Meta m = make_meta(DType::f32, {2});
  Graph inner;
  const Graph outer = trace(
      [&](const Tensor& x) {
        const Tensor y = x + 1.0;
        inner = trace([](const Tensor& z) { return z * z; }, {m});
        return y * 2.0;
      },
      {m});
  CHECK(outer.steps.size() == 2);
  CHECK(inner.steps.size() == 1);
  CHECK(has(message_of([&] {
              trace([&](const Tensor& x) { return trace([&](const Tensor& z) { return z + x; }, {m}), x; }, {m});
            }),
            "in another trace"));
}

TEST_CASE("slots become state and hold again what they held", "[graph]") {
  Tensor w = from({1, 2}), v = from({0, 0});
  w.set_requires_grad();
  const Tensor before = w;
  const auto step = [&](const Tensor& x) {
    const Tensor loss = sum(square(w * x));
    backward(loss);
    v = v * 0.9 + w.grad();
    w = (w - v * 0.1).detach();
    return loss;
  };
  const Graph g = trace(step, {make_meta(DType::f32, {2})}, {.state = {{"w", &w}, {"v", &v}}});
  g.verify();
  CHECK(w.same(before));
  CHECK_FALSE(w.grad());
  REQUIRE(g.state.size() == 2);
  CHECK(g.state[0].name == "w");
  CHECK(g.state[0].in != g.state[0].out);
  CHECK(has(g.print(), "w becomes %"));
  CHECK(has(message_of([&] {
              trace([&](const Tensor& x) { return w = sum(x); }, {make_meta(DType::f32, {2})}, {.state = {{"w", &w}}});
            }),
            "state 'w' was f32[2] and became f32[]"));
  CHECK(w.same(before));
  CHECK(has(message_of([&] {
              trace(step, {make_meta(DType::f32, {2})}, {.state = {{"w", &w}, {"again", &w}}});
            }),
            "listed already"));
}

TEST_CASE("verify names what is wrong", "[graph]") {
  const Graph good = trace(
      [](const Tensor& x) {
        const Scope s("head");
        return relu(x + 1.0);
      },
      {make_meta(DType::f32, {2})});
  Graph g = good;
  SECTION("order") {
    std::swap(g.steps[0], g.steps[1]);
    CHECK(has(message_of([&] { g.verify(); }), "step 0 (unary at head) uses %1 before it is made"));
  }
  SECTION("metas") {
    g.values[2].meta.shape = {3};
    CHECK(has(message_of([&] { g.verify(); }), "%2 is f32[3], but infer gives f32[2]"));
  }
  SECTION("range") {
    g.steps[1].in[0] = 17;
    CHECK(has(message_of([&] { g.verify(); }), "names %17 of 3 values"));
  }
  SECTION("two makers") {
    g.steps[1].out[0] = 1;
    CHECK(has(message_of([&] { g.verify(); }), "makes %1, which is there already"));
  }
  SECTION("outputs") {
    g.steps.pop_back();
    CHECK(has(message_of([&] { g.verify(); }), "an output uses %2 before it is made"));
  }
}

TEST_CASE("ops say what they are", "[graph]") {
  size_t products = 0, epilogues = 0;
  for (const OpRow& row : op_table()) {
    const OpDef& op = *row.op;
    INFO(std::string(op.name()));
    CHECK((op.traits.view || op.traits.random || op.role != Role::other));
    if (op.traits.pointwise) CHECK(op.role == Role::pointwise);
    CHECK((op.role == Role::conv || op.role == Role::product || op.role == Role::attention || !op.work));
    products += op.work != nullptr;
    if (op.takes_weights()) CHECK((op.operand(0) == "x" && op.operand(1) == "w"));
    if (op.epilogue.residual >= 0) CHECK(op.operand(static_cast<size_t>(op.epilogue.residual)) == "residual");
    if (op.epilogue.at < 0) continue;
    ++epilogues;
    struct Zeros final : FieldSource {
      int64_t integer(int64_t, int64_t) override { return 0; }
      double real() override { return 0; }
      Dims dims() override { return {}; }
    } zeros;
    Attrs attrs(*row.attrs, zeros);
    const Epilogue e{Unary::leaky_relu, 0.25f, 0, true};
    CHECK(op.epilogue_in(attrs.ref()).empty());
    op.set_epilogue(attrs, e);
    CHECK(op.epilogue_in(attrs.ref()) == e);
    CHECK_THAT(to_string(attrs.ref()), contains_text("act=leaky_relu, a=0.25, residual=1"));
  }
  CHECK(products == 10);
  CHECK(epilogues == 6);
  CHECK(ops::linear.operand(2) == "b");
  CHECK(ops::cat.operand(3) == "xs3");
}

TEST_CASE("work is counted in multiply-adds", "[graph]") {
  const auto work = [](const OpDef& op, const Metas& in, AttrsRef attrs) {
    const Metas out = op.infer({op, in, {}, attrs});
    return op.work({op, in, out, attrs});
  };
  const ConvAttrs conv{.stride = {1, 1}, .dilation = {1, 1}, .pad_lo = {0, 0}, .pad_hi = {0, 0}};
  CHECK(work(ops::conv, {make_meta(DType::f32, {2, 3, 5, 6}), make_meta(DType::f32, {4, 3, 3, 3})},
             AttrsRef::of(conv)) == 2 * 4 * 3 * 4 * 27);
  const LinearAttrs linear;
  CHECK(work(ops::linear, {make_meta(DType::f32, {7, 5}), make_meta(DType::f32, {11, 5})}, AttrsRef::of(linear)) ==
        7 * 11 * 5);
  const MatmulAttrs turned{.transpose_a = true};
  CHECK(work(ops::matmul, {make_meta(DType::f32, {5, 7}), make_meta(DType::f32, {5, 11})}, AttrsRef::of(turned)) ==
        7 * 11 * 5);
  const AttentionAttrs attention{1, false};
  const Meta q = make_meta(DType::f32, {2, 4, 8}), k = make_meta(DType::f32, {2, 6, 8});
  CHECK(work(ops::sdpa, {q, k, k}, AttrsRef::of(attention)) == 2 * (4 * 6 * 8 + 4 * 6 * 8));
}

TEST_CASE("what nothing needs is dropped", "[graph]") {
  const Tensor c = ones({2});
  Graph g = trace([&](const Tensor& x) { return (void)exp(x * c), x + 1.0; }, {make_meta(DType::f32, {2})});
  CHECK(g.steps.size() == 3);
  g.remove_dead();
  g.verify();
  CHECK(g.steps.size() == 1);
  CHECK(g.values.size() == 2);
  CHECK(g.use_counts() == std::vector<int>{1, 1});
}

TEST_CASE("a bad memory plan is caught", "[graph]") {
  Graph g = trace(
      [](const Tensor& x) {
        const Tensor a = exp(x), b = sum(a, {0});
        return Tensors{b, a};
      },
      {make_meta(DType::f32, {64})});
  passes::memory(g, {});
  CHECK_NOTHROW(passes::check_places(g));
  g.places[2].offset = g.places[1].offset;
  CHECK(has(message_of([&] { passes::check_places(g); }), "overlaps an operand"));
}

TEST_CASE("a memory plan is proven byte by byte", "[graph]") {
  Graph g = trace(
      [](const Tensor& x) {
        const Tensor a = exp(x), low = slice(a, 0, 0, 32), high = slice(a, 0, 32, 64);
        const Tensor b = sum(low, {0}), c = sum(high, {0});
        return Tensors{b + c};
      },
      {make_meta(DType::f32, {64})});
  passes::place_apart(g);
  REQUIRE(g.steps.size() == 6);
  CHECK_NOTHROW(passes::check_places(g));
  const auto place = [&](size_t step) -> Place& { return g.places[static_cast<size_t>(g.steps[step].out[0])]; };
  SECTION("a half that is not needed any more may be written over") {
    place(4).offset = place(0).offset + 31 * 4;
    CHECK_NOTHROW(passes::check_places(g));
  }
  SECTION("one that is still needed may not") {
    place(3).offset = place(0).offset + 63 * 4;
    CHECK(has(message_of([&] { passes::check_places(g); }), "was overwritten before this use"));
    place(3).offset = place(0).offset + 32 * 4;
    CHECK(has(message_of([&] { passes::check_places(g); }), "was overwritten before this use"));
  }
  SECTION("a view lies within what it looks at") {
    place(2).offset += 4;
    CHECK(has(message_of([&] { passes::check_places(g); }), "lies outside what it looks at"));
  }
}

}  // namespace fovea
