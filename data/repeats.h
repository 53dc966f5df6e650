// SPDX-License-Identifier: Apache-2.0
// data/repeats.h — repeated augmentation: each image several times in an epoch, in other crops, and so fewer of them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fovea::data {

/// How many samples of `images` an epoch then has: whole 256s, as timm's RepeatAugSampler on one device
/// (https://arxiv.org/abs/1901.09335).
int64_t repeated_samples(int64_t images);
/// Those: each of the order so many times, one after the other; of 1.5 every other one twice. At least 1, else throws
/// Error(argument).
std::vector<size_t> repeated(std::span<const size_t> order, double times);

}  // namespace fovea::data
