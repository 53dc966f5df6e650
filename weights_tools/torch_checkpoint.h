// SPDX-License-Identifier: Apache-2.0
// weights_tools/torch_checkpoint.h — what torch.save wrote (zip archives since 1.6, streams before) -> StateDict.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/core/state_dict.h"
#include "weights_tools/zip.h"

namespace fovea {

struct TorchOptions {
  std::string key{};    // where the weights are, "model/state_dict"; empty: as timm picks them
  bool ema = true;      // prefer averaged weights where a training checkpoint has them
  bool strict = false;  // refuse files that name classes which tensors do not need
  bool check_crc = true;
};

bool is_torch_zip(const Zip& zip);  // also archives of TorchScript, which read_torch_zip then refuses
bool is_torch_stream(Bytes file);

/// The weights of a checkpoint, chosen as torch_choice.h says. Values that are no tensors are left out. Tensors that
/// share a storage go on sharing it. No class or function that the file names is ever run.
StateDict read_torch_zip(const Zip& zip, const TorchOptions& options = {});
StateDict read_torch_stream(std::shared_ptr<const MappedFile> file, const TorchOptions& options = {});

/// Every class and function that the pickles of a file name, in the order of the file; those with no business in a
/// checkpoint end in " (suspicious)". Where a pickle cannot be read to its end, the last line says why.
std::vector<std::string> inspect_pickle(const std::string& path);

}  // namespace fovea
