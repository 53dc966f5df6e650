// SPDX-License-Identifier: Apache-2.0
#include "test/cli/tool.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <utility>

#include "engine/core/error.h"
#include "test/cli/launched.h"
#include "test/weights_tools/files.h"

namespace fovea::test {
namespace {

// Forks; the child gets these three as its standard streams and becomes the tool, or what starts it.
int start(const Around& around, const std::vector<std::string>& args, int in, int out, int err,
          const std::vector<std::string>& launcher = {}) {
  std::string tool = path_of_tool();
  std::vector<char*> argv;
  for (const std::string& a : launcher) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(tool.data());
  for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const int process = ::fork();
  if (process < 0) throw Error(Error::Kind::io, "cannot fork");
  if (process > 0) return process;
  // nohup and a shell's background leave signals ignored, and tests that send them would wait for ever
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXCPU, SIGXFSZ}) ::signal(signal, SIG_DFL);
  for (const std::string& s : around.settings) ::putenv(const_cast<char*>(s.c_str()));
  if (!around.folder.empty() && ::chdir(around.folder.c_str()) != 0) ::_exit(126);
  if (around.most_file_bytes > 0) {
    const rlimit limit{around.most_file_bytes, around.most_file_bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  if (around.closed) ::close(0), ::close(1);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

int wait_for(int process, rusage* used = nullptr) {
  int status = 0;
  ::wait4(process, &status, 0, used);
  return exit_code(status);
}

int open_or_throw(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (file < 0) throw Error(Error::Kind::io, str_cat("cannot open ", path));
  return file;
}

// What is shown on a terminal until nobody has it open any more.
struct Terminal {
  int inside = -1, outside = -1;
  Terminal() {
    outside = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (outside < 0 || ::grantpt(outside) != 0 || ::unlockpt(outside) != 0)
      throw Error(Error::Kind::io, "there are no pseudo-terminals here");
    inside = open_or_throw(::ptsname(outside), O_RDWR | O_NOCTTY);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    ::close(inside);
    ::close(outside);
  }
  std::string read_all() {
    std::string all;
    char piece[4096];
    for (ssize_t n; (n = ::read(outside, piece, sizeof piece)) > 0;) all.append(piece, static_cast<size_t>(n));
    return all;
  }
};

}  // namespace

std::string path_of_tool() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "cli/fovea";
}

Outcome run_tool_in(const Around& around, const std::vector<std::string>& args) {
  return run_launched({}, around, args);
}

Outcome run_launched(const std::vector<std::string>& launcher, const Around& around,
                     const std::vector<std::string>& args) {
  const Scratch caught;
  Around all = around;
  // later settings of them win
  const std::vector<std::string> own{"HF_HUB_OFFLINE=1", str_cat("FOVEA_CACHE=", caught / "plans"),
                                     str_cat("HF_HUB_CACHE=", caught / "hub"),
                                     str_cat("TORCH_HOME=", caught / "torch")};
  all.settings.insert(all.settings.begin(), own.begin(), own.end());
  const int in = open_or_throw(around.in, O_RDONLY);
  const int out = open_or_throw(around.out.empty() ? caught / "out" : around.out, O_WRONLY | O_CREAT);
  Outcome outcome;
  rusage used{};
  if (around.terminal) {
    Terminal terminal;
    const int process = start(all, args, in, out, terminal.inside, launcher);
    ::close(std::exchange(terminal.inside, -1));
    outcome.err = terminal.read_all();
    outcome.code = wait_for(process, &used);
  } else {
    const int err = open_or_throw(caught / "err", O_WRONLY | O_CREAT);
    outcome.code = wait_for(start(all, args, in, out, err, launcher), &used);
    ::close(err);
    outcome.err = read_file(caught / "err");
  }
  ::close(in);
  ::close(out);
  outcome.peak_kb = used.ru_maxrss;
  if (around.out.empty()) outcome.out = read_file(caught / "out");
  return outcome;
}

Outcome run_tool(const std::string& folder, const std::vector<std::string>& args,
                 const std::vector<std::string>& settings) {
  return run_tool_in(Around{.folder = folder, .settings = settings}, args);
}

RunningTool::RunningTool(const std::vector<std::string>& args, const std::vector<std::string>& settings,
                         const std::string& folder) {
  int to[2], from[2];
  if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) throw Error(Error::Kind::io, "no pipe");
  process_ = start({.folder = folder, .settings = settings}, args, to[0], from[1], 2);
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
  stop_hearing();
}

void RunningTool::say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw Error(Error::Kind::io, "the tool does not listen");
}

std::string RunningTool::hear(char end) {
  std::string line;
  for (char c; ::read(out_, &c, 1) == 1 && c != end;) line += c;
  return line;
}

void RunningTool::stop_hearing() {
  if (out_ >= 0) ::close(std::exchange(out_, -1));
}

size_t RunningTool::threads() const {
  const std::filesystem::directory_iterator tasks(str_cat("/proc/", process_, "/task"));
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

int RunningTool::stop(int signal) {
  ::kill(process_, signal);
  return finish();
}

int RunningTool::finish() {
  ::close(in_);
  in_ = -1;
  const int code = wait_for(process_);
  process_ = -1;
  return code;
}

}  // namespace fovea::test
