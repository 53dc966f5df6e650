// SPDX-License-Identifier: Apache-2.0
// cli/labels.h — what the classes of a model are called, as far as anybody says so.
#pragma once
#include <string>
#include <vector>

#include "zoo/image_model.h"

namespace fovea::cli {

/// What there is to go by.
struct LabelSources {
  std::string given;                               // --labels: a file, "none", or empty
  std::string weights;                             // the file, beside which there may be a config.json
  bool tag_given = false;                          // the user named the weights' tag
  std::string type = "description";                // --label-type: name, description or detail
};

class Labels {
 public:
  /// For a model that tells so many classes apart. In this order: the file given (a label a line, or JSON: a list, an
  /// object by index, or a config.json of timm or transformers), the config.json beside the weights, the subset of
  /// ImageNet that has so many. Throws Error for a file of another number of labels.
  Labels(const LabelSources& from, const zoo::ImageModel& model, int64_t classes);
  /// By type: "n02123045", "tabby, tabby cat" or "tabby, tabby cat: a cat with ..."; "class 3" where nobody says.
  std::string operator[](int64_t index) const;
  /// The names of all classes and what is said of them besides; both empty where nobody says anything.
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<std::string>& descriptions() const { return descriptions_; }
  /// That ImageNet's names are assumed; empty when they are known.
  const std::string& note() const { return note_; }

 private:
  void take_imagenet(int classes);
  std::string type_;
  std::vector<std::string> names_, descriptions_, details_;  // the last two are empty or as many
  std::string note_;
};

}  // namespace fovea::cli
