// SPDX-License-Identifier: Apache-2.0
// test/engine/far_memory.cpp — memory, streams and errors of devices, tried on those that the host cannot see into.
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/core/deferred.h"
#include "engine/core/finite.h"
#include "engine/ops/ops.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/far_device.h"

namespace fovea {
namespace {

using test::far_device;
using test::values_of;

const Device kFar = far_device(0), kFar1 = far_device(1);

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

// Whether the host may read there, without a fault where it may not.
bool readable(const void* p) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const bool yes = ::write(ends[1], p, 1) == 1;
  CHECK((yes || errno == EFAULT));
  ::close(ends[0]);
  ::close(ends[1]);
  return yes;
}

}  // namespace

TEST_CASE("far: the host cannot read what is there", "[far]") {
  test::add_far_devices();
  const Tensor here = ones({4}), there = here.to(kFar);
  CHECK(readable(here.bytes()));
  CHECK_FALSE(readable(there.bytes()));
  CHECK_THAT(message_of([&] { there.data<float>(); }), contains_text("data<> of a tensor on far:0"));
  CHECK(there.to(kFar).same(there));
  CHECK(values_of(there) == std::vector<double>(4, 1.0));
}

TEST_CASE("far: copies keep values and strides from device to device", "[far]") {
  test::add_far_devices();
  const Tensor x = numbers({3, 4, 5, 2}, 1);
  const Tensor views[] = {x,
                          contiguous(x, Memory::channels_last),
                          permute(x, {3, 0, 2, 1}),
                          slice(x, 2, 1, 5, 2),
                          expand(select(x, 0, 1), {6, 4, 5, 2}),
                          zeros({0, 3}),
                          scalar(4, DType::bf16),
                          cast(x, DType::i8)};
  for (const Tensor& v : views) {
    INFO(to_string(v.meta()));
    const Tensor there = v.to(kFar), across = there.to(kFar1), back = across.to(cpu());
    CHECK(there.device() == kFar);
    CHECK(across.device() == kFar1);
    CHECK(back.meta() == v.meta());
    CHECK(values_of(back) == values_of(v));
  }
}

TEST_CASE("far: factories make the host's values", "[far]") {
  test::add_far_devices();
  const auto same = [](const Tensor& there, const Tensor& here) {
    INFO(to_string(here.meta()));
    CHECK(there.device() == kFar1);
    CHECK(there.shape() == here.shape());
    CHECK(there.dtype() == here.dtype());
    CHECK(values_of(there) == values_of(here));
  };
  for (const DType t :
       {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64, DType::i32, DType::i8, DType::u8}) {
    same(full({2, 3}, 5, t, kFar1), full({2, 3}, 5, t));
    same(arange(7, 1, -2, t, kFar1), arange(7, 1, -2, t));
    same(eye(3, t, kFar1), eye(3, t));
    same(zeros({5}, t, kFar1), zeros({5}, t));
    same(scalar(-0.0, ones({1}, t, kFar1)), scalar(0, t));
  }
  same(full({3}, 1, DType::boolean, kFar1), full({3}, 1, DType::boolean));
  same(ones_like(zeros({2}, DType::f32, kFar1)), ones({2}));
  same(one_hot(arange(0, 3, 1, DType::i64, kFar1), 4), one_hot(arange(0, 3), 4));
}

TEST_CASE("far: random numbers are those of the host", "[far]") {
  test::add_far_devices();
  for (const int64_t key : {0, 1, 77}) {
    CHECK(values_of(rand({33}, key, DType::f32, kFar)) == values_of(rand({33}, key)));
    CHECK(values_of(randn({7, 5}, key, DType::f64, kFar1)) == values_of(randn({7, 5}, key, DType::f64)));
    CHECK(values_of(bernoulli({65}, 0.3, key, DType::boolean, kFar)) ==
          values_of(bernoulli({65}, 0.3, key, DType::boolean)));
    const Tensor x = ones({6, 8});
    CHECK(values_of(dropout(x.to(kFar), 0.5, key)) == values_of(dropout(x, 0.5, key)));
    CHECK(values_of(drop_path(x.to(kFar1), 0.5, key)) == values_of(drop_path(x, 0.5, key)));
  }
}

TEST_CASE("far: item() waits for its value", "[far]") {
  test::add_far_devices();
  Tensor x = scalar(1, DType::f64, kFar);
  for (int i = 0; i < 60; ++i) {
    x = x + 1.0;
    if (i % 7 == 0) CHECK(x.item() == 2 + i);
  }
  CHECK(x.item() == 61);
  CHECK(sum(arange(0, 100, 1, DType::i64, kFar1)).item() == 4950);
}

TEST_CASE("operands of different devices are one error that names both", "[far]") {
  test::add_far_devices();
  const Tensor here = ones({2}), there = here.to(kFar), other = here.to(kFar1);
  CHECK_THAT(message_of([&] { here + there; }), contains_text("binary: b is on far:0, but a is on cpu"));
  CHECK_THAT(message_of([&] { there + other; }), contains_text("binary: b is on far:1, but a is on far:0"));
  CHECK_THAT(message_of([&] {
               linear(ones({1, 2}, DType::f32, kFar), ones({3, 2}, DType::f32, kFar), ones({3}));
             }),
             contains_text("linear: b is on cpu, but x is on far:0"));
  CHECK_THAT(message_of([&] { cat({there, here}, 0); }), contains_text("xs1 is on cpu, but xs0 is on far:0"));
}

TEST_CASE("devices that are not there are refused by name", "[far]") {
  test::add_far_devices();
  CHECK_THAT(message_of([] { zeros({1}, DType::f32, far_device(3)); }), contains_text("there is no far:3"));
  CHECK(parse_device("cpu") == cpu());
  CHECK(parse_device("cuda") == Device{Device::Kind::cuda, 0});
  CHECK(parse_device("far:1") == kFar1);
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:128", "cpu:1"})
    CHECK_THAT(message_of([&] { parse_device(wrong); }), contains_text(str_cat("no device '", wrong, "'")));
}

TEST_CASE("copies that gradients would have to pass are refused", "[far]") {
  test::add_far_devices();
  Tensor leaf = ones({2}, DType::f32, kFar);
  leaf.set_requires_grad();
  const Tensor y = leaf * 2.0;
  CHECK_THAT(message_of([&] { y.to(cpu()); }), contains_text("which requires gradients"));
  CHECK(y.detach().to(cpu()).data<float>()[0] == 2);
  CHECK(sum(y).item() == 4);
  const NoGrad off;
  CHECK(y.to(cpu()).data<float>()[1] == 2);
}

TEST_CASE("far: what a kernel throws comes with the next wait", "[far]") {
  test::add_far_devices();
  const Tensor x = arange(0, 4, 1, DType::i64, kFar);
  const Tensor bad = index_select(x, 0, full({1}, 9, DType::i64, kFar));
  CHECK_THAT(message_of([&] { bad.item(); }), contains_text("index_select"));
  CHECK(sum(x).item() == 6);  // and only once
}

TEST_CASE("far: plans are made for a device's index", "[far]") {
  test::add_far_devices();
  const auto plan = [](Device d) {
    const Meta in[] = {make_meta(DType::f32, {2}, Memory::contiguous, d)};
    const UnaryAttrs a{Unary::exp, 0, 0};
    return cached_plan({ops::unary, in, in, AttrsRef::of(a)});
  };
  CHECK(plan(kFar) == plan(kFar));
  CHECK(plan(kFar) != plan(kFar1));
}

TEST_CASE("far: a tensor that is let go of is there for work that was queued", "[far]") {
  test::add_far_devices();
  const int64_t before = test::far_work().live_bytes;
  std::vector<Tensor> results;
  for (int i = 0; i < 40; ++i) {
    Tensor x = full({1000}, i, DType::f32, kFar);
    x = x * 2.0;  // the memory of the first is used again at once
    results.push_back(sum(x + 1.0));
  }
  for (int i = 0; i < 40; ++i) CHECK(results[static_cast<size_t>(i)].item() == 1000.0 * (2 * i + 1));
  results.clear();
  CHECK(test::far_work().live_bytes == before);
}

TEST_CASE("far: streams that use each other's memory are brought into order", "[far]") {
  test::add_far_devices();
  const Runtime& r = runtime_of(kFar);
  const Stream first = r.stream(kFar, 1), second = r.stream(kFar, 2);
  for (int round = 0; round < 20; ++round) {
    Tensor x;
    {
      const UseStream use(first);
      x = full({500}, round, DType::f32, kFar);
      for (int i = 0; i < 8; ++i) x = x + 1.0;  // late
    }
    Tensor y;
    {
      const UseStream use(second);
      y = x * 3.0;  // needs what the other stream is still to write
    }
    {
      const UseStream use(first);
      x = {};  // may be used again by its own stream, after the other's kernel
      const Tensor over = full({500}, -1, DType::f32, kFar);
      CHECK(sum(over).item() == -500);
    }
    CHECK(sum(y).item() == 1500.0 * (round + 8));
  }
}

TEST_CASE("far: threads queue side by side, on streams of their own and on one", "[far]") {
  test::add_far_devices();
  std::vector<double> sums(6);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < sums.size(); ++t)
    threads.emplace_back([&, t] {
      const Device d = far_device(static_cast<int>(t % 2));
      const UseStream use(runtime_of(d).stream(d, static_cast<int>(t / 2)));
      Tensor x = full({64}, static_cast<double>(t), DType::f64, d);
      for (int i = 0; i < 50; ++i) x = x + ones({64}, DType::f64, d);
      sums[t] = sum(x).item();
    });
  for (std::thread& t : threads) t.join();
  for (size_t t = 0; t < sums.size(); ++t) CHECK(sums[t] == 64.0 * (static_cast<double>(t) + 50));
}

TEST_CASE("far: events order host and streams", "[far]") {
  test::add_far_devices();
  const Runtime& r = runtime_of(kFar1);
  const Stream a = r.stream(kFar1, 1), b = r.stream(kFar1, 2);
  const std::shared_ptr<Storage> memory = r.allocate(4, a);
  for (uint32_t i = 0; i < 50; ++i) {
    const uint32_t other = ~i;
    r.fill(memory->data, &i, 4, 1, a);
    r.wait(b, r.record(a));
    r.fill(memory->data, &other, 4, 1, b);  // only after the first
    uint32_t seen = 0;
    r.download(reinterpret_cast<std::byte*>(&seen), memory->data, 4, b);
    r.wait(r.record(b));
    CHECK(seen == other);
    r.wait(a, r.record(b));
  }
}

TEST_CASE("far: a fence of the host waits for the device", "[far]") {
  test::add_far_devices();
  const Runtime& r = runtime_of(kFar);
  for (int round = 0; round < 20; ++round) {
    Tensor x = full({1}, round, DType::f32, kFar);
    for (int i = 0; i < 4; ++i) x = x + 1.0;
    const Storage& s = *x.impl()->storage;
    float seen = 0;
    r.download(reinterpret_cast<std::byte*>(&seen), x.bytes(), sizeof seen, {s.device, s.stream});
    Fence fence(current_stream(cpu()));
    fence.use(s);
    CHECK(seen == static_cast<float>(round + 4));
  }
}

TEST_CASE("far: what is not finite is found there", "[far]") {
  test::add_far_devices();
  const Tensor good = numbers({3, 4}, 1), bad = log(good);  // of negative numbers, too
  REQUIRE_FALSE(all_finite(bad));
  for (const Tensor& t : {good, bad, transpose(bad, 0, 1)}) {
    CHECK(all_finite(t.to(kFar)) == all_finite(t));
    CHECK(first_not_finite(t.to(kFar)) == first_not_finite(t));
  }
}

namespace {
struct Counting final : Deferred {
  void write(std::byte* to) override {
    for (int i = 0; i < 3; ++i) reinterpret_cast<float*>(to)[i] = static_cast<float>(i);
  }
};
}  // namespace

TEST_CASE("far: bytes that are made when they are asked for come to the device", "[far]") {
  test::add_far_devices();
  const Tensor t = deferred_tensor(make_meta(DType::f32, {3}, Memory::contiguous, kFar), std::make_shared<Counting>());
  CHECK(values_of(t + 1.0) == std::vector<double>{1, 2, 3});
}

}  // namespace fovea
