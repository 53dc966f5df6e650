// SPDX-License-Identifier: Apache-2.0
#include "train/multi_label.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

struct Counts {
  int64_t is = 0, said = 0, both = 0;
  void add(bool positive, bool answer) {
    is += positive;
    said += answer;
    both += positive && answer;
  }
  double f1() const { return is + said > 0 ? 200.0 * static_cast<double>(both) / static_cast<double>(is + said) : 0; }
};

}  // namespace

double average_precision(std::span<const float> scores, std::span<const bool> positive) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const auto all = static_cast<double>(std::count(positive.begin(), positive.end(), true));
  if (all == 0) return std::numeric_limits<double>::quiet_NaN();
  double area = 0, found = 0, before = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    found += positive[order[i]];
    if (i + 1 < order.size() && scores[order[i + 1]] == scores[order[i]]) continue;     // equal scores come together
    area += (found - before) / all * (found / static_cast<double>(i + 1));
    before = found;
  }
  return area;
}

void MultiLabel::add(const Tensor& logits, const Tensor& targets) {
  if (logits.rank() != 2 || targets.shape() != logits.shape() || (images_ > 0 && logits.dim(1) != classes_))
    throw Error(Error::Kind::shape, str_cat("logits ", to_string(logits.shape()), " and targets ",
                                            to_string(targets.shape()), " of several labels an image"));
  classes_ = logits.dim(1);
  images_ += logits.dim(0);
  const Tensor values = contiguous(cast(logits, DType::f32)), truth = contiguous(cast(targets, DType::f32));
  for (const float v : values.data<float>()) logits_.push_back(v);
  for (const float v : truth.data<float>()) positive_.push_back(v > 0.5f);
}

MultiLabelScores MultiLabel::scores() const {
  MultiLabelScores out;
  const auto n = static_cast<size_t>(images_), c = static_cast<size_t>(classes_);
  Counts all;
  std::vector<Counts> of_class(c);
  for (size_t i = 0; i < n; ++i) {
    Counts of_image;
    for (size_t k = 0; k < c; ++k) {
      const bool is = positive_[i * c + k] != 0, said = static_cast<double>(logits_[i * c + k]) > threshold_;
      for (Counts* counts : {&all, &of_class[k], &of_image}) counts->add(is, said);
    }
    out.sample_f1 += of_image.f1() / static_cast<double>(n);
  }
  out.micro_f1 = all.f1();
  std::vector<float> column(n);
  const std::unique_ptr<bool[]> truth(new bool[n]);
  double measured = 0;
  for (size_t k = 0; k < c; ++k) {
    out.f1.push_back(of_class[k].f1());
    out.macro_f1 += out.f1.back() / static_cast<double>(c);
    for (size_t i = 0; i < n; ++i) column[i] = logits_[i * c + k], truth[i] = positive_[i * c + k] != 0;
    const double area = 100 * average_precision(column, {truth.get(), n});
    out.average_precision.push_back(area);
    if (std::isnan(area)) continue;
    out.map += area;
    ++measured;
  }
  out.map = measured > 0 ? out.map / measured : std::numeric_limits<double>::quiet_NaN();
  return out;
}

}  // namespace fovea::train
