// SPDX-License-Identifier: Apache-2.0
// bench/process.h — Process: a program that was started to be measured, whose output is read.
#pragma once
#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace fovea::bench {

class Process {
 public:
  /// `args` begin with the program's name. Throws Error(io) when it cannot be started.
  Process(const std::string& program, std::vector<std::string> args);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  std::string line();                              // the next one, without its end; "" at the end
  std::string rest();                              // all that is left of its output
  /// Waits for its end: the status of waitpid(), and what it used.
  int wait(rusage& used);

 private:
  pid_t id_ = 0;
  int out_ = -1;
};

}  // namespace fovea::bench
