// SPDX-License-Identifier: Apache-2.0
// api/classifier.h — Classifier: what stands around a model's numbers: how it wants its images, and what its answers
// are called.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "api/labels.h"
#include "api/preprocess.h"

namespace fovea {

/// A class that the model sees.
struct Guess {
  int64_t index;
  float prob;
  std::string label;
};

/// Of a model as it was created: its weights may come later, or never where a compiled session has them. Once classes
/// have their names nothing changes any more, and any number of threads may ask.
class Classifier {
 public:
  /// Throws Error(argument) for a model without a classifier.
  Classifier(const zoo::ImageModel& model, LabelSources labels);

  const data::EvalConfig& config() const { return config_; }
  /// f32[1, C, H, W]
  Tensor prepare(const data::Image& image) const { return data::eval_transform(image, config_); }

  /// Looks for the names of so many classes, which the weights decide: results tell how many. Returns what had to be
  /// assumed, or nothing. Throws Error for labels of another number.
  const std::string& name_classes(int64_t classes);
  bool named() const { return labels_.has_value(); }
  int64_t classes() const { return static_cast<int64_t>(names_.size()); }      // 0 before they are named
  const std::string& name_of(int64_t index) const; // throws Error(argument) where there is no such class
  /// The `k` most probable classes, first the first, of the logits f32[1, classes]. At most as many as there are.
  std::vector<Guess> best(const Tensor& logits, int64_t k) const;

 private:
  const zoo::ImageModel& model_;
  LabelSources sources_;
  data::EvalConfig config_;
  std::optional<Labels> labels_;
  std::vector<std::string> names_;                 // of all classes
};

}  // namespace fovea
