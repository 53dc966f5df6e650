// SPDX-License-Identifier: Apache-2.0
#include "cli/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/temporary.h"

namespace fovea::cli {
namespace {

// The handler is gone once it runs (SA_RESETHAND), so that the same signal then ends the process as if there had been
// none.
void end(int signal) {
  remove_temporaries();
  ::raise(signal);
}

void open_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) < 0)  // the lowest free number is this one
      (void)::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

void prepare_process() {
  open_closed_streams();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXCPU}) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;  // nohup, a shell's background
    now.sa_handler = end;
    now.sa_flags = SA_RESETHAND | SA_NODEFER;
    ::sigaction(signal, &now, nullptr);
  }
  ::signal(SIGXFSZ, SIG_IGN);  // write() then fails with EFBIG
}

void flush_output() {
  static bool told = false;
  errno = 0;
  if ((std::fflush(stdout) == 0 && !std::ferror(stdout)) || std::exchange(told, true)) return;
  const int why = errno;
  throw Error(Error::Kind::io,
              str_cat("cannot write to standard output", why ? ": " : "", why ? std::strerror(why) : ""));
}

}  // namespace fovea::cli
