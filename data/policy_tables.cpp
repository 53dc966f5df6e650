// SPDX-License-Identifier: Apache-2.0
#include "data/policy_tables.h"

#include <string>

#include "engine/core/error.h"

namespace fovea::data {
namespace {

struct Step {
  std::string_view name;
  double prob, magnitude;
};
struct Row {
  Step first, second;
};

// ImageNet's policy of TPU's EfficientNet.
constexpr Row kV0[] = {
    {{"Equalize", 0.8, 1}, {"ShearY", 0.8, 4}},
    {{"Color", 0.4, 9}, {"Equalize", 0.6, 3}},
    {{"Color", 0.4, 1}, {"Rotate", 0.6, 8}},
    {{"Solarize", 0.8, 3}, {"Equalize", 0.4, 7}},
    {{"Solarize", 0.4, 2}, {"Solarize", 0.6, 2}},
    {{"Color", 0.2, 0}, {"Equalize", 0.8, 8}},
    {{"Equalize", 0.4, 8}, {"SolarizeAdd", 0.8, 3}},
    {{"ShearX", 0.2, 9}, {"Rotate", 0.6, 8}},
    {{"Color", 0.6, 1}, {"Equalize", 1.0, 2}},
    {{"Invert", 0.4, 9}, {"Rotate", 0.6, 0}},
    {{"Equalize", 1.0, 9}, {"ShearY", 0.6, 3}},
    {{"Color", 0.4, 7}, {"Equalize", 0.6, 0}},
    {{"Posterize", 0.4, 6}, {"AutoContrast", 0.4, 7}},
    {{"Solarize", 0.6, 8}, {"Color", 0.6, 9}},
    {{"Solarize", 0.2, 4}, {"Rotate", 0.8, 9}},
    {{"Rotate", 1.0, 7}, {"TranslateYRel", 0.8, 9}},
    {{"ShearX", 0.0, 0}, {"Solarize", 0.8, 4}},
    {{"ShearY", 0.8, 0}, {"Color", 0.6, 4}},
    {{"Color", 1.0, 0}, {"Rotate", 0.6, 2}},
    {{"Equalize", 0.8, 4}, {"Equalize", 0.0, 8}},
    {{"Equalize", 1.0, 4}, {"AutoContrast", 0.6, 2}},
    {{"ShearY", 0.4, 7}, {"SolarizeAdd", 0.6, 7}},
    {{"Posterize", 0.8, 2}, {"Solarize", 0.6, 10}},
    {{"Solarize", 0.6, 8}, {"Equalize", 0.6, 1}},
    {{"Color", 0.8, 6}, {"Rotate", 0.4, 5}},
};

// ImageNet's policy of the paper.
constexpr Row kOriginal[] = {
    {{"PosterizeOriginal", 0.4, 8}, {"Rotate", 0.6, 9}},
    {{"Solarize", 0.6, 5}, {"AutoContrast", 0.6, 5}},
    {{"Equalize", 0.8, 8}, {"Equalize", 0.6, 3}},
    {{"PosterizeOriginal", 0.6, 7}, {"PosterizeOriginal", 0.6, 6}},
    {{"Equalize", 0.4, 7}, {"Solarize", 0.2, 4}},
    {{"Equalize", 0.4, 4}, {"Rotate", 0.8, 8}},
    {{"Solarize", 0.6, 3}, {"Equalize", 0.6, 7}},
    {{"PosterizeOriginal", 0.8, 5}, {"Equalize", 1.0, 2}},
    {{"Rotate", 0.2, 3}, {"Solarize", 0.6, 8}},
    {{"Equalize", 0.6, 8}, {"PosterizeOriginal", 0.4, 6}},
    {{"Rotate", 0.8, 8}, {"Color", 0.4, 0}},
    {{"Rotate", 0.4, 9}, {"Equalize", 0.6, 2}},
    {{"Equalize", 0.0, 7}, {"Equalize", 0.8, 8}},
    {{"Invert", 0.6, 4}, {"Equalize", 1.0, 8}},
    {{"Color", 0.6, 4}, {"Contrast", 1.0, 8}},
    {{"Rotate", 0.8, 8}, {"Color", 1.0, 2}},
    {{"Color", 0.8, 8}, {"Solarize", 0.8, 7}},
    {{"Sharpness", 0.4, 7}, {"Invert", 0.6, 8}},
    {{"ShearX", 0.6, 5}, {"Equalize", 1.0, 9}},
    {{"Color", 0.4, 0}, {"Equalize", 0.6, 3}},
    {{"Equalize", 0.4, 7}, {"Solarize", 0.2, 4}},
    {{"Solarize", 0.6, 5}, {"AutoContrast", 0.6, 5}},
    {{"Invert", 0.6, 4}, {"Equalize", 1.0, 8}},
    {{"Color", 0.6, 4}, {"Contrast", 1.0, 8}},
    {{"Equalize", 0.8, 8}, {"Equalize", 0.6, 3}},
};

// Of DeiT III, https://arxiv.org/abs/2204.07118.
constexpr Step k3a[] = {{"Solarize", 1, 5}, {"Desaturate", 1, 10}, {"GaussianBlurRand", 1, 10}};

constexpr Weighted kRand[] = {
    {"AutoContrast"}, {"Equalize"}, {"Invert"}, {"Rotate"}, {"Posterize"}, {"Solarize"}, {"SolarizeAdd"}, {"Color"},
    {"Contrast"}, {"Brightness"}, {"Sharpness"}, {"ShearX"}, {"ShearY"}, {"TranslateXRel"}, {"TranslateYRel"},
};
constexpr Weighted kIncreasing[] = {
    {"AutoContrast"}, {"Equalize"}, {"Invert"}, {"Rotate"}, {"PosterizeIncreasing"}, {"SolarizeIncreasing"},
    {"SolarizeAdd"}, {"ColorIncreasing"}, {"ContrastIncreasing"}, {"BrightnessIncreasing"}, {"SharpnessIncreasing"},
    {"ShearX"}, {"ShearY"}, {"TranslateXRel"}, {"TranslateYRel"},
};
constexpr Weighted kRand3a[] = {
    {"SolarizeIncreasing"}, {"Desaturate"}, {"GaussianBlur"},
};
constexpr Weighted kWeighted3a[] = {
    {"SolarizeIncreasing", 6}, {"Desaturate", 6}, {"GaussianBlur", 6}, {"Rotate", 3}, {"ShearX", 2}, {"ShearY", 2},
    {"PosterizeIncreasing", 1}, {"AutoContrast", 1}, {"ColorIncreasing", 1}, {"SharpnessIncreasing", 1},
    {"ContrastIncreasing", 1}, {"BrightnessIncreasing", 1}, {"Equalize", 1}, {"Invert", 1},
};
constexpr Weighted kWeights[] = {
    {"Rotate", 3}, {"ShearX", 2}, {"ShearY", 2}, {"TranslateXRel", 1}, {"TranslateYRel", 1},
    {"ColorIncreasing", 0.25}, {"SharpnessIncreasing", 0.25}, {"AutoContrast", 0.25}, {"SolarizeIncreasing", 0.05},
    {"SolarizeAdd", 0.05}, {"ContrastIncreasing", 0.05}, {"BrightnessIncreasing", 0.05}, {"Equalize", 0.05},
    {"PosterizeIncreasing", 0.05}, {"Invert", 0.05},
};
constexpr Weighted kAugMix[] = {
    {"AutoContrast"}, {"ColorIncreasing"}, {"ContrastIncreasing"}, {"BrightnessIncreasing"}, {"SharpnessIncreasing"},
    {"Equalize"}, {"Rotate"}, {"PosterizeIncreasing"}, {"SolarizeIncreasing"}, {"ShearX"}, {"ShearY"},
    {"TranslateXRel"}, {"TranslateYRel"},
};

// The variants with an r differ in Posterize alone.
std::vector<std::vector<AugmentOp>> searched(std::span<const Row> rows, bool increasing) {
  const auto op = [&](const Step& s) {
    const std::string_view name = increasing && s.name.starts_with("Posterize") ? "PosterizeIncreasing" : s.name;
    return AugmentOp(name, s.prob, s.magnitude);
  };
  std::vector<std::vector<AugmentOp>> out;
  for (const Row& r : rows) out.push_back({op(r.first), op(r.second)});
  return out;
}

}  // namespace

std::vector<std::vector<AugmentOp>> policy_rows(std::string_view name) {
  if (name == "v0" || name == "v0r") return searched(kV0, name == "v0r");
  if (name == "original" || name == "originalr") return searched(kOriginal, name == "originalr");
  if (name != "3a")
    throw Error(Error::Kind::argument, str_cat("no policy of augmentation is called '", name, "'"),
                "there are: v0, v0r, original, originalr, 3a, rand-..., augmix-...");
  std::vector<std::vector<AugmentOp>> out;
  for (const Step& s : k3a) out.push_back({AugmentOp(s.name, s.prob, s.magnitude)});
  return out;
}

std::span<const Weighted> augment_set(std::string_view name, bool increasing) {
  if (name == "weights") return kWeights;
  if (name == "3a") return kRand3a;
  if (name == "3aw") return kWeighted3a;
  if (name.empty()) return increasing ? std::span<const Weighted>(kIncreasing) : kRand;
  throw Error(Error::Kind::argument, str_cat("RandAugment has no set of operations 't", name, "'"),
              "there are: tweights, t3a, t3aw; without any: the usual one");
}

std::span<const Weighted> augmix_set() { return kAugMix; }

}  // namespace fovea::data
