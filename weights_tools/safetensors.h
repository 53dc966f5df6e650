// SPDX-License-Identifier: Apache-2.0
// weights_tools/safetensors.h — safetensors files: a length, a JSON header, and the bytes of the tensors without gaps.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/state_dict.h"
#include "weights_tools/mapped_file.h"

namespace fovea {

struct SafetensorsOptions {
  FileAccess access = FileAccess::map;
  uint64_t max_header = 100'000'000;  // bytes
};

/// Tensors are views on the file, in the order of their bytes; `__metadata__` becomes StateDict::metadata. Everything
/// the header says is checked before a tensor is made: Error(format) for files that break the format. Tensors of dtypes
/// that fovea does not have are foreign ones (weights_tools/foreign.h).
StateDict read_safetensors(const std::string& path, const SafetensorsOptions& options = {});
StateDict read_safetensors(std::shared_ptr<const MappedFile> file, const SafetensorsOptions& options = {});

/// Hears of the bytes of each tensor as it is in the file.
class WriteListener {
 public:
  virtual void written(int64_t bytes) = 0;

 protected:
  ~WriteListener() = default;
};

/// Writes atomically, byte for byte as the Python package orders and pads a file. `"format": "pt"` is added to the
/// metadata unless it names a format. Tensors that share bytes are written once each.
void write_safetensors(const std::string& path, const StateDict& tensors, WriteListener* listener = nullptr);

}  // namespace fovea
