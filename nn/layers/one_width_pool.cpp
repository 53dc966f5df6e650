// SPDX-License-Identifier: Apache-2.0
#include "nn/layers/one_width_pool.h"

namespace fovea {

std::unique_ptr<GlobalPool> one_width_pool(std::string_view type, bool flatten, bool channels_last) {
  auto pool = std::make_unique<GlobalPool>(type, flatten, channels_last);
  if (pool->width() != 1)
    throw Error(Error::Kind::argument, str_cat("a head with a norm has no pooling '", type, "'"),
                "its norm takes as many channels as the features have");
  return pool;
}

}  // namespace fovea
