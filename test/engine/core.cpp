// SPDX-License-Identifier: Apache-2.0
// test/engine/core.cpp — types, text, tensors and state dicts: everything below the ops.
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/core/error.h"
#include "engine/core/state_dict.h"
#include "engine/core/strided_copy.h"
#include "engine/core/tensor.h"
#include "engine/core/threads.h"
#include "test/support/catch.h"

using namespace fovea;

namespace {
template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}
}  // namespace

TEST_CASE("16-bit floats round to nearest even and keep what is special", "[core]") {
  CHECK(to_float(to_bfloat16(1.0f)) == 1.0f);
  CHECK(to_bfloat16(1.00390625f).bits == 0x3F80);                       // half way: to even
  CHECK(to_bfloat16(1.01171875f).bits == 0x3F82);
  CHECK(std::isnan(to_float(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float v = to_float(float16{static_cast<uint16_t>(bits)});
    if (std::isnan(v)) CHECK(std::isnan(to_float(to_float16(v))));
    else if (to_float16(v).bits != bits) FAIL_CHECK("float16 " << bits << " does not come back");
  }
  CHECK(to_float16(65519.0f).bits == 0x7BFF);
  CHECK(to_float16(65520.0f).bits == 0x7C00);
  CHECK(to_float16(-0x1p-24f).bits == 0x8001);
}

TEST_CASE("memory order is only strides", "[core]") {
  const Shape s{2, 3, 4, 5};
  CHECK(contiguous_strides(s) == Strides{60, 20, 5, 1});
  CHECK(channels_last_strides(s) == Strides{60, 1, 15, 3});
  CHECK(make_meta(DType::f32, s).is_contiguous());
  CHECK(make_meta(DType::f32, s, Memory::channels_last).is_channels_last());
  CHECK_FALSE(make_meta(DType::f32, s).is_channels_last());
  CHECK(make_meta(DType::f32, {2, 3, 1, 1}, Memory::channels_last).is_contiguous());
  CHECK(make_meta(DType::f32, {2, 3, 1, 1}, Memory::channels_last).memory() == Memory::channels_last);
  CHECK(to_string(make_meta(DType::bf16, s, Memory::channels_last)) == "bf16[2, 3, 4, 5] channels_last");
  CHECK(message_of([] { Dims::filled(9, 1); }) == "a tensor has at most 8 dimensions");
}

TEST_CASE("sizes whose product no memory has are refused", "[core]") {
  const int64_t large = int64_t{1} << 40;
  CHECK(numel({large, 1 << 19}) == int64_t{1} << 59);
  CHECK(numel({large, large, 0}) == 0);
  CHECK(message_of([&] { (void)numel({large, large}); }) ==
        "a tensor of shape [1099511627776, 1099511627776] has more elements than any memory");
  // 2^64, 2^63 and 2^61 elements: products that are 0, negative, and as bytes of f64 0 again when nobody looks
  for (const int64_t last : {int64_t{1} << 24, int64_t{1} << 23, int64_t{1} << 21}) {
    INFO(last);
    const Shape s{large, last};
    CHECK(message_of([&] { (void)numel(s); }).find("more elements than any memory") != std::string::npos);
    CHECK(message_of([&] { (void)empty(s, DType::f64); }).find("more elements") != std::string::npos);
    CHECK(message_of([&] { (void)make_meta(DType::f32, {1, 2, large, last}, Memory::channels_last); })
              .find("more elements") != std::string::npos);
  }
}

TEST_CASE("names match shells, sort naturally and find their neighbours", "[core]") {
  CHECK(glob_match("resnet*", "resnet50"));
  CHECK(glob_match("*net?[0-9]*", "resnet50d"));
  CHECK_FALSE(glob_match("resnet??", "resnet101"));
  CHECK(glob_match("a[!b]c", "axc"));
  CHECK_FALSE(glob_match("a[!b]c", "abc"));
  CHECK(natural_less("resnet18", "resnet101"));
  CHECK(natural_less("Resnet18", "resnet19"));
  CHECK_FALSE(natural_less("b1", "a2"));
  const std::vector<std::string> names{"resnet50", "resnet50d", "vgg16", "resnet18"};
  CHECK(closest("resnet5O", names, 2) == std::vector<std::string>{"resnet50", "resnet50d"});
  CHECK(closest("resnet5", names, 2) == std::vector<std::string>{"resnet50", "resnet50d"});
  CHECK(closest("resnet_large", names, 1) == std::vector<std::string>{"resnet50"});   // only its beginning is known
  CHECK(closest("zzz", names).empty());
}

TEST_CASE("text keeps every digit of a number", "[core]") {
  CHECK(str_cat("a ", 1, ' ', -2.5, " ", true, " ", Dims{1, 2}, " ", size_t{3}) == "a 1 -2.5 true [1, 2] 3");
  CHECK(str_cat(0.1f, " ", 0.1) == "0.1 0.1");
}

TEST_CASE("tensors say what is wrong with a request", "[core]") {
  const Tensor t = arange(0, 6, 1, DType::f32);
  CHECK(t.data<float>()[5] == 5.0f);
  CHECK(message_of([&] { (void)t.data<double>(); }) == "data<f64> of a tensor of f32[6]\n  cast() it first");
  CHECK(message_of([&] { (void)t.item(); }) == "item() of f32[6], which has 6 elements");
  CHECK(message_of([&] { (void)Tensor().meta(); }).starts_with("an absent tensor"));
  CHECK(message_of([&] { (void)meta_tensor(t.meta()).bytes(); }).starts_with("the values of f32[6] were asked for"));
  CHECK(message_of([&] { (void)t.dim(1); }) == "no dimension 1 in a tensor of shape [6]");
  CHECK(message_of([&] { (void)from<float>(std::span<const float>(), {2}); }) == "0 values for a tensor of shape [2]");
  CHECK(message_of([&] { (void)empty({-1}); }).find("not negative") != std::string::npos);
  CHECK(message_of([&] { (void)parse_dtype("f31"); }).starts_with("no dtype 'f31'"));
  CHECK(message_of([&] { set_threads(0); }).starts_with("set_threads(0)"));
  CHECK(reinterpret_cast<uintptr_t>(t.bytes()) % 64 == 0);
}

TEST_CASE("a strided copy moves and converts between any layouts", "[core]") {
  const Shape s{2, 3, 4};
  std::vector<float> source(24);
  for (size_t i = 0; i < 24; ++i) source[i] = static_cast<float>(i) * 0.5f;
  const Meta from = make_meta(DType::f32, s);
  Meta to = make_meta(DType::f64, s);
  to.strides = {1, 8, 2};                          // another order of dimensions
  std::vector<double> target(24, -1);
  copy_strided(from, reinterpret_cast<const std::byte*>(source.data()), to,
               reinterpret_cast<std::byte*>(target.data()));
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 3; ++j)
      for (int64_t k = 0; k < 4; ++k)
        CHECK(target[static_cast<size_t>(i + 8 * j + 2 * k)] ==
              static_cast<double>(source[static_cast<size_t>(12 * i + 4 * j + k)]));
  Meta broadcast = from;
  broadcast.strides = {0, 1, 0};
  std::vector<float> out(24);
  copy_strided(broadcast, reinterpret_cast<const std::byte*>(source.data()), from,
               reinterpret_cast<std::byte*>(out.data()));
  CHECK(out[23] == source[2]);
  CHECK(out[4] == source[1]);
}

TEST_CASE("a state dict keeps its order", "[core]") {
  StateDict d;
  d.set("b", scalar(1));
  d.set("a", scalar(2));
  d.set("b", scalar(3));
  CHECK(d.names() == std::vector<std::string>{"b", "a"});
  CHECK(d.at("b").item() == 3.0);
  CHECK(message_of([&] { (void)d.at("aa"); }) == "no tensor 'aa' among 2\n  closest: a, b");
  CHECK(d.erase("b"));
  CHECK(d.at("a").item() == 2.0);
  CHECK_FALSE(d.erase("b"));
}
