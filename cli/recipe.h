// SPDX-License-Identifier: Apache-2.0
// cli/recipe.h — how to train when nobody says: sizes, rates, epochs and augmentation from the data's size, with why.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cli/training_options.h"
#include "data/reader.h"

namespace fovea::cli {

/// What a recipe goes by.
struct DataFacts {
  int64_t images = 0, classes = 0;
  double imbalance = 1;                            // images of the most frequent class to those of the rarest
  int side = 0;                                    // of the shorter edge of the images, the median; 0: nobody knows
  bool grey = false;                               // images without colours
  bool evaluated = true;                           // there are images to evaluate on
  bool pretrained = false;
  int model_size = 224;                            // height and width that the model was made for
  bool any_size = true;                            // it takes other ones as they come
  bool tokens = false;                             // a transformer
  bool head_only = false;
  int processes = 1;                               // that share a batch
};

/// A flag, what it is given, and why.
struct Choice {
  std::string flag, value, why;
};
std::vector<Choice> recipe(const DataFacts& f);

/// Looks at the folder and the model, and gives `command` what the recipe says wherever it was not told; says it on
/// stderr. None where --recipe or the flags that were given forbid it.
std::vector<Choice> take_recipe(Command command, const TrainingOptions& o, const data::Reader& folder,
                                int processes = 1);

}  // namespace fovea::cli
