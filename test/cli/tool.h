// SPDX-License-Identifier: Apache-2.0
// test/cli/tool.h — runs the built `fovea` tool as a user would and catches what it says.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace fovea::test {

struct Outcome {
  int code = -1;  // exit code; 128 + the signal when one ended it
  std::string out, err;
  int64_t peak_kb = 0;  // of memory
};

/// What the tool finds around it.
struct Around {
  std::string folder;                 // where it stands; "": where the test does
  std::vector<std::string> settings;  // "NAME=value", added to the environment
  std::string in = "/dev/null", out;  // files for its standard streams; "" for `out`: Outcome::out
  bool closed = false;                // it has no standard streams but stderr
  bool terminal = false;              // stderr is a terminal
  uint64_t most_file_bytes = 0;       // a limit on the size of files; 0: none
};
/// The tool of the build that the test belongs to.
std::string path_of_tool();

Outcome run_tool_in(const Around& around, const std::vector<std::string>& args);

/// `fovea args...` in `folder`, with `settings` ("NAME=value") added to the environment.
Outcome run_tool(const std::string& folder, const std::vector<std::string>& args,
                 const std::vector<std::string>& settings = {});

/// A tool that goes on running and answers lines.
class RunningTool {
 public:
  explicit RunningTool(const std::vector<std::string>& args, const std::vector<std::string>& settings = {},
                       const std::string& folder = {});
  ~RunningTool();  // ends it
  RunningTool(const RunningTool&) = delete;
  RunningTool& operator=(const RunningTool&) = delete;

  void say(const std::string& line);
  /// One line, without its end, or another part; "" when there are no more.
  std::string hear(char end = '\n');
  void stop_hearing();     // whatever else it says is an error of its writing
  size_t threads() const;  // how many it has now
  int stop(int signal);    // sends it this; its exit code
  int finish();            // closes its input; its exit code

 private:
  int process_ = -1, in_ = -1, out_ = -1;
};

}  // namespace fovea::test
