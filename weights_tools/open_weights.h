// SPDX-License-Identifier: Apache-2.0
// weights_tools/open_weights.h — one door for weight files of all formats, told apart by their first bytes.
#pragma once
#include <string>

#include "engine/core/state_dict.h"
#include "weights_tools/mapped_file.h"

namespace fovea {

struct OpenOptions {
  FileAccess access = FileAccess::map;
  std::string key{};      // torch files: where the weights are, "teacher" or "model/state_dict"; empty: as timm picks
  std::string prefix{};   // only tensors whose names begin so, without it: "backbone."
  bool ema = true;        // training checkpoints: prefer the averaged weights
  bool strict = false;    // torch files: refuse classes that tensors do not need
  bool check_crc = true;  // zip archives: compare checksums
};

/// safetensors, torch (zip and stream), npz and npy; the extension does not matter. Throws Error(format) for anything
/// else, saying what the file starts with. An npy file gives one tensor, "arr_0". Names come unwrapped() (rename.h).
StateDict open_weights(const std::string& path, const OpenOptions& options = {});
/// The same of a file that is open. Its access is not asked for again.
StateDict open_weights(std::shared_ptr<const MappedFile> file, const OpenOptions& options = {});

}  // namespace fovea
