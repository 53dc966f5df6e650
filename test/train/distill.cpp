// SPDX-License-Identifier: Apache-2.0
// test/train/distill.cpp — a model that learns from another one: what the distance is, and who changes.
#include "train/distill.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "train/optim/rules.h"
#include "zoo/model_kinds.h"
#include "zoo/zoo.h"

using namespace fovea;
using fovea::test::values_of;

namespace {

std::unique_ptr<zoo::ImageModel> made(const char* salt) {
  std::unique_ptr<zoo::ImageModel> model = zoo::create("test_efficientnet", {.num_classes = 7});
  fill_weights(*model, salt);
  return model;
}

std::vector<std::vector<double>> softmax_rows(const Tensor& logits, double temperature) {
  const std::vector<double> v = values_of(logits);
  const auto classes = static_cast<size_t>(logits.dim(1));
  std::vector<std::vector<double>> out;
  for (size_t i = 0; i < v.size(); i += classes) {
    std::vector<double> row;
    double sum = 0;
    for (size_t c = 0; c < classes; ++c) sum += std::exp(v[i + c] / temperature);
    for (size_t c = 0; c < classes; ++c) row.push_back(std::exp(v[i + c] / temperature) / sum);
    out.push_back(row);
  }
  return out;
}

struct Pooled final : train::FeatureReader {
  std::pair<Tensor, Tensor> operator()(Module& model, const Tensor& images) const override {
    auto& m = dynamic_cast<zoo::ImageModel&>(model);
    const Tensor map = m.forward_features(images);
    return {m.forward_head(map, true), m.forward_head(map)};
  }
};

struct Heads final : train::HeadsReader {
  std::pair<Tensor, Tensor> operator()(Module& model, const Tensor& images) const override {
    auto& m = dynamic_cast<zoo::ImageModel&>(model);
    return dynamic_cast<zoo::TwoHeadedModel&>(m).heads(m.forward_features(images));
  }
};

// The divergence of one row of logits from another's, softened.
double divergence_of(const Tensor& theirs, const Tensor& mine, double temperature) {
  const auto p = softmax_rows(theirs, temperature), q = softmax_rows(mine, temperature);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i)
    for (size_t c = 0; c < p[i].size(); ++c) sum += p[i][c] * std::log(p[i][c] / q[i][c]);
  return sum * temperature * temperature / static_cast<double>(p.size());
}

}  // namespace

TEST_CASE("the distance of logits is that of their softmax, and weights say what it counts", "[train]") {
  const Tensor images = golden_input({4, 3, 64, 64}), targets = arange(0, 4);
  const auto student = made("");
  const std::shared_ptr<zoo::ImageModel> teacher = made("teacher");
  constexpr double t = 3;
  const Tensor mine = (*student)(images), theirs = (*teacher)(images * 2.0 + 1.0);
  const double divergence = divergence_of(theirs, mine, t);
  const double task = cross_entropy(mine, targets).item();
  const auto loss = [&](std::optional<double> task_weight, std::optional<double> distill_weight) {
    const auto objective = train::distillation(teacher, {.task_weight = task_weight,
                                                         .distill_weight = distill_weight,
                                                         .temperature = t,
                                                         .student_mean = {1, 1, 1},
                                                         .student_std = {1, 1, 1},
                                                         .teacher_mean = {0.5, 0.5, 0.5},
                                                         .teacher_std = {0.5, 0.5, 0.5}});
    return (*objective)(*student, std::array{images, targets}).item();
  };
  CHECK(divergence > 1e-4);
  CHECK(loss({}, {}) == Approx(task + divergence).epsilon(1e-5));
  CHECK(loss(0.25, {}) == Approx(0.25 * task + 0.75 * divergence).epsilon(1e-5));
  CHECK(loss({}, 0.5) == Approx(task + 0.5 * divergence).epsilon(1e-5));
  CHECK(loss(0.0, 2.0) == Approx(2 * divergence).epsilon(1e-4));
  CHECK_THROWS_AS(train::distillation(teacher, {.temperature = 0}), Error);
}

TEST_CASE("of two classifiers one learns from labels and the other from the teacher", "[train]") {
  if (!zoo::is_model("deit_tiny_distilled_patch16_224")) return;  // a build of some families
  const Tensor images = golden_input({4, 3, 64, 64}), targets = arange(0, 4);
  const auto student = zoo::create("deit_tiny_distilled_patch16_224", {.num_classes = 7,
                                                                       .img_size = std::array{64, 64},
                                                                       .set = {{"depth", "2"}, {"embed_dim", "48"}}});
  fill_weights(*student);
  const std::shared_ptr<zoo::ImageModel> teacher = made("teacher");
  const Tensor theirs = (*teacher)(images);
  const auto [first, second] = Heads()(*student, images);
  const auto loss = [&](bool hard) {
    const auto objective = train::distillation(
        teacher, {.task_weight = 0.25, .temperature = 2, .heads = std::make_shared<Heads>(), .hard = hard});
    return (*objective)(*student, std::array{images, targets}).item();
  };
  const double task = 0.25 * cross_entropy(first, targets).item();
  CHECK(loss(false) == Approx(task + 0.75 * divergence_of(theirs, second, 2)).epsilon(1e-5));
  CHECK(loss(true) == Approx(task + 0.75 * cross_entropy(second, argmax(theirs, 1)).item()).epsilon(1e-5));
  const auto plain = zoo::create("deit_tiny_patch16_224", {.num_classes = 7,
                                                           .img_size = std::array{64, 64},
                                                           .set = {{"depth", "2"}, {"embed_dim", "48"}}});
  fill_weights(*plain);
  const auto objective = train::distillation(teacher, {.heads = std::make_shared<Heads>()});
  CHECK_THROWS_WITH((*objective)(*plain, std::array{images, targets}), contains_text("one classifier"));
  const train::DistillOptions both{.features = std::make_shared<Pooled>(), .heads = std::make_shared<Heads>()};
  CHECK_THROWS_AS(train::distillation(teacher, both), Error);
}

TEST_CASE("students follow their teachers, eagerly and compiled, and these stay as they are", "[train]") {
  const bool features = GENERATE(false, true);
  const Tensor images = golden_input({4, 3, 64, 64}), targets = arange(0, 4);
  const std::shared_ptr<zoo::ImageModel> teacher = made("teacher");
  const auto weights = [&] {
    std::vector<std::vector<double>> out;
    for (const NamedParameter& n : teacher->named_state()) out.push_back(values_of(n.tensor()));
    return out;
  };
  const auto before = weights();
  const auto losses = [&](bool compiled) {
    const auto student = made("");
    student->train().set_requires_grad();
    train::DistillOptions o{.task_weight = 0.0, .distill_weight = 1.0};
    if (features) o.features = std::make_shared<Pooled>();
    train::Optimizer adam(train::rule("adam"), *student, 0.003);
    train::Step step(*student, adam, {.objective = train::distillation(teacher, std::move(o))});
    if (compiled) step.compile();
    std::vector<double> out;
    for (int i = 0; i < 8; ++i) out.push_back(step({images, targets}));
    return out;
  };
  const std::vector<double> eager = losses(false), compiled = losses(true);
  for (size_t i = 0; i < 3; ++i) CHECK(compiled[i] == Approx(eager[i]).epsilon(1e-3));
  CHECK(eager.back() < 0.7 * eager.front());
  CHECK(compiled.back() < 0.7 * compiled.front());
  CHECK(weights() == before);
}
