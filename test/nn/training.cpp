// SPDX-License-Identifier: Apache-2.0
// test/nn/training.cpp — what only happens in train mode: dropping, keys, recomputation.
#include <numeric>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "test/support/catch.h"
#include "test/support/fill.h"

namespace fovea {
namespace {

std::vector<float> values(const Tensor& t) {
  const Tensor dense = contiguous(t.detach());
  return {dense.data<float>().begin(), dense.data<float>().end()};
}

struct Net final : Module {
  Ref<Conv2d> conv;
  Ref<BatchNorm2d> bn;
  Ref<Dropout> drop;
  Net() {
    conv = add("conv", Conv2d(3, 8, 3));
    bn = add("bn", BatchNorm2d(8, {}, act::silu));
    drop = add("drop", Dropout(0.3));
  }
  Tensor forward(const Tensor& x) override { return drop(bn(conv(x))); }
};

struct AllGradients {
  std::vector<float> weight, running_mean;
  double batches;
};
AllGradients train_once(bool recompute) {
  Net net;
  fill_weights(net);
  net.train();
  net.set_requires_grad();
  const Tensor x = golden_input({4, 3, 6, 6});
  const Tensor y = recompute ? checkpointed(net, x) : net(x);
  backward(mean(square(y)));
  return {values(net.conv->weight->grad()), values(net.bn->running_mean), net.bn->num_batches_tracked->item()};
}

}  // namespace

TEST_CASE("dropout drops in train mode only, differently each time, and alike for one seed", "[nn]") {
  Dropout drop(0.4);
  const Tensor x = ones({1000});
  CHECK(drop(x).same(x));
  drop.train();
  drop.seed(5);
  const std::vector<float> a = values(drop(x)), b = values(drop(x));
  CHECK(a != b);
  drop.seed(5);
  CHECK(values(drop(x)) == a);
  const auto kept = std::count_if(a.begin(), a.end(), [](float v) { return v != 0; });
  CHECK(kept > 540);
  CHECK(kept < 660);
  CHECK(*std::max_element(a.begin(), a.end()) == Approx(1 / 0.6));
  CHECK_THROWS_AS(Dropout(1.5), Error);
}

TEST_CASE("drop path drops whole samples", "[nn]") {
  DropPath drop(0.5);
  drop.train();
  const std::vector<float> y = values(drop(ones({64, 2, 3})));
  int dropped = 0;
  for (size_t i = 0; i < 64; ++i) {
    for (size_t j = 1; j < 6; ++j) CHECK(y[6 * i + j] == y[6 * i]);
    CHECK((y[6 * i] == 0 || y[6 * i] == 2));
    dropped += y[6 * i] == 0;
  }
  CHECK(dropped > 16);
  CHECK(dropped < 48);
}

TEST_CASE("two dropouts of one net draw their own numbers", "[nn]") {
  Sequential net;
  net.add(Dropout(0.5));
  net.add(Dropout(0.5));
  net.train();
  const std::vector<float> y = values(net(ones({256})));
  // a quarter is left when they are independent, half when they agree
  CHECK(std::count(y.begin(), y.end(), 0.0f) > 160);
}

TEST_CASE("recomputing in the backward pass changes nothing", "[nn]") {
  const AllGradients plain = train_once(false), again = train_once(true);
  CHECK(plain.weight == again.weight);
  CHECK(plain.running_mean == again.running_mean);
  CHECK(plain.batches == 1);
  CHECK(again.batches == 1);
}

}  // namespace fovea
