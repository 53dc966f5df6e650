// SPDX-License-Identifier: Apache-2.0
// bench/lines.h — format(): printf into a string, for tables.
#pragma once
#include <string>

namespace fovea::bench {

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);   // 511 bytes at most

}  // namespace fovea::bench
