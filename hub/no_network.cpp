// SPDX-License-Identifier: Apache-2.0
// hub/no_network.cpp — the network of builds without it.
#include "engine/core/error.h"
#include "hub/transport.h"

namespace fovea::hub {

std::unique_ptr<Transport> network() {
  throw Error(Error::Kind::unsupported, "this build of fovea has no network (-Dhub=disabled)",
              "fetch the file with another program and name it, or build with -Dhub=enabled");
}

}  // namespace fovea::hub
