// SPDX-License-Identifier: Apache-2.0
// api/labels.h — what the classes of a model are called, as far as anybody says so.
#pragma once
#include <string>
#include <vector>

#include "zoo/image_model.h"

namespace fovea {

/// What there is to go by.
struct LabelSources {
  std::string given;                               // --labels: a file, "none", or empty
  std::string weights;                             // the file, beside which there may be a config.json
  bool tag_given = false;                          // the user named the weights' tag
};

class Labels {
 public:
  /// For a model that tells so many classes apart. In this order: the file given (a label a line, or JSON: a list, an
  /// object by index, or a config.json of timm or transformers), the config.json beside the weights, ImageNet-1k for
  /// 1000 classes. Throws Error for a file of another number of labels.
  Labels(const LabelSources& from, const zoo::ImageModel& model, int64_t classes);
  std::string operator[](int64_t index) const;     // "tabby, tabby cat", or "class 3" where nobody says
  /// That ImageNet's names are assumed; empty when they are known.
  const std::string& note() const { return note_; }

 private:
  bool imagenet_ = false;
  std::vector<std::string> names_;
  std::string note_;
};

}  // namespace fovea
