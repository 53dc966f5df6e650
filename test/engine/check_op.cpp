// SPDX-License-Identifier: Apache-2.0
// test/engine/check_op.cpp — check_op itself notices wrong gradients, second gradients, layouts and dtypes.
#include "test/support/check_op.h"
#include "engine/core/backend.h"
#include "test/support/catch.h"

using namespace fovea;
using fovea::test::problems_of;
using fovea::test::Vars;

namespace {

bool mentions(const std::vector<std::string>& problems, std::string_view text) {
  for (const std::string& p : problems)
    if (p.find(text) != std::string::npos) return true;
  return false;
}

// Gradients for an op that shows its operand as it is: one of exp, off by a factor, and one that ends at exp's value.
Tensors too_large(const Backward& b) { return {b.grad() * exp(b.in(0)) * 1.0001}; }
Tensors cut_off(const Backward& b) { return {b.grad() * exp(b.in(0)).detach()}; }
Metas as_operand(const Site& s) { return {s.operand(0)}; }
const OpDef twice_with(Tensors (*vjp)(const Backward&)) {
  return {.signature = "seen(x) -> y",
          .infer = as_operand,
          .vjp = vjp,
          .saves = {.inputs = 1},
          .traits = {.view = true},
          .offset = [](const Site&) -> int64_t { return 0; }};
}
const OpDef wrong_slope = twice_with(too_large), no_second = twice_with(cut_off);

}  // namespace

TEST_CASE("check_op finds no fault in a right op", "[op]") {
  CHECK(problems_of([](Vars& v) { return exp(v("x", {3, 4})); }).empty());
}

TEST_CASE("check_op notices a gradient that is off by a factor of 1.0001", "[op]") {
  // The op shows exp(x) as it is, so its right gradient is the identity.
  const auto identity = problems_of([](Vars& v) { return call1(wrong_slope, {v("x", {3, 4})}); });
  CHECK(mentions(identity, "gradient of x: the vjp gives"));
}

TEST_CASE("check_op notices a gradient that cannot be differentiated again", "[op]") {
  // Ends in exp(x): its gradient in x is right, but is taken as a constant.
  const auto problems = problems_of(
      [](Vars& v) {
        const Tensor x = v("x", {3, 4});
        return call1(no_second, {x}) + (exp(x.detach()) - x.detach());
      },
      {.traced = false});
  CHECK(mentions(problems, "gradient of the gradient, of x"));
}

TEST_CASE("check_op notices results that depend on how an operand lies", "[op]") {
  const auto problems = problems_of([](Vars& v) {
    const Tensor x = v("x", {3, 4});
    return x.meta().is_contiguous() ? x * 2.0 : x * 3.0;
  });
  CHECK(mentions(problems, "permuted operands"));
  CHECK(mentions(problems, "sliced operands"));
}

TEST_CASE("check_op notices a dtype that is treated differently", "[op]") {
  const auto problems = problems_of([](Vars& v) {
    return v.dtype() == DType::bf16 ? v("x", {3, 4}) * 1.1 : v("x", {3, 4}) * 1.0;
  });
  CHECK(mentions(problems, "bf16"));
}
