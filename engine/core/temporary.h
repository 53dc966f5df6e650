// SPDX-License-Identifier: Apache-2.0
// engine/core/temporary.h — which files are unfinished, so that a program that a signal ends can remove them.
#pragma once
#include <string>

namespace fovea {

/// While alive, the file of this name is one that remove_temporaries() removes.
class Temporary {
 public:
  explicit Temporary(const std::string& path);
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

 private:
  int place_;
};

/// Removes the unfinished files of this process. For handlers of signals that end it (the library installs none): does
/// nothing that a handler must not do, and nothing in a forked child, whose parent goes on writing.
void remove_temporaries() noexcept;

}  // namespace fovea
