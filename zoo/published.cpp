// SPDX-License-Identifier: Apache-2.0
// zoo/published.cpp — published weights into a model.
#include "zoo/source.h"
#include "zoo/zoo.h"

namespace fovea::zoo {

std::string pretrained_file(const ImageModel& model) { return weights_path(model.pretrained_cfg()); }

LoadReport load_pretrained(ImageModel& model) {
  return load_weights(model, pretrained_file(model), {.fine_tune = true});
}

}  // namespace fovea::zoo
