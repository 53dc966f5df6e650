// SPDX-License-Identifier: Apache-2.0
// weights_tools/sharded.h — weights in several safetensors files, and the JSON index that says where each tensor is.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/core/state_dict.h"
#include "weights_tools/mapped_file.h"

namespace fovea {

/// Does it begin like {"metadata": ..., "weight_map": {...}}?
bool is_shard_index(Bytes file);
bool is_shard_index_name(std::string_view path);  // "model.safetensors.index.json"

/// The files that an index names, each once, in the order of their names; all are safe_name()s.
std::vector<std::string> shards_of(const MappedFile& index);

/// The tensors of all files beside the index, in the order of the files. Throws Error(format) unless every tensor is in
/// the file that the index names, and nowhere else. A file may not be a link that leads out of the folder, except to
/// the blobs of the hub's cache.
StateDict read_sharded(const std::shared_ptr<const MappedFile>& index, FileAccess access);

}  // namespace fovea
