// SPDX-License-Identifier: Apache-2.0
#include "engine/core/error.h"

namespace fovea {

Error::Error(Kind kind, std::string what, std::string help) : kind_(kind), summary_(std::move(what)), text_(summary_) {
  if (help.empty()) return;
  text_ += "\n  ";
  for (const char c : help) c == '\n' ? text_ += "\n  " : text_ += c;
}

}  // namespace fovea
