// SPDX-License-Identifier: Apache-2.0
// data/labels.h — names of classes: ImageNet's, of its subsets that classifiers are made for.
#pragma once
#include <string_view>
#include <vector>

namespace fovea::data {

// ImageNet-1k, in the order every ImageNet classifier uses.
int label_count();                  // 1000
std::string_view label(int index);  // "tabby, tabby cat"; throws Error when out of range

/// A class as WordNet has it.
struct Synset {
  std::string_view id;          // "n02123045"
  std::string_view lemmas;      // "tabby, tabby cat"
  std::string_view definition;  // "a cat with a grey or tawny coat mottled with black"
};
/// ImageNet with so many classes: 1k (1000), 21k of MIIL (11221), 12k of timm (11821), 22k (21841), 22k in Microsoft's
/// order (21842), 21k of Google (21843). Empty for any other number.
const std::vector<Synset>& imagenet_synsets(int classes);

}  // namespace fovea::data
