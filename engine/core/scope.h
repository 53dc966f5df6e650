// SPDX-License-Identifier: Apache-2.0
// engine/core/scope.h — where in a model we are: a per-thread chain of names that errors and graphs quote
// ("layer2.0.conv1").
#pragma once
#include <string>
#include <string_view>

namespace fovea {

/// Pushes a name while alive. The name must outlive the scope. An empty name adds nothing to the path.
class Scope {
 public:
  explicit Scope(std::string_view name);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  friend std::string current_scope();
  std::string_view name_;
  const Scope* outer_;
};
std::string current_scope();                       // "" outside any module

}  // namespace fovea
