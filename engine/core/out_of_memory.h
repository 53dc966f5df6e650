// SPDX-License-Identifier: Apache-2.0
// engine/core/out_of_memory.h — OutOfMemory: the Error of whoever asked for more memory than there is.
#pragma once
#include "engine/core/error.h"

namespace fovea {

/// What was asked for is undone, and may be asked for again. Small pieces that are not to be had are std::bad_alloc.
class OutOfMemory final : public Error {
 public:
  explicit OutOfMemory(std::string what, std::string help = "a smaller batch or image needs less")
      : Error(Kind::unsupported, std::move(what), std::move(help)) {}
};

}  // namespace fovea
