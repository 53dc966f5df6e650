// SPDX-License-Identifier: Apache-2.0
// cli/answers.h — what `fovea classify` says about images, one after the other: for people, as JSON, or as CSV.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/classifier.h"
#include "cli/images.h"

namespace fovea::cli {

struct Answer {
  std::vector<Guess> best;
  bool finite;                                     // are all logits? Else --allow-nan was given
  double infer;                                    // seconds
};

/// Prints answers as they come.
class Answers {
 public:
  virtual ~Answers() = default;
  virtual void add(const Sample& image, const Answer& answer) = 0;
  virtual void add_unread(const Sample&) {}
};
std::unique_ptr<Answers> answers_for_people();
/// [{"image": ..., "top": [{"index", "label", "prob"}]}, {"image": ..., "error": ...}]: an image a line, and a whole
/// list whenever it ends. Numbers that are not finite are null, and "finite" is false beside them.
std::unique_ptr<Answers> answers_as_json();
/// A row a guess: image, rank from 1, index, label, prob. Images that could not be read have none.
std::unique_ptr<Answers> answers_as_csv();

}  // namespace fovea::cli
