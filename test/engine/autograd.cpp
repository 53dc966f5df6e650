// SPDX-License-Identifier: Apache-2.0
// test/engine/autograd.cpp — the walk over the tape: sums over paths, second derivatives, checkpoints, long chains,
// errors.
#include "engine/autograd/autograd.h"

#include <cmath>

#include "engine/core/scope.h"
#include "engine/ops/ops.h"
#include "engine/ops/random.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

Tensor leaf(std::initializer_list<float> values) { return from(values).set_requires_grad(); }

std::vector<float> values(const Tensor& t) {
  const Tensor c = contiguous(t);
  return {c.data<float>().begin(), c.data<float>().end()};
}

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("backward sums over paths and over calls", "[autograd]") {
  const Tensor x = leaf({1, 2, 3});
  const Tensor y = x * x + x;                      // 2x + 1
  backward(sum(y));
  CHECK(values(x.grad()) == std::vector<float>{3, 5, 7});
  backward(sum(y));                                // the tape is still there: y holds it
  CHECK(values(x.grad()) == std::vector<float>{6, 10, 14});
  x.set_grad({});
  CHECK_FALSE(x.grad());
}

TEST_CASE("a seed starts the walk from several elements", "[autograd]") {
  const Tensor x = leaf({1, 2, 3});
  backward(x * 2.0, from({1, 10, 100}));
  CHECK(values(x.grad()) == std::vector<float>{2, 20, 200});
}

TEST_CASE("grad leaves the leaves alone and takes inner tensors", "[autograd]") {
  const Tensor x = leaf({1, 2}), other = leaf({5, 5, 5});
  const Tensor h = x * 3.0, y = sum(h * h);
  const Tensor inputs[] = {h, x, other}, outputs[] = {y};
  const Tensors g = grad(outputs, inputs);
  CHECK(values(g[0]) == std::vector<float>{6, 12});
  CHECK(values(g[1]) == std::vector<float>{18, 36});
  CHECK(values(g[2]) == std::vector<float>{0, 0, 0});
  CHECK_FALSE(x.grad());
}

TEST_CASE("gradients of gradients", "[autograd]") {
  const Tensor x = leaf({2, 3});
  const Tensor outputs[] = {sum(x * x * x)}, inputs[] = {x};
  const Tensor first = grad(outputs, inputs, {}, true)[0];
  CHECK(values(first) == std::vector<float>{12, 27});
  const Tensor again[] = {sum(first)};
  CHECK(values(grad(again, inputs)[0]) == std::vector<float>{12, 18});
  CHECK_FALSE(grad(outputs, inputs)[0].requires_grad());
}

TEST_CASE("NoGrad leaves no tape", "[autograd]") {
  const Tensor x = leaf({1});
  const NoGrad off;
  CHECK_FALSE((x * 2.0).requires_grad());
}

TEST_CASE("gradients lie as their leaves do", "[autograd]") {
  const Tensor x = leaf({1, 2, 3, 4, 5, 6});
  const Tensor image =
      contiguous(reshape(x.detach(), {1, 2, 3, 1}), Memory::channels_last).detach().set_requires_grad();
  backward(sum(expand(image, {4, 2, 3, 1})));
  CHECK(image.grad().meta().is_channels_last());
  CHECK(values(image.grad()) == std::vector<float>(6, 4.0f));
}

TEST_CASE("asking for what cannot be", "[autograd]") {
  const Tensor x = leaf({1, 2});
  CHECK(message_of([&] { backward(x * 2.0); }).find("which has 2 elements") != std::string::npos);
  CHECK(message_of([&] { backward(from({1})); }).find("nothing it depends on requires gradients") != std::string::npos);
  CHECK(message_of([&] { backward(x * 2.0, from({1})); }).find("the gradient to start from is f32[1]") !=
        std::string::npos);
  const Tensor outputs[] = {sum(x)}, inputs[] = {from({1})};
  CHECK(message_of([&] { grad(outputs, inputs); }).find("does not require gradients") != std::string::npos);
}

namespace {
Metas infer_odd(const Site& s) { return same_as(s.operand(0)); }
Tensors vjp_odd(const Backward& b) { return {sum(b.grad())}; }
const OpDef odd{.signature = "odd(x) -> y",
                .infer = infer_odd,
                .vjp = vjp_odd,
                .traits = {.view = true},
                .offset = [](const Site&) -> int64_t { return 0; }};
}  // namespace

TEST_CASE("an error in a gradient names the op and the module", "[autograd]") {
  const Tensor x = leaf({1, 2});
  Tensor y;
  {
    const Scope outer("layer1"), inner("conv");
    y = call1(odd, {x});
  }
  const std::string said = message_of([&] { backward(sum(y)); });
  CHECK(said.find("the gradient of odd for operand 0 is f32[]") != std::string::npos);
  CHECK(said.find("in the gradient of odd at layer1.conv") != std::string::npos);
}

TEST_CASE("backward gives the gradients of the leaves it is asked for, and puts none into them", "[autograd]") {
  const Tensor x = leaf({1, 2, 3}), w = leaf({4, 5, 6}), unused = leaf({7});
  const Tensor loss = sum(x * x * w);
  const Tensor leaves[] = {w, unused, x};
  const Gradients g = backward(loss, leaves);
  CHECK(values(g[0]) == std::vector<float>{1, 4, 9});
  CHECK_FALSE(g[1]);
  CHECK(values(g[2]) == std::vector<float>{8, 20, 36});
  for (const Tensor& t : leaves) CHECK_FALSE(t.grad());
  const Tensor inner[] = {x * w}, still[] = {from({1, 2})};
  CHECK(message_of([&] { backward(sum(inner[0]), inner); }).find("is no leaf") != std::string::npos);
  CHECK(message_of([&] { backward(loss, still); }).find("does not require gradients") != std::string::npos);
}

TEST_CASE("a checkpoint draws what it drew, at the step of the first time", "[autograd]") {
  const Tensor x = leaf({1, 1, 1, 1, 1, 1, 1, 1});
  const auto segment = [](std::span<const Tensor> in) -> Tensors { return {dropout(in[0], 0.5, 3)}; };
  const auto kept = [&](int64_t step) {
    Tensor loss;
    {
      const UseRandomStep use(scalar(static_cast<double>(step), DType::i64));
      const Tensor in[] = {x};
      loss = sum(checkpoint(segment, in)[0]);
    }
    CHECK_FALSE(random_step());
    const Tensor leaves[] = {x};
    const Tensor g = backward(loss, leaves)[0];
    CHECK(sum(g).item() == Approx(loss.item()));
    return values(g);
  };
  CHECK(kept(1) != kept(2));
  CHECK(kept(1) == kept(1));
}

TEST_CASE("a checkpoint gives the same gradients and runs its segment twice", "[autograd]") {
  const Tensor x = leaf({0.5f, -1, 2}), w = leaf({1, 2, 3});
  int runs = 0;
  const auto segment = [&](std::span<const Tensor> in) -> Tensors {
    ++runs;
    const Tensor h = in[0] * w;
    return {sigmoid(h) * h, exp(h)};
  };
  const auto loss = [&](const Tensors& y) { return sum(y[0] * y[1]); };
  const Tensor scaled = x * 2.0;                   // the segment's operand has a history of its own
  const Tensor operands[] = {scaled};
  backward(loss(segment(operands)));
  const std::vector<float> gx = values(x.grad()), gw = values(w.grad());
  x.set_grad({});
  w.set_grad({});
  runs = 0;
  backward(loss(checkpoint(segment, operands)));
  CHECK(runs == 2);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(values(x.grad())[i] == Approx(gx[i]));
    CHECK(values(w.grad())[i] == Approx(gw[i]));
  }

  SECTION("also for grad(), nested, and for gradients of gradients") {
    const auto outer = [&](std::span<const Tensor> in) -> Tensors {
      const Tensors y = checkpoint(segment, in);
      return {y[0] * y[1]};
    };
    const Tensor plain[] = {sum(segment(operands)[0] * segment(operands)[1])},
                 nested[] = {sum(checkpoint(outer, operands)[0])};
    const Tensor inputs[] = {x};
    const Tensor a = grad(plain, inputs, {}, true)[0], b = grad(nested, inputs, {}, true)[0];
    const Tensor aa[] = {sum(a * a)}, bb[] = {sum(b * b)};
    const std::vector<float> want = values(grad(aa, inputs)[0]), have = values(grad(bb, inputs)[0]);
    for (size_t i = 0; i < 3; ++i) {
      CHECK(values(b)[i] == Approx(gx[i]));
      CHECK(have[i] == Approx(want[i]));
    }
  }
}

TEST_CASE("chains of 20,000 ops are walked and freed", "[autograd]") {
  const Tensor x = leaf({1, 2});
  Tensor y = x;
  for (int i = 0; i < 20000; ++i) y = y + 0.001;
  backward(sum(y));
  CHECK(values(x.grad()) == std::vector<float>{1, 1});
  const Tensor outputs[] = {sum(y * y)}, inputs[] = {x};
  CHECK(values(grad(outputs, inputs)[0])[0] == Approx(2 * (1 + 20.0)).epsilon(1e-3));
  y = {};
}

}  // namespace fovea
