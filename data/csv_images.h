// SPDX-License-Identifier: Apache-2.0
// data/csv_images.h — CsvImages: images and their classes as a table lists them.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "data/class_map.h"
#include "data/reader.h"
#include "data/target_fields.h"

namespace fovea::data {

struct CsvOptions {
  ClassMap class_map{};
  /// The column of the classes, or a column a class; "": the second. Cells of several classes have ';' between them,
  /// with `multihot` between zeros and ones.
  TargetOptions target{};
};

class CsvImages final : public Reader {
 public:
  /// Rows of paths and classes in their order (RFC 4180: commas, and quotes that are doubled). The first column is the
  /// path, relative to the file's folder. The first row names columns where it does not name an image. Classes are
  /// numbers, where all cells are, and else names in natural order. Samples are of several classes where a cell has
  /// ';' or no class, with `multihot`, and where there is a column a class. Throws Error(format) with the line.
  explicit CsvImages(const std::string& path, const CsvOptions& options = {});

  std::string name(size_t i) const override { return paths_[i]; }
  Stored read(size_t i) const override;

 private:
  std::vector<std::string> paths_;
};

/// Cells of the next row; false at the end. `line` counts. Throws Error(format) for a quote that is not closed.
bool next_csv_row(std::string_view& text, std::vector<std::string>& cells, size_t& line, const std::string& path);

}  // namespace fovea::data
