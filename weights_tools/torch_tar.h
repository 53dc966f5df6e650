// SPDX-License-Identifier: Apache-2.0
// weights_tools/torch_tar.h — checkpoints of torch before 0.1.10: tar archives of pickles and bare numbers.
#pragma once
#include <memory>

#include "weights_tools/torch_checkpoint.h"

namespace fovea {

/// A tar archive with the members sys_info, pickle, tensors and storages.
bool is_torch_tar(Bytes file);
/// As read_torch_zip() reads newer ones. Nothing is unpacked to disk, and no class that the file names is ever run.
StateDict read_torch_tar(std::shared_ptr<const MappedFile> file, const TorchOptions& options = {});

}  // namespace fovea
