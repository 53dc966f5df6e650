// SPDX-License-Identifier: Apache-2.0
// test/train/schedule.cpp — learning rates, losses, clipping, averages and groups against what timm makes of them.
#include "train/schedule.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "train/clip.h"
#include "train/ema.h"
#include "train/loss.h"
#include "train/optim/groups.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "zoo/zoo.h"

using namespace fovea;
using fovea::test::values_of;
using nlohmann::json;

namespace {

json recorded(const char* name) {
  std::ifstream file(cat(FOVEA_SOURCE_DIR "/test/golden/train/", name, ".json"));
  return json::parse(file);
}

Tensor formula(const std::string& name, const Shape& s, DType t = DType::f32) {
  std::vector<float> values(static_cast<size_t>(numel(s)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = hash_uniform(fnv1a(name), i);
  return cast(from<float>(values, s), t);
}

std::vector<double> list_of(const json& j, const char* key) {
  if (!j.contains(key)) return {};
  return j.at(key).is_array() ? j.at(key).get<std::vector<double>>() : std::vector<double>{j.at(key).get<double>()};
}

train::ScheduleOptions options_of(const json& s) {
  train::ScheduleOptions o;
  o.kind = s.at("sched");
  o.epochs = s.at("num_epochs");
  if (s.contains("decay_epochs")) o.decay_epochs = s.at("decay_epochs").get<double>();
  if (s.contains("decay_milestones")) o.decay_milestones = list_of(s, "decay_milestones");
  if (s.contains("stable_timescale")) o.stable_timescale = s.at("stable_timescale").get<double>();
  o.cooldown_epochs = s.value("cooldown_epochs", o.cooldown_epochs);
  o.patience_epochs = s.value("patience_epochs", o.patience_epochs);
  o.decay_rate = s.value("decay_rate", o.decay_rate);
  o.min_lr = s.value("min_lr", o.min_lr);
  o.warmup_lr = s.value("warmup_lr", o.warmup_lr);
  o.warmup_epochs = s.value("warmup_epochs", o.warmup_epochs);
  o.warmup_prefix = s.value("warmup_prefix", o.warmup_prefix);
  o.noise = list_of(s, "noise");
  o.noise_pct = s.value("noise_pct", o.noise_pct);
  o.noise_std = s.value("noise_std", o.noise_std);
  o.noise_seed = s.value("noise_seed", o.noise_seed);
  o.cycle_mul = s.value("cycle_mul", o.cycle_mul);
  o.cycle_decay = s.value("cycle_decay", o.cycle_decay);
  o.cycle_limit = s.value("cycle_limit", o.cycle_limit);
  o.k_decay = s.value("k_decay", o.k_decay);
  o.decay_fn = s.value("decay_fn", "");
  o.plateau_max = s.value("plateau_mode", "max") == "max";
  o.on_updates = !s.value("step_on_epochs", true);
  o.updates_per_epoch = s.value("updates_per_epoch", int64_t{0});
  return o;
}

train::LossOptions loss_options_of(const json& s) {
  train::LossOptions o;
  o.kind = s.value("loss_type", "");
  o.multi_label = s.value("multi_label", false);
  o.soft_targets = s.value("soft_targets", false);
  o.smoothing = s.value("smoothing", 0.0);
  o.class_weight = list_of(s, "class_weight");
  o.pos_weight = list_of(s, "pos_weight");
  if (s.contains("bce_target_thresh")) o.bce_target_thresh = s.at("bce_target_thresh").get<double>();
  o.bce_sum = s.value("bce_sum", false);
  o.poly_epsilon = s.value("poly_epsilon", o.poly_epsilon);
  o.poly_gamma = s.value("poly_gamma", 0.0);
  if (s.contains("poly_alpha")) o.poly_alpha = s.at("poly_alpha").get<double>();
  o.jsd_splits = s.value("jsd_splits", int64_t{0});
  o.class_counts = list_of(s, "class_counts");
  o.num_samples = s.value("num_samples", 0.0);
  return o;
}

void check_groups(const std::vector<train::ParameterGroup>& have, const json& want) {
  REQUIRE(have.size() == want.size());
  for (size_t i = 0; i < have.size(); ++i) {
    CHECK(have[i].lr_scale == Approx(want[i].at("lr_scale").get<double>()));
    CHECK(have[i].weight_decay == want[i].at("weight_decay").get<double>());
    CHECK(have[i].fallback == want[i].at("fallback").get<bool>());
    std::vector<std::string> names;
    for (const train::SharedParameter& p : have[i].parameters) names.push_back(p.name);
    CHECK(names == want[i].at("names").get<std::vector<std::string>>());
  }
}

}  // namespace

TEST_CASE("schedules give timm's learning rates", "[train]") {
  const json all = recorded("schedules");
  for (const auto& [name, want] : all.items()) {
    INFO(name);
    const train::ScheduleOptions o = options_of(want.at("settings"));
    train::Schedule schedule(o, 0.1);
    CHECK(schedule.epochs() == want.at("epochs").get<int64_t>());
    const std::vector<double> rates = want.at("rates");
    CHECK(schedule.lr() == Approx(rates[0]).epsilon(1e-12));
    for (int64_t t = 1; t < 101; ++t) {
      INFO("after " << t);
      const double metric = static_cast<double>(hash_uniform(fnv1a("metric"), static_cast<uint64_t>(t))) +
                            static_cast<double>(std::min<int64_t>(t, 40)) / 20;
      if (t % 7 == 0) {                                     // as a run that is resumed
        const std::vector<double> state = schedule.state();
        train::Schedule other(o, 0.1);
        other.set_state(state);
        if (!state.empty()) CHECK(other.lr() == schedule.lr());
      }
      if (o.on_updates) schedule.update(t);
      else schedule.epoch(t, metric);
      CHECK(schedule.lr() == Approx(rates[static_cast<size_t>(t)]).epsilon(1e-9));
    }
  }
}

TEST_CASE("schedules refuse what makes none", "[train]") {
  using train::Schedule;
  CHECK_THROWS_WITH(Schedule({.kind = "linear"}, 0.1), contains_text("there are: cosine"));
  CHECK_THROWS_AS(Schedule({.on_updates = true}, 0.1), Error);
  CHECK_THROWS_AS(Schedule({.kind = "plateau", .on_updates = true, .updates_per_epoch = 3}, 0.1), Error);
  CHECK_THROWS_AS(Schedule({.kind = "wsd", .epochs = 10, .decay_epochs = 11}, 0.1), Error);
  CHECK_THROWS_AS(Schedule({.kind = "rsqrt", .epochs = 10}, 0.1), Error);
  CHECK_THROWS_AS(Schedule({.epochs = 0}, 0.1), Error);
}

TEST_CASE("losses and their gradients are timm's", "[train]") {
  const json all = recorded("losses");
  for (const auto& [name, want] : all.items()) {
    INFO(name);
    const train::LossOptions o = loss_options_of(want.at("settings"));
    const Shape s{6, 5};
    const Tensor logits = (formula("logits", s, DType::f64) * 3.0).set_requires_grad();
    Tensor target = binary(affine(arange(0, 6), 2, 0), full({}, 5, DType::i64), Binary::remainder);
    if (o.multi_label) target = cast(greater(formula("several", s), 0.3), DType::f32);
    else if (o.soft_targets) target = cast(softmax(formula("soft", s) * 2.0, 1), DType::f64);
    const Tensor loss = (*train::classification_loss(o))(logits, target), leaves[] = {logits};
    CHECK(loss.item() == Approx(want.at("loss").get<double>()).epsilon(1e-5));
    const std::vector<double> have = values_of(backward(loss, leaves)[0]), wanted = want.at("gradient");
    for (size_t i = 0; i < wanted.size(); ++i) CHECK(have[i] == Approx(wanted[i]).epsilon(1e-4).margin(1e-6));
  }
}

TEST_CASE("losses refuse what they cannot be", "[train]") {
  using train::classification_loss;
  CHECK_THROWS_WITH(classification_loss({.kind = "mse"}), contains_text("there are: ce"));
  CHECK_THROWS_AS(classification_loss({.kind = "ce", .multi_label = true}), Error);
  CHECK_THROWS_AS(classification_loss({.kind = "zlpr"}), Error);
  CHECK_THROWS_AS(classification_loss({.kind = "zlpr", .multi_label = true, .smoothing = 0.1}), Error);
  CHECK_THROWS_AS(classification_loss({.kind = "ce", .pos_weight = {2}}), Error);
  CHECK_THROWS_AS(classification_loss({.kind = "poly", .poly_gamma = 1}), Error);
  CHECK_THROWS_AS(classification_loss({.kind = "db", .multi_label = true}), Error);
  CHECK_THROWS_AS(classification_loss({.smoothing = 1}), Error);
}

TEST_CASE("adaptive clipping is timm's", "[train]") {
  const json want = recorded("agc");
  const Tensor scale = reshape(from({1e-3f, 0.02f, 1, 30}), {4, 1, 1});
  const Tensor p = formula("agc.p", {4, 3, 2}, DType::f64), b = formula("agc.b", {5}, DType::f64);
  Tensors g{formula("agc.p.g", {4, 3, 2}, DType::f64) * cast(scale, DType::f64),
            formula("agc.b.g", {5}, DType::f64), {}};
  const Tensor leaves[] = {p, b, b}, before = g[1];
  train::clip(g, leaves, train::Clip::agc, 0.02, {});
  const std::vector<double> wanted = want.at("p"), others = want.at("b");
  for (size_t i = 0; i < wanted.size(); ++i) CHECK(values_of(g[0])[i] == Approx(wanted[i]).epsilon(1e-6));
  for (size_t i = 0; i < others.size(); ++i) CHECK(values_of(g[1])[i] == Approx(others[i]).epsilon(1e-6));
  g[1] = before;
  train::clip(g, leaves, train::Clip::agc, 0.02, {}, {true, true, true});
  CHECK(g[1].same(before));
}

TEST_CASE("clipping by norm and by value", "[train]") {
  Tensors g{from({3, 0}), {}, from({0, 4})};
  CHECK(train::common_norm(g).item() == Approx(5));
  train::clip(g, g, train::Clip::norm, 10, train::common_norm(g));
  CHECK(train::common_norm(g).item() == Approx(5));
  train::clip(g, g, train::Clip::norm, 1, train::common_norm(g));
  CHECK(train::common_norm(g).item() == Approx(1).epsilon(1e-5));
  train::clip(g, g, train::Clip::value, 0.7, {});
  CHECK(values_of(g[2]) == std::vector<double>{0, static_cast<double>(0.7f)});
}

TEST_CASE("averages decay as timm's do, and follow the weights", "[train]") {
  const auto model = zoo::create("test_efficientnet");
  fill_weights(*model);
  const json want = recorded("ema");
  const std::pair<const char*, train::EmaOptions> kinds[] = {
      {"warm", {.decay = 0.99, .warmup = true}},
      {"late", {.decay = 0.9, .min_decay = 0.2, .update_after_step = 3}},
      {"other", {.decay = 0.9999, .min_decay = 0.5, .warmup = true, .warmup_gamma = 2, .warmup_power = 0.75}}};
  for (const auto& [name, o] : kinds) {
    const train::Ema ema(*model, o);
    size_t i = 0;
    for (const int64_t step : {1, 2, 3, 4, 5, 10, 100, 10000})
      CHECK(ema.decay(step) == Approx(want.at(name).at(i++).get<double>()).epsilon(1e-12));
  }

  model->train().set_requires_grad();
  const Tensor images = golden_input({2, 3, 64, 64}), targets = arange(0, 2);
  for (const bool compiled : {false, true}) {
    train::Ema ema(*model, {.decay = 0.5});
    train::Optimizer optimizer(train::rule("momentum"), *model, 0.01);
    train::Step step(*model, optimizer, {.ema = &ema});
    if (compiled) step.compile();
    step({images, targets});                                // the first only follows
    const std::vector<double> first = values_of(model->find("conv_stem")->own_parameters()[0]);
    CHECK(values_of(ema.state_dict().at("conv_stem.weight")) == first);
    step({images, targets});
    const std::vector<double> second = values_of(model->find("conv_stem")->own_parameters()[0]),
                              mean = values_of(ema.state_dict().at("conv_stem.weight"));
    for (size_t i = 0; i < mean.size(); ++i) CHECK(mean[i] == Approx((first[i] + second[i]) / 2).margin(1e-7));
  }
}

TEST_CASE("steps that are not finite change nothing", "[train]") {
  const bool compiled = GENERATE(false, true);
  const auto model = zoo::create("test_efficientnet");
  fill_weights(*model);
  model->train().set_requires_grad();
  train::Ema ema(*model, {.decay = 0.5});
  train::Optimizer optimizer(train::rule("adamw"), *model, 0.01);
  train::Step step(*model, optimizer, {.ema = &ema, .skip_not_finite = true});
  if (compiled) step.compile();
  const Tensor images = golden_input({2, 3, 64, 64}), targets = arange(0, 2);
  const Tensor bad = images * std::numeric_limits<double>::quiet_NaN();
  const auto state = [&] {
    std::vector<std::vector<double>> out;
    for (const Slot& s : step.slots()) out.push_back(values_of(*s.tensor));
    return out;
  };
  CHECK_FALSE(step.take(std::array{images, targets}).skipped);
  const auto before = state();
  CHECK(step.take(std::array{bad, targets}).skipped);
  CHECK(state() == before);
  const train::StepResult good = step.take(std::array{images, targets});
  CHECK_FALSE(good.skipped);
  CHECK(good.norm > 0);
  CHECK(state() != before);
}

TEST_CASE("groups of parameters are timm's", "[train]") {
  const json all = recorded("groups");
  for (const auto& [name, want] : all.items()) {
    INFO(name);
    const auto model = zoo::create(name);
    model->set_requires_grad();
    CHECK(model->no_weight_decay().size() == want.at("no_weight_decay").size());
    train::GroupOptions o{.weight_decay = 0.05, .no_weight_decay = model->no_weight_decay()};
    o.fallback = {"*head*", "*fc*"};
    check_groups(train::parameter_groups(*model, o), want.at("decay"));
    o.fallback = {};
    o.layer_decay = 0.7;
    o.layer_decay_min_scale = 0.1;
    o.layers = zoo::layer_numbers(*model);
    check_groups(train::parameter_groups(*model, o), want.at("layers"));
  }
}
