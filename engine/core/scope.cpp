// SPDX-License-Identifier: Apache-2.0
#include "engine/core/scope.h"

namespace fovea {
namespace {
thread_local const Scope* innermost = nullptr;
}

Scope::Scope(std::string_view name) : name_(name), outer_(innermost) { innermost = this; }
Scope::~Scope() { innermost = outer_; }

std::string current_scope() {
  std::string path;
  for (const Scope* s = innermost; s; s = s->outer_) {
    if (s->name_.empty()) continue;
    path = path.empty() ? std::string(s->name_) : std::string(s->name_) + '.' + path;
  }
  return path;
}

}  // namespace fovea
