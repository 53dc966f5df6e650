// SPDX-License-Identifier: Apache-2.0
// data/labels.cpp — the embedded list of labels, one a line: timm.data.ImageNetInfo().index_to_description(0 .. 999).
#include "data/labels.h"

#include <cstddef>
#include <vector>

#include "engine/core/error.h"

namespace fovea::data {

extern const char imagenet_1k[];  // made from labels/imagenet_1k.txt by embed.py
extern const std::size_t imagenet_1k_size;

static const std::vector<std::string_view>& labels() {
  static const std::vector<std::string_view> lines = [] {
    std::vector<std::string_view> found;
    std::string_view text(imagenet_1k, imagenet_1k_size);
    for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
      found.push_back(text.substr(0, end));
    return found;
  }();
  return lines;
}

int label_count() { return static_cast<int>(labels().size()); }

std::string_view label(int index) {
  if (index < 0 || index >= label_count())
    throw Error(Error::Kind::argument, str_cat("there is no ImageNet-1k class ", index),
                str_cat("classes are 0 to ", label_count() - 1));
  return labels()[static_cast<size_t>(index)];
}

}  // namespace fovea::data
