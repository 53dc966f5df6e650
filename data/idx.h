// SPDX-License-Identifier: Apache-2.0
// data/idx.h — IdxImages: MNIST and what is stored like it, arrays of bytes with their sizes in front, perhaps by
// gzip.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/reader.h"

namespace fovea::data {

struct IdxFiles {
  std::string images, labels;
};

class IdxImages final : public Reader {
 public:
  /// Grey images, u8[N, H, W], and their classes, u8[N] (http://yann.lecun.com/exdb/mnist). Throws Error(format) where
  /// the files are damaged or not each other's, or have more than 4 GiB.
  explicit IdxImages(const IdxFiles& files, std::vector<std::string> classes = {});

  std::string name(size_t i) const override;       // "FILE:NUMBER"
  Stored read(size_t i) const override;

 private:
  std::string file_;
  int height_ = 0, width_ = 0;
  std::vector<uint8_t> pixels_;
};

/// The files of MNIST's names, train-images-idx3-ubyte or t10k-..., with or without .gz, in one of these folders.
/// Throws Error(not_found) with all folders that were looked into.
IdxFiles find_idx(const std::vector<std::string>& folders, bool train);

}  // namespace fovea::data
