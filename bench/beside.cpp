// SPDX-License-Identifier: Apache-2.0
#include "bench/beside.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "bench/samples.h"
#include "engine/core/error.h"
#include "engine/core/threads.h"

namespace fovea::bench {
namespace {

constexpr int kTurns = 5;

// Ends with the process that started it, however that ends.
[[noreturn]] void keep_busy(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (volatile unsigned n = 0; getppid() == parent;)
    for (int i = 0; i < 100'000'000; ++i) n = n + 1;
  _exit(0);
}

// The model for so many threads, and its times.
struct Racer {
  Racer(const WorkOptions& o, int n) : threads(n), work(compiled(o, n)) {}

  static Work compiled(const WorkOptions& o, int n) {
    const UseThreads use(n);
    return Work(o);
  }
  void run(int runs, std::vector<double>& into) {
    time_ms(work, 2);
    const std::vector<double> ms = time_ms(work, runs);
    into.insert(into.end(), ms.begin(), ms.end());
  }

  int threads;
  Work work;
  std::vector<double> idle, beside;
};

}  // namespace

BusyProcesses::BusyProcesses(int n) {
  const pid_t parent = getpid();
  for (int i = 0; i < n; ++i) {
    const pid_t id = fork();
    if (id == 0) keep_busy(parent);
    if (id < 0) {
      stop();
      throw Error(Error::Kind::io,
                  str_cat("no more than ", i, " busy processes could be started, ", n, " were asked for"));
    }
    ids_.push_back(id);
  }
}

void BusyProcesses::stop() {
  for (const int id : ids_) kill(id, SIGKILL);
  for (const int id : ids_) waitpid(id, nullptr, 0);
}

Beside run_beside(const WorkOptions& o, int busy, int runs) {
  std::vector<std::unique_ptr<Racer>> racers;
  racers.push_back(std::make_unique<Racer>(o, threads()));
  if (threads() > 1) racers.push_back(std::make_unique<Racer>(o, 1));
  const int each = (runs + kTurns - 1) / kTurns;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const auto& r : racers) r->run(each, r->idle);
    const BusyProcesses others(busy);
    for (const auto& r : racers) r->run(each, r->beside);
  }
  Beside b{racers[0]->work.model().full_name(), o.dtype, o.batch, busy, each * kTurns, {}};
  for (const auto& r : racers) b.rows.push_back({r->threads, median(r->idle), median(r->beside)});
  return b;
}

std::string beside_table(const Beside& b) {
  std::string text = str_cat(b.model, "  batch ", b.batch, "  ", b.dtype, ": median of ", b.runs,
                             " runs, idle and beside ", b.busy, " busy process", b.busy == 1 ? "" : "es");
  for (const BesideRow& r : b.rows) {
    char line[128];
    std::snprintf(line, sizeof line, "\n  %3d thread%s  %9.3f ms idle  %9.3f ms beside  %6.2f times as long", r.threads,
                  r.threads == 1 ? " " : "s", r.idle_ms, r.beside_ms, r.ratio());
    text += line;
  }
  return text;
}

}  // namespace fovea::bench
