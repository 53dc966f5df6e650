// SPDX-License-Identifier: Apache-2.0
// test/kernels/cuda.cpp — the kernels for GPUs give ref's numbers where check_op does not look, and whole nets do.
#include <algorithm>
#include <set>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/graph/session.h"
#include "kernels/cuda/plan.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/stand_in.h"

namespace fovea {
namespace {

using test::filled;
using test::relative_error;
using test::stand_in;
using test::values_of;

// f on the stand-in and on ref: the root of the normalised squared error.
template <class F>
double difference(const F& f, const Tensors& operands) {
  test::add_stand_in();
  Tensors there;
  for (const Tensor& t : operands) there.push_back(t.to(stand_in()));
  const std::vector<double> have = values_of(f(there));
  const UseBackend ref("ref");
  return relative_error(have, values_of(f(operands)));
}

Tensor integers(DType t) {
  const std::vector<int64_t> v{-7, -3, -1, 0, 1, 2, 5, 100, 7, -100, 3, 4};
  return cast(from(std::span<const int64_t>(v), {3, 4}), t);
}

Tensors moved(Tensors many, Device d) {
  for (Tensor& t : many) t = t.to(d);
  return many;
}

Session compiled(const Net& net, Device d, DType precision) {
  Metas in = net.in;
  for (Meta& m : in) m.device = d;
  const Tensors w = moved(net.make_weights(), d);
  const Graph g = trace([&](std::span<const Tensor> x) { return net.run(x, w); }, in);
  return compile(g, {.device = d, .dtype = precision});
}

}  // namespace

TEST_CASE("cuda: every dtype becomes every other as on the host", "[cuda]") {
  constexpr DType kAll[] = {DType::f32, DType::f64, DType::bf16, DType::f16,    DType::i64,
                            DType::i32, DType::i8,  DType::u8,   DType::boolean};
  for (const DType from : kAll)
    for (const DType to : kAll) {
      INFO(name_of(from) << " to " << name_of(to));
      const Tensor x = from == DType::u8 || from == DType::boolean ? cast(abs(integers(DType::i64)), from)
                       : is_floating(from) ? cast(cast(integers(DType::f64) * 0.75, from), from)
                                           : integers(from);
      CHECK(difference([&](const Tensors& in) { return cast(in[0], to); }, {x}) == 0);
    }
}

TEST_CASE("cuda: integers wrap, divide and compare as on the host", "[cuda]") {
  const Tensor a = integers(DType::i64), b = flip(integers(DType::i64), {0, 1}) + 200;
  for (int fn = 0; fn < static_cast<int>(Binary::count_); ++fn) {
    const auto op = static_cast<Binary>(fn);
    if (op == Binary::div || op == Binary::logical_and || op == Binary::logical_or) continue;        // not of integers
    INFO(name_of(op));
    const auto f = [&](const Tensors& in) {
      return call1(ops::binary, {in[0], in[1]}, BinaryAttrs{op});
    };
    CHECK(difference(f, {a, b}) == 0);
    CHECK(difference(f, {b, a + 1000}) == 0);
  }
  for (const Reduce fn : {Reduce::sum, Reduce::max, Reduce::min, Reduce::prod})
    CHECK(difference([&](const Tensors& in) { return call1(ops::reduce, {in[0]}, ReduceAttrs{fn, {1}, false}); },
                     {a}) == 0);
}

TEST_CASE("cuda: random tensors have the host's bits", "[cuda]") {
  test::add_stand_in();
  for (const Random kind : {Random::uniform, Random::normal, Random::bernoulli})
    for (const DType t : {DType::f32, DType::f64}) {
      RandomAttrs attrs{.kind = kind, .dtype = t, .p = 0.3f, .shape = {1027}, .key = 0x123456789abcdef};
      const auto draw = [&](Device d) {
        attrs.device = d;
        const int64_t step = 3;
        return values_of(call1(ops::random, {from(std::span<const int64_t>(&step, 1), {}).to(d)}, attrs));
      };
      const std::vector<double> there = draw(stand_in());
      const UseBackend ref("ref");
      CHECK(there == draw(cpu()));
    }
}

TEST_CASE("cuda: bad indices and divisions by zero are errors of the next wait", "[cuda]") {
  test::add_stand_in();
  const Tensor x = filled("x", {4, 5}).to(stand_in());
  const std::vector<int64_t> bad{0, 4};
  const Tensor y = index_select(x, 0, from(std::span<const int64_t>(bad), {2}).to(stand_in()));
  CHECK_THROWS_WITH(values_of(y), contains_text("outside the dimension"));
  const Tensor one = ones({4}, DType::i64).to(stand_in());
  const Tensor q = call1(ops::binary, {one, one - one}, BinaryAttrs{Binary::floor_divide});
  CHECK_THROWS_WITH(values_of(q), contains_text("divided by zero"));
}

TEST_CASE("cuda: compiled nets give the host's numbers, with the same bits in every order of threads", "[cuda]") {
  test::add_stand_in();
  for (const Net& net : nets()) {
    INFO(net.name);
    const Tensors want = [&] {
      const UseBackend ref("ref");
      return net.run(net.inputs(), net.make_weights());
    }();
    Session s = compiled(net, stand_in(), DType::f32);
    const Tensors x = moved(net.inputs(), stand_in());
    for (const StepInfo& step : s.steps()) CHECK_THAT(step.plan, contains_text("far:cuda:"));
    const int64_t launches = test::stand_in_work().launches;
    std::vector<std::vector<double>> first;
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const test::UseSchedule order(seed);
      const Tensors have = s.run(x);
      REQUIRE(have.size() == want.size());
      for (size_t i = 0; i < have.size(); ++i) {
        const std::vector<double> values = values_of(have[i]);
        CHECK(relative_error(values, values_of(want[i])) < 1e-5);
        if (seed == 0) first.push_back(values);
        else CHECK(values == first[i]);
      }
    }
    CHECK(test::stand_in_work().launches >= launches + 3 * static_cast<int64_t>(s.steps().size()));
  }
}

TEST_CASE("cuda: a training step's gradients are the host's", "[cuda]") {
  test::add_stand_in();
  const Net net = nets()[0];
  const auto gradients = [&](Device d) {
    Tensors w = moved(net.make_weights(), d);
    for (Tensor& t : w) t.set_requires_grad();
    const Tensors y = net.run(moved(net.inputs(), d), w);
    std::vector<std::vector<double>> all;
    for (const Tensor& g : grad(std::vector{sum(y[0] * y[0])}, w)) all.push_back(values_of(g));
    return all;
  };
  const auto have = gradients(stand_in());
  const UseBackend ref("ref");
  const auto want = gradients(cpu());
  REQUIRE(have.size() == want.size());
  for (size_t i = 0; i < have.size(); ++i) CHECK(relative_error(have[i], want[i]) < 2e-5);
}

TEST_CASE("cuda: a GPU that cannot be used is an error that says why", "[cuda]") {
  std::string why;
  try {
    (void)zeros({1}, DType::f32, {Device::Kind::cuda, 0});
  } catch (const Error& e) { why = e.what(); }
  const auto is_cuda = [](const Backend* b) { return b->device == Device::Kind::cuda; };
  if (std::none_of(backends().begin(), backends().end(), is_cuda))
    CHECK_THAT(why, contains_text("no backend for cuda:0"));
  else if (!why.empty()) CHECK_THAT(why, contains_text("no GPU can be used: libcuda.so.1"));
}

TEST_CASE("cuda: the ops that have kernels of fovea's own", "[cuda]") {
  std::set<std::string> named;
  for (const std::span<const Kernel>& table : cuda::own_kernels())
    for (const Kernel& k : table) CHECK(named.insert(std::string(k.op->name())).second);
  for (const char* op : {"chain", "conv", "conv_dw", "layer_norm", "linear", "matmul", "reduce", "sdpa"})
    CHECK(named.count(op) == 1);
  CHECK(named.size() == 42);
}

}  // namespace fovea
