// SPDX-License-Identifier: Apache-2.0
// test/cuda/driver.cpp — the backend "cuda" on a stand-in for NVIDIA's driver: memory, copies, sessions, errors.
#include <dlfcn.h>

#include <cstdlib>

#include "engine/core/backend.h"
#include "engine/core/out_of_memory.h"
#include "engine/graph/session.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

namespace fovea {
namespace {

constexpr Device kGpu{Device::Kind::cuda, 0};

template <class T>
T& of_stand_in(const char* name) {
  void* library = ::dlopen(FOVEA_TEST_DRIVER "/libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(library);
  return *static_cast<T*>(::dlsym(library, name));
}

// The first to ask for a GPU decides which driver the process has.
void use_stand_in() {
  ::setenv("FOVEA_CUDA_PATH", FOVEA_TEST_DRIVER, 1);
  REQUIRE(runtime_of(kGpu).devices() == 1);
}

Tensors moved(Tensors many, Device d) {
  for (Tensor& t : many) t = t.to(d);
  return many;
}

}  // namespace

TEST_CASE("driver: tensors go to the GPU and come back, filled, copied and cast there", "[driver]") {
  use_stand_in();
  const Tensor x = test::filled("x", {5, 7});
  const Tensor there = x.to(kGpu);
  CHECK(there.device() == kGpu);
  CHECK(test::values_of(there) == test::values_of(x));
  for (const DType t : {DType::u8, DType::bf16, DType::f32, DType::i64, DType::f64})
    CHECK(test::values_of(full({3, 5}, 3, t, kGpu)) == std::vector<double>(15, 3.0));
  CHECK(test::values_of(full({2}, -2, DType::i64, kGpu)) == std::vector<double>(2, -2.0));
  CHECK(test::values_of(cast(transpose(there, 0, 1), DType::bf16)) ==
        test::values_of(cast(transpose(x, 0, 1), DType::bf16)));
}

TEST_CASE("driver: sessions on other streams give the host's numbers, and all memory comes back", "[driver]") {
  use_stand_in();
  const long long before = of_stand_in<long long>("fovea_test_live_memory");
  const long long launches = of_stand_in<long long>("fovea_test_launches");
  for (const Net& net : nets()) {
    INFO(net.name);
    Metas in = net.in;
    for (Meta& m : in) m.device = kGpu;
    const Tensors w = moved(net.make_weights(), kGpu), x = moved(net.inputs(), kGpu);
    const Tensors have = [&] {
      const UseStream other(runtime_of(kGpu).stream(kGpu, 3));
      return compile(trace([&](std::span<const Tensor> v) { return net.run(v, w); }, in), {.device = kGpu}).run(x);
    }();
    const UseBackend ref("ref");
    const Tensors want = net.run(net.inputs(), net.make_weights());
    for (size_t i = 0; i < want.size(); ++i)
      CHECK(test::relative_error(test::values_of(have[i]), test::values_of(want[i])) < 1e-5);
  }
  CHECK(of_stand_in<long long>("fovea_test_launches") > launches);
  CHECK(of_stand_in<long long>("fovea_test_live_memory") == before);
}

TEST_CASE("driver: too much memory is OutOfMemory, with what there is", "[driver]") {
  use_stand_in();
  of_stand_in<size_t>("fovea_test_most_memory") = 1000;
  CHECK_THROWS_AS(zeros({1000}, DType::f32, kGpu), OutOfMemory);
  CHECK_THROWS_WITH(zeros({1000}, DType::f32, kGpu), contains_text("no memory for 4000 bytes on cuda:0"));
  of_stand_in<size_t>("fovea_test_most_memory") = SIZE_MAX;
  CHECK(test::values_of(zeros({1000}, DType::f32, kGpu)).size() == 1000);
}

TEST_CASE("driver: an op without a kernel is an error that names it, and nothing falls back", "[driver]") {
  use_stand_in();
  const Tensor x = test::filled("x", {2, 8}).to(kGpu);
  CHECK_THROWS_WITH(topk(x, 3), contains_text("topk: no kernel for f32[2, 8] on cuda:0"));
}

// In a process whose driver says that it is of CUDA 12.8.
TEST_CASE("driver: one that is too old is an error with both versions", "[.old]") {
  ::setenv("FOVEA_CUDA_PATH", FOVEA_TEST_DRIVER, 1);
  CHECK_THROWS_WITH(zeros({1}, DType::f32, kGpu),
                    contains_text("the driver is made for CUDA 12.8, CUDA 13.0 is wanted"));
}

TEST_CASE("driver: a GPU that is not there is an error with how many there are", "[driver]") {
  use_stand_in();
  CHECK_THROWS_WITH(zeros({1}, DType::f32, {Device::Kind::cuda, 1}), contains_text("no cuda:1"));
}

}  // namespace fovea
