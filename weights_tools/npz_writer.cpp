// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/npz_writer.h"

#include <algorithm>

#include "engine/core/error.h"
#include "weights_tools/npz.h"

namespace fovea {
namespace {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// All texts at the width of the longest.
Spool padded(const Spool& texts, size_t width, const std::string& folder) {
  Spool out(folder);
  std::string row;
  texts.each([&](Bytes piece) {
    for (; !piece.empty(); piece = piece.subspan(sizeof(uint32_t))) {
      const auto code = load_le<uint32_t>(piece);
      if (code) {
        append_le(row, code);
        continue;
      }
      row.resize(width * sizeof(uint32_t));
      out.write(bytes_of(row));
      row.clear();
    }
  });
  return out;
}

}  // namespace

NpzWriter::Array& NpzWriter::array(const std::string& name, const Meta& row) {
  const auto found = std::find_if(arrays_.begin(), arrays_.end(), [&](const Array& a) { return a.name == name; });
  if (found == arrays_.end()) {
    arrays_.push_back({.name = name, .row = row, .rows = 0, .width = 1, .spool = Spool(folder_of(path_))});
    return arrays_.back();
  }
  Shape shape = row.shape;
  if (shape.size() > 0) shape[0] = found->row.shape.size() > 0 ? found->row.shape[0] : 0;
  if (found->row.dtype != row.dtype || found->row.shape != shape)
    throw Error(Error::Kind::shape, str_cat("'", name, "' in ", path_, " has rows of ", found->row, ", not of ", row));
  return *found;
}

void NpzWriter::append(const std::string& name, const Tensor& rows) {
  const Tensor numbers = dense(rows, rows.dtype() == DType::bf16 ? DType::f32 : DType::none);
  if (numbers.rank() == 0)
    throw Error(Error::Kind::shape, str_cat("'", name, "' in ", path_, ": a number has no rows"));
  Array& a = array(name, numbers.meta());
  a.rows += numbers.dim(0);
  if (numbers.numel()) a.spool.write({numbers.bytes(), static_cast<size_t>(numbers.meta().bytes())});
}

void NpzWriter::append(const std::string& name, std::string_view text) {
  const std::vector<uint32_t> codes = code_points(text);
  std::string characters;
  for (const uint32_t c : codes) append_le(characters, c);
  append_le(characters, uint32_t{0});
  Array& a = array(name, {});
  ++a.rows;
  a.width = std::max(a.width, codes.size());
  a.spool.write(bytes_of(characters));
}

void NpzWriter::finish() {
  for (const Array& a : arrays_) {
    const std::string member = a.name + ".npy";
    if (a.row.dtype == DType::none) {
      zip_.add(member, npy_header(str_cat("<U", a.width), {a.rows}), padded(a.spool, a.width, folder_of(path_)));
    } else {
      Shape shape = a.row.shape;
      shape[0] = a.rows;
      zip_.add(member, npy_header(npy_descr(a.row.dtype), shape), a.spool);
    }
  }
  zip_.finish();
}

}  // namespace fovea
