// SPDX-License-Identifier: Apache-2.0
// data/labels.h — names of classes: ImageNet-1k in the order every ImageNet classifier uses.
#pragma once
#include <string_view>

namespace fovea::data {

int label_count();                  // 1000
std::string_view label(int index);  // "tabby, tabby cat"; throws Error when out of range

}  // namespace fovea::data
