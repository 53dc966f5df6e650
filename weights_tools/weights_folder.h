// SPDX-License-Identifier: Apache-2.0
// weights_tools/weights_folder.h — which file of a folder holds its weights.
#pragma once
#include <string>
#include <vector>

namespace fovea {

/// The names by which files of weights go on the hub, the best first: safetensors before pickles, PyTorch's before
/// OpenCLIP's, an index of several files after the one file.
const std::vector<std::string>& usual_weight_names();

/// What is no folder stands for itself, a folder for the first of usual_weight_names() that it has, else for its first
/// *.safetensors, *.pth, *.pth.tar, *.bin or *.npz in the order of their names; `others` then gets the rest of that
/// kind. Throws Error(not_found) for a folder without any.
std::string weights_file(const std::string& path, std::vector<std::string>* others = nullptr);

}  // namespace fovea
