// SPDX-License-Identifier: Apache-2.0
// test/engine/session.cpp — compiled graphs give what eager gives: every pass alone, all together, in bf16, on threads,
// while training.
#include "engine/graph/session.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <thread>

#include "engine/autograd/autograd.h"
#include "engine/core/deferred.h"
#include "engine/graph/passes/passes.h"
#include "engine/ops/lowered/fused.h"
#include "test/engine/session_nets.h"
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

// The largest difference, against the largest value.
double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Tensor ca = contiguous(cast(a, DType::f64)), cb = contiguous(cast(b, DType::f64));
  double most = 0, size = 1e-3;
  for (size_t i = 0; i < ca.data<double>().size(); ++i) {
    const double x = ca.data<double>()[i], y = cb.data<double>()[i];
    if (std::isnan(x) || std::isnan(y)) return 1e9;
    most = std::max(most, std::abs(x - y));
    size = std::max(size, std::abs(y));
  }
  return most / size;
}

Graph traced(const Net& net, const Tensors& w) {
  return trace([&](std::span<const Tensor> x) { return net.run(x, w); }, net.in);
}

size_t count(const Graph& g, const OpDef& op) {
  size_t n = 0;
  for (const Step& s : g.steps) n += s.op == &op;
  return n;
}

void check_against_eager(const Net& net, const Target& target, double most) {
  const Tensors w = net.make_weights(), x = net.inputs(), want = net.run(x, w);
  Session s = compile(traced(net, w), target);
  for (int round = 0; round < 2; ++round) {
    const Tensors have = s.run(x);
    REQUIRE(have.size() == want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      INFO(net.name << ", result " << i);
      CHECK(have[i].dtype() == want[i].dtype());
      if (want[i].meta().is_contiguous()) CHECK(have[i].meta().is_contiguous());
      CHECK(distance(have[i], want[i]) < most);
    }
  }
}

}  // namespace

TEST_CASE("every pass keeps the numbers", "[session]") {
  for (const Net& net : nets()) {
    check_against_eager(net, {.without = passes_but("")}, 2e-6);
    for (const Pass& p : pass_table()) {
      INFO("only " << p.name);
      check_against_eager(net, {.without = passes_but(p.name)}, 1e-5);
    }
    for (const Pass& p : pass_table()) {
      if (p.required) continue;
      INFO("all but " << p.name);
      check_against_eager(net, {.without = {p.name}}, 1e-5);
    }
    check_against_eager(net, {}, 1e-5);
  }
}

TEST_CASE("bf16 is near, and inputs and results stay as traced", "[session]") {
  for (const Net& net : nets()) check_against_eager(net, {.dtype = DType::bf16}, 0.05);
}

TEST_CASE("the passes do what they say", "[session]") {
  const Net net = nets()[0];
  const Tensors w = net.make_weights();
  const Session plain = compile(traced(net, w), {.without = passes_but("")}), best = compile(traced(net, w));
  CHECK(count(plain.graph(), ops::batch_norm_eval) == 4);
  CHECK(count(best.graph(), ops::batch_norm_eval) == 0);
  CHECK(count(best.graph(), ops::binary) == 0);    // layer scale is in the weights, the sum in an epilogue
  CHECK(count(best.graph(), ops::unary) == 0);
  CHECK(count(best.graph(), ops::copy) == 1);      // one result is an image: it goes back to the traced order
  CHECK(best.arena_bytes() < plain.arena_bytes());
  CHECK(best.steps().size() == 8);
  CHECK(best.steps()[0].op == "conv");
  CHECK(best.steps()[0].flops == 2 * 2 * 8 * 9 * 7 * 27);
  CHECK(best.steps()[0].bytes > 0);
  for (const StepInfo& s : best.steps()) CHECK_FALSE(s.plan.empty());

  const Session views = compile(traced(nets()[3], nets()[3].make_weights()));
  CHECK(count(views.graph(), ops::batch_norm_eval) == 0);
  // the sum that feeds a convolution; the others join products through views
  CHECK(count(views.graph(), ops::binary) == 1);
  CHECK(count(views.graph(), ops::copy) == 1);     // and that of the part of an image that one convolution reads

  const Session odd = compile(traced(nets()[4], nets()[4].make_weights()));
  CHECK(count(odd.graph(), ops::softmax) == 0);
}

TEST_CASE("norms that no convolution takes in join what they read and map what they give", "[session]") {
  const Net net = nets()[5];
  const Session s = compile(traced(net, net.make_weights()));
  CHECK(count(s.graph(), ops::batch_norm_eval) == 0);
  CHECK(count(s.graph(), ops::scale_shift) == 4);
  CHECK(count(s.graph(), ops::unary) == 0);
  CHECK(count(s.graph(), ops::cat) == 2);          // a result of the whole
}

TEST_CASE("convolutions of single pixels take in norms in front of them, others do not", "[session]") {
  const Tensor w = numbers({8, 8, 1, 1}, 1), x = numbers({2, 8, 6, 7}, 2);
  Tensors n;
  for (int64_t i = 0; i < 4; ++i) n.push_back(numbers({8}, 3 + i, 0.5) + 0.75);
  for (const int64_t pad : {0, 1}) {
    const auto f = [&](const Tensor& t) {
      const Tensor y = conv(norm(t, n), w, {}, {.pad = {pad}});
      return Tensors{pad > 0 ? y : relu(y) + t};
    };
    Session s = compile(trace(f, {x.meta()}));
    CHECK(count(s.graph(), ops::batch_norm_eval) + count(s.graph(), ops::scale_shift) == (pad > 0 ? 1 : 0));
    CHECK(distance(s.run({x})[0], f(x)[0]) < 1e-5);
  }
}

TEST_CASE("indices that nobody reads are not computed", "[session]") {
  const Tensor x = numbers({2, 8, 9, 7}, 3);
  const PoolOptions o{.kernel = {3}, .stride = {2}, .pad = {1}};
  Session values = compile(trace([&](const Tensor& t) { return Tensors{max_pool(t, o)}; }, {x.meta()}));
  Session both = compile(trace([&](const Tensor& t) {
    const auto [y, at] = max_pool_indices(t, o);
    return Tensors{y, at};
  }, {x.meta()}));
  const auto results = [](const Session& s) {
    size_t n = 0;
    for (const StepInfo& i : s.steps()) n += i.op == "max_pool" ? i.out.size() : 0;
    return n;
  };
  CHECK(results(values) == 1);
  CHECK(results(both) == 2);
  CHECK(distance(values.run({x})[0], both.run({x})[0]) == 0);
}

TEST_CASE("an activation in front of a sum stays in front of it", "[session]") {
  const Tensor w = numbers({8, 8, 3, 3}, 1), v = numbers({16, 16}, 2), x = numbers({2, 8, 6, 7}, 3);
  const auto f = [&](const Tensor& t) {
    const Tensor rows = reshape(t, {-1, 16});
    return Tensors{relu(conv(t, w, {}, {.pad = {1}})) + t, relu(linear(rows, v)) + rows};
  };
  Session s = compile(trace(f, {x.meta()}));
  const Tensors want = f(x), have = s.run({x});
  for (size_t i = 0; i < want.size(); ++i) CHECK(distance(have[i], want[i]) < 1e-5);
}

TEST_CASE("inputs may lie in any order", "[session]") {
  const Net net = nets()[0];
  const Tensors w = net.make_weights(), x = net.inputs();
  Session s = compile(traced(net, w));
  const Tensor want = net.run(x, w)[0];
  const Tensor last[] = {contiguous(x[0], Memory::channels_last)},
               strided[] = {permute(contiguous(permute(x[0], {3, 1, 0, 2})), {2, 1, 3, 0})};
  CHECK(distance(s.run(last)[0], want) < 1e-5);
  CHECK(distance(s.run(strided)[0], want) < 1e-5);
  CHECK(distance(s.run(x)[0], want) < 1e-5);
}

TEST_CASE("a graph for another size reads what the first one packed", "[session]") {
  const Tensor w = numbers({64, 32, 3, 3}, 1), v = numbers({64, 64, 1, 1}, 2);
  const auto net = [&](const Tensor& x) { return conv(relu(conv(x, w, {}, {.pad = {1}})), v); };
  const auto traced = [&](int64_t edge) { return trace(net, {make_meta(DType::f32, {1, 32, edge, edge})}); };
  Session first = compile(traced(24));
  const int64_t packed = first.constant_bytes();
  REQUIRE(packed >= w.meta().bytes());
  const Session* const sharing[] = {&first};
  Session second = compile(traced(25), {}, sharing), alone = compile(traced(25));
  CHECK(second.constant_bytes() - second.shared_bytes() < packed / 4);
  first = Session();                               // what it lent stays
  const Tensor x = numbers({1, 32, 25, 25}, 3);
  const Tensor a = second.run(x), b = alone.run(x);
  CHECK(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.meta().bytes())) == 0);
  Session fork = second.fork();
  const Tensor c = fork.run(x);
  CHECK(std::memcmp(c.bytes(), b.bytes(), static_cast<size_t>(b.meta().bytes())) == 0);
}

TEST_CASE("borrowed results stay where they are", "[session]") {
  const Net net = nets()[1];
  const Tensors w = net.make_weights(), x = net.inputs(), other{numbers(net.in[0].shape, 99)};
  Session s = compile(traced(net, w));
  const std::span<const Tensor> first = s.run_borrowed(x);
  const std::byte* const where = first[0].bytes();
  CHECK(distance(first[0], net.run(x, w)[0]) < 1e-5);
  const Tensor own = s.run(x)[0];
  CHECK(s.run_borrowed(other)[0].bytes() == where);
  CHECK(distance(first[0], net.run(other, w)[0]) < 1e-5);
  CHECK(distance(own, net.run(x, w)[0]) < 1e-5);
  CHECK(s.profile(x).size() == s.steps().size());
}

TEST_CASE("steps in place are exact at every length", "[session]") {
  for (const int64_t n : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 100, 4099, 20011}) {
    const Tensor row = numbers({n}, 8);
    const auto f = [&](const Tensor& x) {
      // c goes over b, its second operand
      const Tensor a = exp(x), b = unary(a + row, Unary::gelu), c = x - b;
      const Tensor d = where(less(c, 0.0), c * c, unary_dx(c, b * 2.0, Unary::silu));
      return Tensors{clamp(d / (square(d) + 1.0), -0.4, 0.4)};
    };
    const Tensor x = numbers({3, n}, 9);
    Session s = compile(trace(f, {x.meta()}));
    CHECK(s.arena_bytes() < 5 * x.meta().bytes() + 5 * 128);
    CHECK(distance(s.run(x), f(x)[0]) == 0);
  }
}

TEST_CASE("a borrowed result may be the next input", "[session]") {
  const Meta m = make_meta(DType::f32, {64});
  Session s = compile(trace([](const Tensor& x) { return exp(x * 0.5) + x; }, {m}));
  Tensor want = numbers({64}, 3), have = want;
  for (int i = 0; i < 3; ++i) {
    want = exp(want * 0.5) + want;
    have = s.run_borrowed(have)[0];
  }
  CHECK(distance(have, want) < 1e-5);
}

TEST_CASE("forks run at the same time", "[session]") {
  const Net net = nets()[2];
  const Tensors w = net.make_weights();
  const Session s = compile(traced(net, w), {.threads = 1});
  std::vector<double> worst(4, 1.0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < worst.size(); ++t)
    threads.emplace_back([&, t] {
      Session mine = s.fork();
      const Tensor x = numbers(net.in[0].shape, 1000 + static_cast<int64_t>(t));
      const Tensors in{x};
      const Tensor want = net.run(in, w)[0];
      double most = 0;
      for (int i = 0; i < 20; ++i) {
        const Tensor have = mine.run(x);
        for (size_t k = 0; k < have.data<float>().size(); ++k)
          most = std::max(most, std::abs(static_cast<double>(have.data<float>()[k] - want.data<float>()[k])));
      }
      worst[t] = most;
    });
  for (std::thread& t : threads) t.join();
  for (double d : worst) CHECK(d < 1e-4);
}

namespace {
// An input whose values come into being while a run takes its inputs.
struct Meanwhile final : Deferred {
  explicit Meanwhile(std::function<void()> f) : during(std::move(f)) {}
  void write(std::byte* to) override {
    std::memset(to, 0, 2 * sizeof(float));
    during();
  }
  std::function<void()> during;
};
}  // namespace

TEST_CASE("a session runs on one thread at a time", "[session]") {
  const Meta m = make_meta(DType::f32, {2});
  Session s = compile(trace([](const Tensor& x) { return x + 1.0; }, {m}));
  std::vector<std::string> said;
  const auto meanwhile = [&](auto use) {
    return deferred_tensor(m, std::make_shared<Meanwhile>([&said, use] {
      std::thread([&] { said.push_back(message_of(use)); }).join();
    }));
  };
  const Tensor x = ones({2});
  const std::vector<std::function<void()>> uses{
      [&] { (void)s.run(x); }, [&] { (void)s.run_borrowed(x); }, [&] { (void)s.profile(std::span(&x, 1)); }};
  for (const auto& use : uses) (void)s.run(meanwhile(use));
  (void)s.run_borrowed(meanwhile(uses[0]));
  const Tensor last = meanwhile(uses[1]);
  (void)s.profile(std::span(&last, 1));
  REQUIRE(said.size() == 5);
  for (const std::string& one : said)
    CHECK(one == "a Session was used by two threads at once\n  fork() gives each thread a session of its own");
  Session fork;
  CHECK(s.run(meanwhile([&] { fork = s.fork(); })).data<float>()[1] == 1);       // forks without state may be made
  CHECK(said.back() == "nothing was thrown");
  CHECK(fork.run(x).data<float>()[0] == 2);
  const Tensor none = deferred_tensor(m, std::make_shared<Meanwhile>([] { throw std::bad_alloc(); }));
  CHECK_THROWS_AS(s.run(none), std::bad_alloc);
  CHECK(s.run(x).data<float>()[0] == 2);           // a run that failed is over
}

TEST_CASE("state is not copied while a run changes it", "[session]") {
  const Meta m = make_meta(DType::f32, {2});
  Tensor a = zeros({2});
  Session s = compile(trace([&](const Tensor& x) { return a = a + x; }, {m}, {.state = {{"a", &a}}}));
  std::string said;
  (void)s.run(deferred_tensor(m, std::make_shared<Meanwhile>([&] { said = message_of([&] { (void)s.fork(); }); })));
  CHECK(has(said, "a Session was used by two threads at once"));
  CHECK_NOTHROW(s.fork());
}

TEST_CASE("what cannot be compiled or run is said by name", "[session]") {
  const Meta m = make_meta(DType::f32, {2});
  const Tensor none = meta_tensor(m);
  StateDict names;
  names.set("head.weight", none);
  CHECK(has(message_of([&] { compile(trace([&](const Tensor& x) { return x + none; }, {m}, {.names = &names})); }),
            "no values for head.weight"));
  const Graph g = trace([](const Tensor& x) { return x + 1.0; }, {m}, {.input_names = {"image"}});
  CHECK(has(message_of([&] { compile(g, {.without = {"folds"}}); }), "no pass 'folds'"));
  CHECK(has(message_of([&] { compile(g, {.dtype = DType::i64}); }), "cannot be compiled for i64"));
  Session s = compile(g);
  CHECK(has(message_of([&] { s.run(ones({3})); }), "image is f32[3], the graph was compiled for f32[2]"));
  CHECK(has(message_of([&] { s.run({ones({2}), ones({2})}); }), "run() with 2 inputs, the graph has 1"));
  CHECK(has(message_of([&] { s.run(none); }), "has none"));
  CHECK(has(message_of([&] { Session().run(ones({2})); }), "empty Session"));
}

namespace {

// conv - batch norm with running statistics - relu - pool - linear, trained by SGD with momentum.
struct Learner {
  std::vector<std::string> names{"conv.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias"};
  Tensors parameters{numbers({8, 3, 3, 3}, 1, 0.3), ones({8}), zeros({8}), numbers({4, 8}, 2, 0.3), zeros({4})};
  Tensors momentum;
  Tensor running_mean = zeros({8}), running_var = ones({8});

  Learner() {
    for (Tensor& p : parameters) {
      momentum.push_back(zeros(p.shape()));
      p = p.detach().set_requires_grad();
    }
  }

  Tensor step(const Tensor& x, const Tensor& target) {
    const Tensor h = conv(x, parameters[0], {}, {.stride = {2}, .pad = {1}});
    const BatchNormResult bn = batch_norm_train(h, parameters[1], parameters[2], 1e-5);
    const Tensor logits = linear(mean(relu(bn.y), {2, 3}), parameters[3], parameters[4]);
    const Tensor loss = cross_entropy(logits, target, {.smoothing = 0.1});
    backward(loss);
    const NoGrad off;
    running_mean = running_mean * 0.9 + bn.mean * 0.1;
    running_var = running_var * 0.9 + bn.var * 0.1;
    for (size_t i = 0; i < parameters.size(); ++i) {
      momentum[i] = momentum[i] * 0.9 + parameters[i].grad();
      parameters[i] = (parameters[i] - momentum[i] * 0.05).detach().set_requires_grad();
    }
    return loss.detach();
  }

  std::vector<Slot> slots() {
    std::vector<Slot> s;
    for (size_t i = 0; i < parameters.size(); ++i) s.push_back({names[i], &parameters[i]});
    for (size_t i = 0; i < parameters.size(); ++i) s.push_back({names[i] + ".momentum", &momentum[i]});
    s.push_back({"bn.running_mean", &running_mean});
    s.push_back({"bn.running_var", &running_var});
    return s;
  }
};

}  // namespace

TEST_CASE("a whole training step is one graph", "[session]") {
  const Metas in{make_meta(DType::f32, {4, 3, 9, 8}), make_meta(DType::i64, {4})};
  const auto batch = [&](int64_t i) {
    return Tensors{numbers(in[0].shape, 50 + i), from(std::span<const int64_t>({i % 4, 1, 2, 3}), Shape{4})};
  };
  std::vector<std::vector<std::string>> choices{{}, passes_but("")};
  for (const Pass& p : pass_table()) choices.push_back(passes_but(p.name));
  for (const std::vector<std::string>& without : choices) {
    Learner eager, compiled;
    const Graph g =
        trace([&](std::span<const Tensor> x) { return compiled.step(x[0], x[1]); }, in, {.state = compiled.slots()});
    Session s = compile(g, {.without = without});
    Session fork = s.fork();
    double first = 0, last = 0;
    for (int64_t i = 0; i < 10; ++i) {
      const Tensors x = batch(i % 2);
      const double want = eager.step(x[0], x[1]).item(), have = s.run(x)[0].item();
      CHECK(have == Approx(want).epsilon(1e-5));
      (i ? last : first) = want;
    }
    CHECK(last < first);
    CHECK(distance(s.state().at("fc.weight"), eager.parameters[3]) < 1e-5);
    CHECK(distance(s.state().at("conv.weight.momentum"), eager.momentum[0]) < 1e-4);
    CHECK(distance(s.state().at("bn.running_var"), eager.running_var) < 1e-5);
    CHECK(distance(fork.state().at("fc.weight"), compiled.parameters[3]) == 0);       // a fork has its own state
  }
}

TEST_CASE("state may be swapped, kept and handed out", "[session]") {
  Tensor a = from({1, 2}), b = from({3, 4}), c = from({5, 6});
  const auto f = [&](const Tensor& x) {
    std::swap(a, b);
    return Tensors{x + c, a};
  };
  Session s = compile(trace(f, {make_meta(DType::f32, {2})}, {.state = {{"a", &a}, {"b", &b}, {"c", &c}}}));
  const Tensors out = s.run({from({1, 1})});
  CHECK(out[0].data<float>()[1] == 7);
  CHECK(out[1].data<float>()[0] == 3);
  CHECK(s.state().at("a").data<float>()[0] == 3);
  CHECK(s.state().at("b").data<float>()[1] == 2);
  s.run({from({1, 1})});
  CHECK(s.state().at("a").data<float>()[0] == 1);
  CHECK(a.data<float>()[0] == 1);                  // the slots' own tensors are never written
}

}  // namespace fovea
