// SPDX-License-Identifier: Apache-2.0
// test/cli/launched.h — the tool as another program starts it, once or several times.
#pragma once
#include "test/cli/tool.h"

namespace fovea::test {

/// As run_tool_in(), by `launcher`: a program, found as shells do, and its arguments; the tool and its own follow.
Outcome run_launched(const std::vector<std::string>& launcher, const Around& around,
                     const std::vector<std::string>& args);

}  // namespace fovea::test
