// SPDX-License-Identifier: Apache-2.0
// cli/feature_rows.h — what a frozen model makes of a folder of images: a row of features each, computed once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/reader.h"
#include "data/transform.h"
#include "zoo/zoo.h"

namespace fovea::cli {

struct FeatureRows {
  Tensor features;                                 // f32[N, D], in the folder's order
  std::vector<int64_t> labels;
  std::vector<size_t> samples;                     // their numbers in the folder: all but what cannot be read
  double seconds = 0;                              // 0: they were kept from another time
};

struct FeatureRowOptions {
  data::EvalConfig eval{};
  int64_t batch = 64;
  int workers = 4;
  std::string keep{};                              // the folder of kept rows; "": they are not kept
  std::string name = "images";                     // what progress calls them
};

/// Pooled features as the classifier takes them, of images prepared for evaluation. Kept rows are a safetensors file
/// whose name is the SHA-256 of all that they depend on: the model and its weights but for the classifier, how images
/// are prepared, and of each image path, size, time of its last change and class; images in archives are not kept. A
/// file that is damaged is made anew. Images that cannot be read have no row; stderr says how many, of kept rows, too.
/// Throws Error(io) where none can be read, ten in a row cannot, or more than 100.
FeatureRows feature_rows(zoo::ImageModel& model, const data::Reader& folder, const FeatureRowOptions& o);

}  // namespace fovea::cli
