// SPDX-License-Identifier: Apache-2.0
#include "engine/core/temporary.h"

#include <unistd.h>

#include <array>
#include <atomic>

namespace fovea {
namespace {

struct Name {
  std::string path;
  pid_t owner;
  Name* next = nullptr;                            // of those that a handler took
};

// Whoever takes a name out of its place has it: its Temporary, or a handler, which never frees it. There are more
// places than files are ever written at once; a name that finds none is only not removed by signals.
constinit std::array<std::atomic<Name*>, 64> places{};
constinit std::atomic<Name*> taken{};

}  // namespace

Temporary::Temporary(const std::string& path) : place_(-1) {
  Name* const name = new Name{path, ::getpid()};
  for (size_t i = 0; i < places.size(); ++i) {
    Name* nothing = nullptr;
    if (!places[i].compare_exchange_strong(nothing, name)) continue;
    place_ = static_cast<int>(i);
    return;
  }
  delete name;
}

Temporary::~Temporary() {
  if (place_ >= 0) delete places[static_cast<size_t>(place_)].exchange(nullptr);
}

void remove_temporaries() noexcept {
  for (std::atomic<Name*>& place : places) {
    Name* const name = place.exchange(nullptr);
    if (!name) continue;
    if (name->owner == ::getpid()) ::unlink(name->path.c_str());
    name->next = taken.load();
    while (!taken.compare_exchange_weak(name->next, name)) continue;
  }
}

}  // namespace fovea
