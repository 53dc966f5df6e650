// SPDX-License-Identifier: Apache-2.0
// data/dataset.h — open_dataset(): readers by the names that timm's --dataset takes.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "data/class_map.h"
#include "data/reader.h"
#include "data/target_fields.h"

namespace fovea::data {

struct DatasetOptions {
  std::string split = "train";                     // see split_folder(); of wds also a pattern of shards
  ClassMap class_map{};                            // MNIST's and CIFAR's classes are numbered already
  std::string input_key{};                         // how images end, "jpg;png"; default: any that fovea reads
  TargetOptions target{};                          // of wds and csv
  std::optional<bool> tar_index{};                 // see TarOptions
};

/// "", folder: a folder a class; where `root` or its split is or has *.tar and no images, as tar; where `root` is a
///   file *.csv, as csv.
/// tar, image_tar: an archive, or a folder of them (TarImages).
/// wds, wds/NAME: shards (WebDataset).
/// csv: `root` itself, or SPLIT.csv in it (CsvImages).
/// torch/mnist, torch/fashion_mnist, torch/kmnist, torch/cifar10, torch/cifar100, torch/imagenet: as torchvision lays
///   them out; every split but train and training is the test set, but for imagenet, which is a folder.
/// Prefixes are taken in any case (timm: data/dataset_factory.py). Throws Error(unsupported) with a reason for names of
/// timm's that are not read, Error(argument) for others.
std::unique_ptr<Reader> open_dataset(std::string_view name, const std::string& root, const DatasetOptions& options);

}  // namespace fovea::data
