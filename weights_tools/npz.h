// SPDX-License-Identifier: Apache-2.0
// weights_tools/npz.h — NumPy's files: .npy (one array) and .npz (a zip archive of them).
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/state_dict.h"
#include "weights_tools/zip.h"

namespace fovea {

/// An array of numbers, or (then `tensor` is absent) a one-dimensional array of texts.
struct NpzEntry {
  std::string name;
  Tensor tensor;
  std::vector<std::string> texts;
};

/// Numbers of either byte order in C or Fortran order, and texts ('U'). Pickled arrays ('O') and dtypes that fovea does
/// not have are foreign tensors (weights_tools/foreign.h).
std::vector<NpzEntry> read_npz_entries(const Zip& zip);
StateDict read_npz(const Zip& zip);  // the numbers alone
StateDict read_npz(const std::string& path);
NpzEntry read_npy(Bytes b, const std::string& name, std::shared_ptr<const void> keep);
bool is_npy(Bytes b);

/// Both write atomically. NumPy has no bf16: such tensors are written as f32, which holds them exactly.
void write_npz(const std::string& path, std::span<const NpzEntry> entries);
void write_npz(const std::string& path, const StateDict& tensors);
void write_npy(const std::string& path, const Tensor& t);

/// The start of a .npy file, padded so that the numbers behind it begin at a multiple of 64.
std::string npy_header(std::string_view descr, const Shape& shape);
std::string npy_descr(DType t);  // "<f4"; throws Error(unsupported) for dtypes that NumPy lacks

}  // namespace fovea
