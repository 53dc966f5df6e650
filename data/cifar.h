// SPDX-License-Identifier: Apache-2.0
// data/cifar.h — CifarImages: CIFAR-10 and CIFAR-100 in their binary version.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/reader.h"

namespace fovea::data {

class CifarImages final : public Reader {
 public:
  /// 32 x 32 pixels in colour, of 10 classes or of 100, the fine ones (https://www.cs.toronto.edu/~kriz/cifar.html).
  /// The files lie in `root`, or in its folder of their archive's name, cifar-10-batches-bin or cifar-100-binary.
  /// Training's five batches follow each other. Throws Error(not_found or format).
  CifarImages(const std::string& root, int classes, bool train);

  std::string name(size_t i) const override;       // "FOLDER:NUMBER"
  Stored read(size_t i) const override;

 private:
  void take(const std::string& path);
  std::string folder_;
  int known_;                                      // classes
  std::vector<std::byte> records_;
};

}  // namespace fovea::data
