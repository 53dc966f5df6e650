// SPDX-License-Identifier: Apache-2.0
#include "test/cli/tool.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "engine/core/error.h"
#include "test/weights_tools/files.h"

namespace fovea::test {
namespace {

// Forks; the child gets these three as its standard streams and becomes the tool.
int start(const std::string& folder, const std::vector<std::string>& args, const std::vector<std::string>& settings,
          int in, int out, int err) {
  static char tool[] = FOVEA_TOOL;
  std::vector<char*> argv{tool};
  for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const int process = ::fork();
  if (process < 0) throw Error(Error::Kind::io, "cannot fork");
  if (process > 0) return process;
  for (const std::string& s : settings) ::putenv(const_cast<char*>(s.c_str()));
  if (!folder.empty() && ::chdir(folder.c_str()) != 0) ::_exit(126);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

int wait_for(int process) {
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int open_or_throw(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (file < 0) throw Error(Error::Kind::io, cat("cannot open ", path));
  return file;
}

}  // namespace

Outcome run_tool(const std::string& folder, const std::vector<std::string>& args,
                 const std::vector<std::string>& settings) {
  const Scratch caught;
  const int in = open_or_throw("/dev/null", O_RDONLY), out = open_or_throw(caught / "out", O_WRONLY | O_CREAT),
            err = open_or_throw(caught / "err", O_WRONLY | O_CREAT);
  std::vector<std::string> all{cat("FOVEA_CACHE=", caught / "plans")};           // a later setting of it wins
  all.insert(all.end(), settings.begin(), settings.end());
  Outcome outcome;
  outcome.code = wait_for(start(folder, args, all, in, out, err));
  for (const int file : {in, out, err}) ::close(file);
  outcome.out = read_file(caught / "out");
  outcome.err = read_file(caught / "err");
  return outcome;
}

RunningTool::RunningTool(const std::vector<std::string>& args, const std::vector<std::string>& settings) {
  int to[2], from[2];
  if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) throw Error(Error::Kind::io, "no pipe");
  process_ = start({}, args, settings, to[0], from[1], 2);
  ::close(to[0]);
  ::close(from[1]);
  in_ = to[1];
  out_ = from[0];
}

RunningTool::~RunningTool() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    wait_for(process_);
  }
  if (in_ >= 0) ::close(in_);
  ::close(out_);
}

void RunningTool::say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw Error(Error::Kind::io, "the tool does not listen");
}

std::string RunningTool::hear() {
  std::string line;
  for (char c; ::read(out_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

size_t RunningTool::threads() const {
  const std::filesystem::directory_iterator tasks(cat("/proc/", process_, "/task"));
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

int RunningTool::finish() {
  ::close(in_);
  in_ = -1;
  const int code = wait_for(process_);
  process_ = -1;
  return code;
}

}  // namespace fovea::test
