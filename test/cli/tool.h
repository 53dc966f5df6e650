// SPDX-License-Identifier: Apache-2.0
// test/cli/tool.h — runs the built `fovea` tool as a user would and catches what it says.
#pragma once
#include <string>
#include <vector>

namespace fovea::test {

struct Outcome {
  int code = -1;  // exit code; 128 + the signal when one ended it
  std::string out, err;
};

/// `fovea args...` in `folder`, with `settings` ("NAME=value") added to the environment.
Outcome run_tool(const std::string& folder, const std::vector<std::string>& args,
                 const std::vector<std::string>& settings = {});

/// A tool that goes on running and answers lines.
class RunningTool {
 public:
  explicit RunningTool(const std::vector<std::string>& args, const std::vector<std::string>& settings = {});
  ~RunningTool();  // ends it
  RunningTool(const RunningTool&) = delete;
  RunningTool& operator=(const RunningTool&) = delete;

  void say(const std::string& line);
  std::string hear();      // one line, without its end; "" when there are no more
  size_t threads() const;  // how many it has now
  int finish();            // closes its input; its exit code

 private:
  int process_ = -1, in_ = -1, out_ = -1;
};

}  // namespace fovea::test
