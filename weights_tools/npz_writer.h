// SPDX-License-Identifier: Apache-2.0
// weights_tools/npz_writer.h — NpzWriter: an archive of arrays that grow row by row, in memory that does not grow.
#pragma once
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "weights_tools/zip_writer.h"

namespace fovea {

/// Rows wait in files without names beside the archive, which appears with finish(), not before. Its arrays stand in
/// the order in which they were named first.
class NpzWriter {
 public:
  explicit NpzWriter(const std::string& path) : path_(path), zip_(path) {}
  /// More rows of numbers, [n, ...]; dtype and all but the first size are as before. bf16 is written as f32.
  void append(const std::string& name, const Tensor& rows);
  void append(const std::string& name, std::string_view text);
  void finish();

 private:
  struct Array {
    std::string name;
    Meta row;  // the first rows; of no dtype: texts
    int64_t rows = 0;
    size_t width = 1;  // of the longest text
    Spool spool;       // texts: characters, each text with a zero behind it
  };
  Array& array(const std::string& name, const Meta& row);

  std::string path_;
  ZipWriter zip_;
  std::vector<Array> arrays_;
};

}  // namespace fovea
