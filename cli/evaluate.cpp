// SPDX-License-Identifier: Apache-2.0
#include "cli/evaluate.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"

namespace fovea::cli {
namespace {

double share(double part, double all) { return all > 0 ? part / all : 0; }

}  // namespace

void Scores::add(const Tensor& logits, const Tensor& targets) {
  const std::span<const float> values = logits.data<float>();
  const std::span<const int64_t> labels = targets.data<int64_t>();
  const auto n = static_cast<size_t>(logits.dim(1));
  classes_.resize(std::max(classes_.size(), n));
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = values.subspan(i * n, n);
    const int64_t label = labels[i];
    if (label < 0 || label >= static_cast<int64_t>(n))
      throw Error(Error::Kind::argument, cat("an image of class ", label, ", the model has ", n, " classes"),
                  "--class-map numbers the folders as the model does");
    const float mine = row[static_cast<size_t>(label)];
    const float most = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float v : row) sum += std::exp(static_cast<double>(v - most));
    loss_ += std::log(sum) + static_cast<double>(most - mine);
    // equal values keep their order, so an earlier one counts as higher
    int64_t higher = 0;
    for (size_t c = 0; c < n; ++c) higher += row[c] > mine || (row[c] == mine && static_cast<int64_t>(c) < label);
    const auto answer = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    ++images_;
    top1_ += higher < 1;
    top5_ += higher < 5;
    ++classes_[static_cast<size_t>(label)].is;
    ++classes_[answer].answered;
    classes_[answer].both += answer == static_cast<size_t>(label);
  }
}

train::Evaluation Scores::evaluation() const {
  const auto n = static_cast<double>(std::max<int64_t>(1, images_));
  return {loss_ / n, 100 * static_cast<double>(top1_) / n, 100 * static_cast<double>(top5_) / n};
}

Scores::Averages Scores::averages(const std::string& kind) const {
  if (kind != "micro" && kind != "macro" && kind != "weighted")
    throw Error(Error::Kind::argument, cat("no average '", kind, "'"), "there are: micro, macro, weighted");
  Averages out;
  double weights = 0;
  Class all;
  for (const Class& c : classes_) {
    if (c.is == 0 && c.answered == 0) continue;
    const auto is = static_cast<double>(c.is), answered = static_cast<double>(c.answered),
               both = static_cast<double>(c.both);
    const double weight = kind == "weighted" ? is : 1;
    out.precision += weight * share(both, answered);
    out.recall += weight * share(both, is);
    out.f1 += weight * share(2 * both, is + answered);
    weights += weight;
    all.is += c.is, all.answered += c.answered, all.both += c.both;
  }
  if (kind == "micro") {
    const double v = 100 * share(static_cast<double>(all.both), static_cast<double>(all.is));
    return {v, v, v};
  }
  for (double* v : {&out.precision, &out.recall, &out.f1}) *v = 100 * share(*v, weights);
  return out;
}

Answerer::Answerer(zoo::ImageModel& model) {
  const EvalMode eval(model);
  const NoGrad no_grad;
  session_ = BatchSession(zoo::compile(model, {.batch = 1, .target = {.threads = 1}}));
}

Tensor Answerer::operator()(const Tensor& images) { return session_.run_borrowed(images)[0]; }

Scores score(zoo::ImageModel& model, data::Loader& loader, bench::Counter* counted) {
  Answerer answer(model);
  Scores scores;
  loader.begin(0);
  data::Batch batch;
  while (loader.next(batch)) {
    scores.add(answer(batch.images), batch.targets);
    if (counted) counted->reach(scores.images());
  }
  return scores;
}

}  // namespace fovea::cli
