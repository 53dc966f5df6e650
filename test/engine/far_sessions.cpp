// SPDX-License-Identifier: Apache-2.0
// test/engine/far_sessions.cpp — compiled sessions on devices that the host cannot see into give what they give here.
#include <thread>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/graph/batch_session.h"
#include "engine/graph/calibration.h"
#include "engine/graph/passes/passes.h"
#include "engine/graph/sensitivity.h"
#include "engine/graph/session_cache.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/far_device.h"
#include "test/weights_tools/files.h"

namespace fovea {
namespace {

using test::far_device;
using test::relative_error;
using test::values_of;

Tensors moved(Tensors many, Device d) {
  for (Tensor& t : many) t = t.to(d);
  return many;
}

Graph traced(const Net& net, Device d) {
  Metas in = net.in;
  for (Meta& m : in) m.device = d;
  const Tensors w = moved(net.make_weights(), d);
  return trace([&](std::span<const Tensor> x) { return net.run(x, w); }, in);
}

void check_near(const Tensors& have, const Tensors& want, double most) {
  REQUIRE(have.size() == want.size());
  for (size_t i = 0; i < have.size(); ++i) {
    INFO("result " << i << " " << to_string(have[i].meta()));
    CHECK(have[i].shape() == want[i].shape());
    CHECK(relative_error(values_of(have[i]), values_of(want[i])) <= most);
  }
}

Tensors expected(const Net& net) {
  const UseBackend ref("ref");
  const Tensors x = net.inputs();
  return net.run(x, net.make_weights());
}

}  // namespace

TEST_CASE("far: compiled nets give the host's numbers, whichever pass is left out", "[far][session]") {
  test::add_far_devices();
  for (const Net& net : nets()) {
    INFO(net.name);
    const Tensors want = expected(net);
    std::vector<Target> targets{{}, {.without = passes_but("")}, {.without = passes_but("memory")}};
    for (const Pass& p : pass_table())
      if (!p.required) targets.push_back({.without = {p.name}});
    for (size_t i = 0; i < targets.size(); ++i) {
      targets[i].device = far_device(static_cast<int>(i % 2));
      Session s = compile(traced(net, targets[i].device), targets[i]);
      const Tensors x = moved(net.inputs(), targets[i].device);
      check_near(s.run(x), want, 1e-5);
      check_near(s.run(x), want, 1e-5);
    }
  }
}

TEST_CASE("far: weights are packed on the host and used on the device", "[far][session]") {
  test::add_far_devices();
  const int64_t before = test::far_work().packed;
  const Net net = nets()[0];
  Session s = compile(traced(net, far_device()), {.device = far_device()});
  CHECK(test::far_work().packed > before);
  CHECK(s.constant_bytes() > 0);
  for (const StepInfo& step : s.steps()) CHECK_THAT(step.plan, contains_text("far:ref"));
}

TEST_CASE("far: sessions in bf16 are near", "[far][session]") {
  test::add_far_devices();
  for (const Net& net : nets()) {
    INFO(net.name);
    Session s = compile(traced(net, far_device(1)), {.device = far_device(1), .dtype = DType::bf16});
    check_near(s.run(moved(net.inputs(), far_device(1))), expected(net), 0.05);
  }
}

TEST_CASE("far: borrowed results last until the next run, and inputs may lie in any way", "[far][session]") {
  test::add_far_devices();
  const Net net = nets()[0];
  const Device d = far_device();
  Session s = compile(traced(net, d), {.device = d});
  const Tensors want = expected(net), x = net.inputs();
  const Tensor turned = permute(contiguous(permute(x[0], {3, 1, 0, 2})), {2, 1, 3, 0}).to(d);
  REQUIRE(values_of(turned) == values_of(x[0]));
  for (const Tensor& in : {x[0].to(d), contiguous(x[0], Memory::channels_last).to(d), turned}) {
    const std::span<const Tensor> results = s.run_borrowed(in);
    check_near({results.begin(), results.end()}, want, 1e-5);
  }
  const Tensor other = numbers(net.in[0].shape, 99);
  const Tensor first = s.run_borrowed(x[0].to(d))[0];
  s.run_borrowed(other.to(d));
  CHECK(relative_error(values_of(first), values_of(want[0])) > 1e-3);
}

TEST_CASE("far: a session is given inputs of its own device", "[far][session]") {
  test::add_far_devices();
  Session s = compile(trace([](const Tensor& x) { return x + 1.0; }, {make_meta(DType::f32, {2}, {}, far_device())}),
                      {.device = far_device()});
  CHECK_THROWS_WITH(s.run(ones({2})), contains_text("input is f32[2], the graph was compiled for f32[2] on far:0"));
  CHECK_THROWS_WITH(
      compile(trace([](const Tensor& x) { return x + 1.0; }, {make_meta(DType::f32, {2})}), {.device = far_device()}),
      contains_text("compile for far:0: input was traced on cpu"));
}

TEST_CASE("far: profiles wait for each step, before and after it", "[far][session]") {
  test::add_far_devices();
  const Net net = nets()[0];
  const Device d = far_device();
  Session s = compile(traced(net, d), {.device = d});
  const Tensors x = moved(net.inputs(), d);
  const int64_t before = test::far_work().waits;
  CHECK(s.profile(x).size() == s.steps().size());
  CHECK(test::far_work().waits - before == static_cast<int64_t>(2 * s.steps().size()));
}

TEST_CASE("far: forks run side by side, on streams of their own", "[far][session]") {
  test::add_far_devices();
  const Net net = nets()[2];
  const Device d = far_device(1);
  const Session s = compile(traced(net, d), {.device = d});
  const Tensors w = net.make_weights();
  std::vector<double> worst(6);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < worst.size(); ++t)
    threads.emplace_back([&, t] {
      const Tensor x = numbers(net.in[0].shape, 1000 + static_cast<int64_t>(t));
      const Tensors in{x};
      const Tensor want = net.run(in, w)[0];
      Session mine = s.fork();
      for (int round = 0; round < 6; ++round) {  // another stream each time: its memory goes from one to the next
        const UseStream use(runtime_of(d).stream(d, static_cast<int>(t + static_cast<size_t>(round)) % 4));
        const Tensor y = round % 2 ? mine.run(x.to(d)) : mine.run_borrowed(x.to(d))[0];
        worst[t] = std::max(worst[t], relative_error(values_of(y), values_of(want)));
      }
    });
  for (std::thread& t : threads) t.join();
  for (double off : worst) CHECK(off < 1e-5);
}

TEST_CASE("far: a session that goes from stream to stream stays in order", "[far][session]") {
  test::add_far_devices();
  const Device d = far_device();
  Tensor total = zeros({300}, DType::f32, d);
  const Graph g = trace(
      [&](const Tensor& x) {
        total = total + x;
        return total * 1.0;
      },
      {make_meta(DType::f32, {300}, {}, d)}, {.state = {{"total", &total}}});
  for (const std::vector<std::string>& without : {std::vector<std::string>(), {"memory"}}) {
    // state is updated in place, or copied behind the steps
    Session s = compile(g, {.device = d, .without = without});
    for (int i = 1; i <= 24; ++i) {
      const UseStream use(runtime_of(d).stream(d, i % 4));
      const Tensor y = s.run(ones({300}, DType::f32, d));
      if (i % 6 == 0) CHECK(sum(y).item() == 300.0 * i);
    }
    CHECK(sum(s.state().at("total")).item() == 300.0 * 24);
    CHECK(sum(total).item() == 0);
  }
}

TEST_CASE("far: a saved session comes back on its device", "[far][session][session_cache]") {
  test::add_far_devices();
  const test::Scratch folder;
  for (const Net& net : nets()) {
    INFO(net.name);
    const Device d = far_device(1);
    const Tensors x = moved(net.inputs(), d);
    Session fresh = compile(traced(net, d), {.device = d});
    save_session(fresh, folder / "s", "key");
    std::optional<Session> loaded = load_session(folder / "s", "key");
    REQUIRE(loaded);
    CHECK(loaded->inputs()[0].device == d);
    const Tensors want = fresh.run(x), have = loaded->run(x);
    for (size_t i = 0; i < want.size(); ++i) CHECK(values_of(have[i]) == values_of(want[i]));
    Session fork = loaded->fork();
    loaded.reset();
    check_near(fork.run(x), want, 0);
  }
}

TEST_CASE("far: slices of a batch run side by side", "[far][session]") {
  test::add_far_devices();
  const Device d = far_device();
  const Tensor w = numbers({4, 3, 3, 3}, 1), l = numbers({5, 4}, 3), wd = w.to(d), ld = l.to(d);
  const auto net = [](const Tensor& x, const Tensor& a, const Tensor& b) {
    return linear(mean(relu(conv(x, a, {}, {.pad = {1}})), {2, 3}), b);
  };
  BatchSession batch(
      compile(trace([&](const Tensor& x) { return net(x, wd, ld); }, {make_meta(DType::f32, {1, 3, 6, 5}, {}, d)}),
              {.device = d, .threads = 1}),
      3);
  for (const int stream : {0, 2}) {
    const UseStream use(runtime_of(d).stream(d, stream));
    const Tensor x = numbers({7, 3, 6, 5}, 5 + stream);
    check_near({batch.run_borrowed(x.to(d))[0]}, {net(x, w, l)}, 1e-5);
  }
  CHECK_THROWS_WITH(batch.run_borrowed(numbers({2, 3, 6, 5}, 1)), contains_text("slices of f32[1, 3, 6, 5] on far:0"));
}

TEST_CASE("far: calibration watches, and integers compute there", "[far][session][quant]") {
  test::add_far_devices();
  const Device d = far_device();
  struct Small {
    Tensor stem, expand, wide_bias, depthwise, shrink, classes;
    Tensor operator()(const Tensor& image) const {
      const Tensor x =
          max_pool(relu(conv(image, stem, {}, {.stride = {2}, .pad = {1}})), {.kernel = {2}, .stride = {2}});
      Tensor y = unary(conv(x, expand, wide_bias), Unary::hard_swish);
      y = unary(conv(y, depthwise, wide_bias, {.pad = {1}, .groups = 48}), Unary::relu6);
      return linear(mean(relu(conv(y, shrink) + x), {2, 3}), classes);
    }
  };
  const auto on = [](Device where) {
    return Small{numbers({24, 3, 3, 3}, 1, 0.4).to(where), numbers({48, 24, 1, 1}, 2, 0.3).to(where),
                 numbers({48}, 4, 0.2).to(where),          numbers({48, 1, 3, 3}, 3, 0.5).to(where),
                 numbers({24, 48, 1, 1}, 5, 0.3).to(where), numbers({10, 24}, 6, 0.5).to(where)};
  };
  struct Made {
    Session session;
    std::vector<double> errors;  // of each value as integers
  };
  const auto made = [&](Device where) {
    const Small net = on(where);
    std::optional<UseBackend> ref;
    if (where == cpu()) ref.emplace("ref");
    const Graph g = trace([&](const Tensor& x) { return net(x); }, {make_meta(DType::f32, {1, 3, 32, 32}, {}, where)});
    Calibrator seen(g, {.device = where});
    for (int i = 0; i < 4; ++i) seen.observe(numbers({1, 3, 32, 32}, 100 + i).to(where));
    const auto ranges = std::make_shared<Calibration>(seen.result());
    Made out{compile(g, {.device = where, .calibration = ranges}), {}};
    const SensitivityMeter meter(g, {.device = where}, {numbers({1, 3, 32, 32}, 100).to(where)});
    for (const auto& [name, observed] : ranges->values) out.errors.push_back(meter.measure(name, observed).error);
    return out;
  };
  Made here = made(cpu()), there = made(d);
  int integers = 0;
  for (const StepInfo& s : there.session.steps()) integers += s.op.starts_with("quant_");
  CHECK(integers >= 3);
  const Tensor x = numbers({1, 3, 32, 32}, 7);
  CHECK(relative_error(values_of(there.session.run(x.to(d))), values_of(here.session.run(x))) < 0.02);
  REQUIRE(there.errors.size() == here.errors.size());
  CHECK(relative_error(there.errors, here.errors) < 0.05);
}

}  // namespace fovea
