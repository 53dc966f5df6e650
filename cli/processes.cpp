// SPDX-License-Identifier: Apache-2.0
#include "cli/processes.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "engine/core/error.h"
#include "engine/core/processors.h"
#include "engine/core/threads.h"

namespace fovea::cli {
namespace {

bool quiet = false;

}  // namespace

Processes::Processes(int threads) {
  const processes::Launch l = processes::launched();
  peers_ = processes::join(l);
  quiet = !writes();
  if (threads > 0) set_threads(threads);
  else if (peers_ && !std::getenv("FOVEA_THREADS")) share_machine(l);
}
Processes::~Processes() { quiet = false; }

// Launchers give each process processors of its own, or all of them the same ones, which they then divide.
void Processes::share_machine(const processes::Launch& l) {
  const int machine = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)), usable = usable_processors();
  const int bound = processors_of_mask([](size_t bytes, cpu_set_t* m) { return ::sched_getaffinity(0, bytes, m); });
  const bool own = bound > 0 && bound <= usable && bound * l.local_size <= machine;
  set_threads(own ? bound : std::max(1, usable / l.local_size));
  const int fair = machine / l.local_size;
  if (own && bound < fair)
    say(str_cat("note: ", l.by, " binds each process to ", bound, " of ", machine,
                " processors; mpirun --bind-to none would let each have ", fair));
}

void say(const std::string& line) {
  if (!quiet) std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace fovea::cli
