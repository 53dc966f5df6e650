// SPDX-License-Identifier: Apache-2.0
#include "bench/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/core/error.h"

extern char** environ;

namespace fovea::bench {
namespace {

[[noreturn]] void failed(const char* what) {
  throw Error(Error::Kind::io, str_cat("bench: ", what, ": ", std::strerror(errno)));
}

}  // namespace

Process::Process(const std::string& program, std::vector<std::string> args) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) failed("no pipe");
  std::vector<char*> argv;
  for (std::string& a : args) argv.push_back(a.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  errno = ::posix_spawn(&id_, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  const int error = errno;
  ::close(out[1]);
  out_ = out[0];
  errno = error;
  if (error) {
    ::close(out_);
    failed("cannot start another process");
  }
}

Process::~Process() {
  rusage ignored{};
  wait(ignored);
}

std::string Process::line() {
  std::string line;
  for (char c = 0; ::read(out_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

std::string Process::rest() {
  std::string all;
  char piece[4096];
  for (ssize_t n; (n = ::read(out_, piece, sizeof piece)) > 0;) all.append(piece, static_cast<size_t>(n));
  return all;
}

int Process::wait(rusage& used) {
  int status = 0;
  if (out_ >= 0) ::close(out_);
  out_ = -1;
  if (id_ > 0) ::wait4(id_, &status, 0, &used);
  id_ = 0;
  return status;
}

}  // namespace fovea::bench
