// SPDX-License-Identifier: Apache-2.0
// processes/launch.h — Launch: what the environment says about the processes that were started together.
#pragma once
#include <memory>
#include <string>

#include "engine/core/peers.h"

namespace fovea::processes {

struct Launch {
  std::string by;                                  // "mpirun", "srun", "torchrun", ...; "": nobody, it is alone
  int rank = 0, size = 1;
  int local_size = 1;                              // how many of them are on this machine, as far as it is told
};
/// Of OpenMPI's mpirun (OMPI_COMM_WORLD_*), steps of Slurm's srun (SLURM_PROCID, SLURM_STEP_*), torchrun (RANK,
/// WORLD_SIZE) and MPICH's mpirun (PMI_*); of nobody where FOVEA_ALONE is set. Throws Error(argument) for numbers that
/// are none.
Launch launched();

/// The processes that were started with this one; null where it is alone. They talk over OpenMPI, which is opened here.
/// Throws Error(unsupported) for launchers that cannot bring them together.
std::unique_ptr<Peers> join(const Launch& l);

}  // namespace fovea::processes
