// SPDX-License-Identifier: Apache-2.0
// engine/ops/random.cpp — random numbers that a key decides, and the layers that drop values with them.
#include "engine/ops/random.h"

#include <array>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

constexpr std::array<std::string_view, 3> kRandomNames{"uniform", "normal", "bernoulli"};

thread_local const Tensor* current_step = nullptr;

Metas infer_random(const Site& s) {
  const auto& a = s.attrs<RandomAttrs>();
  if (!is_floating(a.dtype) && !(a.kind == Random::bernoulli && a.dtype == DType::boolean))
    s.fail(cat(name_of(a.kind), " numbers of dtype ", name_of(a.dtype)));
  for (int64_t d : a.shape)
    if (d < 0) s.fail(cat("shape ", a.shape, ": sizes are not negative"));
  if (!(a.p >= 0 && a.p <= 1)) s.fail(cat("p=", a.p, " is no probability"));
  if (s.has(0)) {
    const Meta& step = s.operand(0);
    if (step.dtype != DType::i64 || step.rank() != 0) s.fail(cat("step must be i64[], not ", step));
    if (step.device != a.device) s.fail(cat("numbers on ", a.device, " at a step that is on ", step.device));
  }
  return {make_meta(a.dtype, a.shape, Memory::contiguous, a.device)};
}

Tensor draw(const RandomAttrs& a) { return call1(ops::random, {random_step()}, a); }

void check_probability(std::string_view what, double p) {
  if (!(p >= 0 && p <= 1))
    throw Error(Error::Kind::argument, cat(what, ": p=", p, " is no probability"), "from 0 (keeps all) to 1");
}

}  // namespace

namespace ops {
constinit const OpDef random{.signature = "random(step?) -> y", .infer = infer_random, .traits = {.random = true}};
}  // namespace ops

Tensor random_step() { return current_step ? *current_step : Tensor(); }

UseRandomStep::UseRandomStep(Tensor step) : step_(std::move(step)), before_(current_step) {
  current_step = step_ ? &step_ : nullptr;
}
UseRandomStep::~UseRandomStep() { current_step = before_; }

std::string_view name_of(Random r) { return kRandomNames[static_cast<size_t>(r)]; }

Tensor rand(const Shape& s, int64_t key, DType t, Device d) {
  return draw(RandomAttrs{Random::uniform, t, 0.5f, s, key, d});
}
Tensor randn(const Shape& s, int64_t key, DType t, Device d) {
  return draw(RandomAttrs{Random::normal, t, 0.5f, s, key, d});
}
Tensor bernoulli(const Shape& s, double p, int64_t key, DType t, Device d) {
  return draw(RandomAttrs{Random::bernoulli, t, static_cast<float>(p), s, key, d});
}

Tensor dropout(const Tensor& x, double p, int64_t key) {
  check_probability("dropout", p);
  if (p == 0) return x;
  if (p == 1) return x * 0.0;
  return x * (bernoulli(x.shape(), 1 - p, key, x.dtype(), x.device()) * (1 / (1 - p)));
}
Tensor drop_path(const Tensor& x, double p, int64_t key, bool scale_by_keep) {
  check_probability("drop_path", p);
  if (p == 0) return x;
  Shape per_sample = Dims::filled(x.rank(), 1);
  if (x.rank() > 0) per_sample[0] = x.dim(0);
  const Tensor kept = bernoulli(per_sample, 1 - p, key, x.dtype(), x.device());
  return x * (scale_by_keep && p < 1 ? kept * (1 / (1 - p)) : kept);
}

}  // namespace fovea
