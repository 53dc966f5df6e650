// SPDX-License-Identifier: Apache-2.0
// test/zoo/fallbacks.cpp — what may still run on ref in compiled models, and why: of one small member of each family,
// forward passes and steps of training.
#include <algorithm>

#include "engine/core/backend.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/support/members.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

constexpr int64_t kBatch = 2;

// Steps on ref that cost nothing: as many elements as there are images, or one.
struct Spared {
  std::string_view op;
  DType dtype;                                     // of the first operand
  std::string_view reason;
};
constexpr Spared kSpared[] = {
    {"unary", DType::i64, "batch norm counts its batches: one number"},
    {"unary", DType::boolean, "a loss leaves out targets that count for nothing: a number an image"},
    {"where", DType::boolean, "and looks up the first class for them: a number an image"},
};

// No oneDNN was built in, or the processor is below what it serves.
bool without_vendor() {
  const Meta gy = make_meta(DType::f32, {1, 16, 8, 8}), x = gy, gw = make_meta(DType::f32, {16, 16, 3, 3});
  const Metas in{gy, x}, out{gw};
  const ConvAttrs a{.stride = {1, 1}, .dilation = {1, 1}, .pad_lo = {1, 1}, .pad_hi = {1, 1}, .size = {3, 3}};
  return make_plan({ops::conv_dw, in, out, AttrsRef::of(a)})->name.starts_with("ref");
}

bool is_spared(const StepInfo& s) {
  // gradients of dense convolutions' weights are sums that oneDNN computes, and nobody else does
  if (s.op == "conv_dw") return without_vendor();
  const auto small = [](const Meta& m) { return !m.present() || m.numel() <= kBatch; };
  return std::all_of(s.in.begin(), s.in.end(), small) && std::all_of(s.out.begin(), s.out.end(), small) &&
         std::any_of(std::begin(kSpared), std::end(kSpared),
                     [&](const Spared& p) { return p.op == s.op && p.dtype == s.in[0].dtype; });
}

std::string description(const StepInfo& s) {
  std::string text = str_cat(s.scope, ": ", s.op, " ", s.attrs, " of");
  for (const Meta& m : s.in)
    if (m.present()) text += str_cat(" ", m);
  return text;
}

std::vector<std::string> on_ref(const Session& session, bool spares) {
  std::vector<std::string> all;
  for (const StepInfo& s : session.steps())
    if (s.plan.starts_with("ref") && !(spares && is_spared(s))) all.push_back(description(s));
  return all;
}

// With everything dropped that the family can drop: some know neither rate, or only that of values.
std::unique_ptr<ImageModel> dropping(const Member& m) {
  ModelOptions values = m.options;
  values.drop_rate = 0.1f;
  ModelOptions both = values;
  both.drop_path_rate = 0.1f;
  for (const ModelOptions& o : {both, values})
    try {
      return create(m.name, o);
    } catch (const Error& e) {
      INFO(e.what());
      REQUIRE(std::string_view(e.what()).find("drop") != std::string_view::npos);
    }
  return create(m.name, m.options);
}

}  // namespace

TEST_CASE("no step of a compiled forward pass runs on ref", "[zoo]") {
  for (const Member& m : members())
    for (const DType t : {DType::none, DType::bf16}) {
      INFO(m.name << (t == DType::bf16 ? " in bf16" : ""));
      const auto model = create(m.name, m.options);
      fill_weights(*model);
      const NoGrad no_grad;
      const Graph g = fovea::trace([&](const Tensor& x) { return (*model)(x); },
                                   {make_meta(DType::f32, {kBatch, 3, m.images[2], m.images[3]})});
      CHECK(on_ref(fovea::compile(g, {.dtype = t, .threads = 1}), false) == std::vector<std::string>{});
    }
}

TEST_CASE("only what costs nothing of a compiled step of training runs on ref", "[zoo]") {
  for (const Member& m : members()) {
    INFO(m.name);
    const auto model = dropping(m);
    fill_weights(*model);
    model->train().set_requires_grad();
    train::Optimizer sgd(train::rule("momentum"), *model, 0.1);
    train::Step step(*model, sgd);
    step.compile({.threads = 1});
    const Tensors batch{zeros({kBatch, 3, m.images[2], m.images[3]}), arange(0, kBatch)};
    CHECK(on_ref(step.session(batch), true) == std::vector<std::string>{});
  }
}

}  // namespace fovea::zoo
