// SPDX-License-Identifier: Apache-2.0
// test/train/linear_models.cpp — linear classifiers, neighbours and figures of answers against scikit-learn's.
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "train/folds.h"
#include "train/logistic.h"
#include "train/loss.h"
#include "train/mistakes.h"
#include "train/multi_label.h"
#include "train/neighbours.h"

using namespace fovea;
using Values = std::vector<double>;

namespace {

constexpr int64_t kImages = 90, kFeatures = 12, kClasses = 4;

nlohmann::json recorded(const char* what) {
  return read_json(FOVEA_SOURCE_DIR "/test/golden/train/linear_models.json").at(what);
}

Tensor formula(const std::string& name, const Shape& s, float factor = 1, float plus = 0) {
  std::vector<float> values(static_cast<size_t>(numel(s)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = factor * hash_uniform(fnv1a(name), i) + plus;
  return from<float>(values, s);
}

// The problem of test/golden/record/linear_models.py.
struct Problem {
  Problem() : features(formula("features", {kImages, kFeatures}, 3, 1)) {
    const std::span<float> x = features.mutable_data<float>();
    for (int64_t i = 0; i < kImages; ++i) {
      labels.push_back(i < kImages / 2 ? i % 2 : i % kClasses);
      for (int64_t f = labels.back(); f < kFeatures; f += kClasses) x[static_cast<size_t>(i * kFeatures + f)] += 0.8f;
    }
  }
  Tensor features;
  std::vector<int64_t> labels;
};

}  // namespace

TEST_CASE("logistic regression is scikit-learn's", "[train]") {
  const Problem p;
  for (const nlohmann::json& wanted : recorded("logistic")) {
    const double l2 = wanted.at("l2");
    INFO("l2 " << l2);
    const train::LogisticFit fit = train::fit_logistic(
        p.features, p.labels, kClasses, {.l2 = l2, .class_weight = wanted.at("weights"), .tolerance = 3e-5});
    CHECK(fit.converged);
    CHECK(fit.objective == Approx(wanted.at("objective").get<double>()).epsilon(1e-5));
    CHECK(furthest(fit.weight, wanted.at("weight")) < (l2 < 0.1 ? 0.02 : 1e-3));
    const Tensor bias = fit.bias - mean(fit.bias);
    CHECK(furthest(contiguous(bias), wanted.at("bias")) < (l2 < 0.1 ? 0.05 : 3e-3));
  }
}

TEST_CASE("logistic regression refuses what has no answer", "[train]") {
  const Problem p;
  const auto fit = [&](const Tensor& x, std::vector<int64_t> labels, const train::LogisticOptions& o) {
    train::fit_logistic(x, labels, kClasses, o);
  };
  CHECK_THROWS_WITH(fit(p.features, {0, 1}, {}), contains_text("2 labels"));
  std::vector<int64_t> outside = p.labels;
  outside[7] = 4;
  CHECK_THROWS_WITH(fit(p.features, outside, {}), contains_text("a label 4 of 4 classes"));
  CHECK_THROWS_WITH(fit(p.features, p.labels, {.l2 = -1}), contains_text("l2=-1"));
  CHECK_THROWS_WITH(fit(p.features, p.labels, {.class_weight = {1, 2}}), contains_text("2 weights of 4 classes"));
  CHECK_THROWS_WITH(fit(p.features / 0.0, p.labels, {}), contains_text("not finite"));
}

TEST_CASE("neighbours vote as scikit-learn's, and none for itself", "[train]") {
  const Problem p;
  const Tensor queries = formula("queries", {20, kFeatures}, 3, 1);
  for (const nlohmann::json& wanted : recorded("neighbours")) {
    const Tensor votes =
        train::neighbour_votes(p.features, p.labels, queries, kClasses, {.k = wanted.at("k").get<int64_t>()});
    CHECK(furthest(votes, wanted.at("votes")) < 1e-4);
  }
  const Tensor with_itself = train::neighbour_votes(p.features, p.labels, p.features, kClasses, {.k = 1});
  CHECK(train::accuracy(with_itself, p.labels) == 100);
  const Tensor without = train::neighbour_votes(p.features, p.labels, p.features, kClasses,
                                                {.k = 1, .leave_one_out = true});
  CHECK(train::accuracy(without, p.labels) < 100);
  CHECK_THROWS_WITH(train::neighbour_votes(p.features, p.labels, queries, kClasses, {.k = 91}),
                    contains_text("k=91 neighbours of 90 images"));
}

TEST_CASE("folds hold as much of every class, and no image twice", "[train]") {
  const Problem p;
  const std::vector<int> folds = train::stratified_folds(p.labels, 5, 3);
  std::array<std::array<int, kClasses>, 5> counts{};
  for (size_t i = 0; i < folds.size(); ++i)
    ++counts.at(static_cast<size_t>(folds[i])).at(static_cast<size_t>(p.labels[i]));
  for (size_t c = 0; c < kClasses; ++c) {
    std::set<int> sizes;
    for (const auto& fold : counts) sizes.insert(fold[c]);
    CHECK(*sizes.rbegin() - *sizes.begin() <= 1);
  }
  CHECK(train::stratified_folds(p.labels, 5, 3) == folds);
  CHECK(train::stratified_folds(p.labels, 5, 4) != folds);
  CHECK_THROWS_WITH(train::stratified_folds(p.labels, 91, 0), contains_text("91 folds of 90 images"));

  SECTION("what is learnt from noise is no better than chance on images left out") {
    const Tensor noise = formula("noise", {kImages, 40});
    const train::LogisticFit all = train::fit_logistic(noise, p.labels, kClasses, {.l2 = 0.01});
    CHECK(train::accuracy(train::logits_of(all, noise), p.labels) > 90);
    CHECK(train::cross_validate(noise, p.labels, kClasses, {.l2 = 0.01}, folds).mean < 55);
  }
  SECTION("a strength is chosen by images left out") {
    const std::array strengths{1e-3, 10.0, 1e6};
    const train::Strength best = train::best_strength(p.features, p.labels, kClasses, {}, folds, strengths);
    CHECK(best.l2 == 10);
  }
}

TEST_CASE("answers of several labels are measured as scikit-learn does", "[train]") {
  const nlohmann::json wanted = recorded("multi_label");
  Tensor scores = formula("scores", {40, 6}, 8), truth = formula("truth", {40, 6});
  for (float& v : scores.mutable_data<float>()) v = std::nearbyint(v) / 8;
  const std::span<float> t = truth.mutable_data<float>();
  for (size_t i = 0; i < t.size(); ++i) t[i] = t[i] > 0.3f && i % 6 != 5 && i / 6 != 3 ? 1.0f : 0.0f;
  train::MultiLabel measured;
  measured.add(narrow(scores, 0, 0, 25), narrow(truth, 0, 0, 25));
  measured.add(narrow(scores, 0, 25, 15), narrow(truth, 0, 25, 15));
  const train::MultiLabelScores s = measured.scores();
  CHECK(s.map == Approx(100 * wanted.at("map").get<double>()));
  CHECK(s.micro_f1 == Approx(100 * wanted.at("micro").get<double>()));
  CHECK(s.macro_f1 == Approx(100 * wanted.at("macro").get<double>()));
  CHECK(s.sample_f1 == Approx(100 * wanted.at("samples").get<double>()));
  for (size_t c = 0; c < 5; ++c)
    CHECK(s.average_precision[c] == Approx(100 * wanted.at("average_precision")[c].get<double>()));
  CHECK(std::isnan(s.average_precision[5]));
  for (size_t c = 0; c < 6; ++c) CHECK(s.f1[c] == Approx(100 * wanted.at("f1")[c].get<double>()));
  CHECK_THROWS_WITH(measured.add(narrow(scores, 1, 0, 5), narrow(truth, 1, 0, 5)), contains_text("[40, 5]"));
}

TEST_CASE("cross entropy with weights of classes is PyTorch's", "[train]") {
  const nlohmann::json wanted = recorded("cross_entropy");
  const std::vector<int64_t> labels{0, 3, 1, 1, 2, 0};
  const Tensor logits = formula("logits", {6, 4}, 3), classes = from<int64_t>(labels, {6}),
               soft = softmax(formula("soft", {6, 4}, 2), 1);
  const auto loss = [&](const Tensor& target, double smoothing) {
    const train::LossOptions o{.smoothing = smoothing, .class_weight = {0.5, 2, 1, 3}};
    return (*train::classification_loss(o))(logits, target).item();
  };
  CHECK(loss(classes, 0) == Approx(wanted.at("classes").get<double>()).epsilon(1e-5));
  CHECK(loss(classes, 0.1) == Approx(wanted.at("smoothed").get<double>()).epsilon(1e-5));
  CHECK(loss(soft, 0) == Approx(wanted.at("soft").get<double>()).epsilon(1e-5));
  CHECK(train::balanced_weights(labels, 5) == Values{0.6, 0.6, 1.2, 1.2, 0});
}

TEST_CASE("mistakes are counted, and the worst come first", "[train]") {
  const Tensor logits = from<float>(std::vector<float>{3, 0, 0, 0, 2, 0, 5, 0, 0, 0, 1, 0}, {4, 3});
  const std::array<int64_t, 4> labels{0, 0, 1, 2};
  const std::array<size_t, 4> samples{10, 11, 12, 13};
  train::Mistakes m(3, 2);
  m.add(logits, labels, samples);
  CHECK(m.images() == 4);
  CHECK(m.count(0, 0) == 1);
  CHECK(m.count(0, 1) == 1);
  CHECK(m.count(1, 0) == 1);
  CHECK(m.count(2, 1) == 1);
  REQUIRE(m.worst().size() == 2);
  CHECK(m.worst()[0].sample == 12);
  CHECK(m.worst()[0].loss == Approx(std::log(std::exp(5.0) + 2)));
  CHECK(m.worst()[0].chance == Approx(std::exp(5.0) / (std::exp(5.0) + 2)));
  CHECK(m.worst()[1].sample == 11);
  CHECK(m.figures(0).precision() == Approx(0.5));
  CHECK(m.figures(0).recall() == Approx(0.5));
  CHECK(m.figures(2).f1() == 0);
  CHECK(m.taken_for(2) == 1);
  const std::array<int64_t, 4> wrong{0, 0, 1, 3};
  CHECK_THROWS_WITH(m.add(logits, wrong, samples), contains_text("class 3 of 3"));
}
