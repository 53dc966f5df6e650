// SPDX-License-Identifier: Apache-2.0
#include "data/reader.h"

namespace fovea::data {

void Reader::add(std::span<const int64_t> labels) {
  labels_.insert(labels_.end(), labels.begin(), labels.end());
  ends_.push_back(labels_.size());
}

}  // namespace fovea::data
