// SPDX-License-Identifier: Apache-2.0
// processes/mpi.h — processes that OpenMPI brought together. Its library is opened when they are called for.
#pragma once
#include <memory>

#include "engine/core/peers.h"

namespace fovea::processes {

/// All that were started with this one; once a process. Throws Error(unsupported) where there is no OpenMPI 4 or 5.
std::unique_ptr<Peers> join_mpi();

}  // namespace fovea::processes
