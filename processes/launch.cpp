// SPDX-License-Identifier: Apache-2.0
#include "processes/launch.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "engine/core/error.h"
#include "processes/mpi.h"

namespace fovea::processes {
namespace {

std::optional<int> number(const char* name) {
  const char* const text = std::getenv(name);
  if (!text) return {};
  int n = 0;
  const char* const end = text + std::strlen(text);
  const auto [stop, failed] = std::from_chars(text, end, n);
  if (failed == std::errc() && stop == end && n >= 0) return n;
  throw Error(Error::Kind::argument, str_cat(name, "=", text, " in the environment is no number of processes"));
}

struct Names {
  const char *by, *rank, *size, *local_size;       // the latter may be null
};
// The first whose size is set counts: mpirun within a step of Slurm has the environment of both.
constexpr Names kLaunchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"MPICH's mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"},
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", nullptr},
};

// "2(x3),1": of each node in its order; 0 where it is not told.
int tasks_on_this_node() {
  const char* const text = std::getenv("SLURM_STEP_TASKS_PER_NODE");
  int left = number("SLURM_NODEID").value_or(0);
  const char* at = text ? text : "";
  const char* const end = at + std::strlen(at);
  while (at < end) {
    int tasks = 0, times = 1;
    at = std::from_chars(at, end, tasks).ptr;
    if (end - at > 2 && at[0] == '(' && at[1] == 'x') at = std::from_chars(at + 2, end, times).ptr + 1;
    if (left < times) return tasks;
    left -= times;
    if (at >= end || *at != ',') break;
    ++at;
  }
  return 0;
}

}  // namespace

Launch launched() {
  if (std::getenv("FOVEA_ALONE")) return {};
  for (const Names& n : kLaunchers) {
    const std::optional<int> size = number(n.size), rank = number(n.rank);
    if (!size || !rank || *size <= 1) continue;
    if (*rank >= *size)
      throw Error(Error::Kind::argument, str_cat(n.rank, "=", *rank, " beside ", n.size, "=", *size));
    int local = n.local_size ? number(n.local_size).value_or(0) : tasks_on_this_node();
    if (local < 1 || local > *size) local = 1;
    return {n.by, *rank, *size, local};
  }
  return {};
}

std::unique_ptr<Peers> join(const Launch& l) {
  if (l.size <= 1) return {};
  if (l.by != "mpirun" && l.by != "srun")
    throw Error(Error::Kind::unsupported,
                str_cat(l.by, " started ", l.size, " processes, which do not find each other: they talk over OpenMPI"),
                str_cat("mpirun -n ", l.size, " fovea ...; on several machines mpirun --host A,B ..., or srun. "
                        "FOVEA_ALONE=1: they have nothing to do with each other"));
  std::unique_ptr<Peers> all = join_mpi();
  if (all->size() == l.size) return all;
  throw Error(Error::Kind::unsupported,
              str_cat(l.by, " started ", l.size, " processes, of which OpenMPI brought ", all->size(), " together"),
              str_cat(l.by == "srun" ? "srun --mpi=pmix, or mpirun within an allocation" : "mpirun of the same OpenMPI",
                      ". FOVEA_ALONE=1: they have nothing to do with each other"));
}

}  // namespace fovea::processes
