// SPDX-License-Identifier: Apache-2.0
#include "engine/core/trim.h"

#include <array>
#include <atomic>

#include "engine/core/backend.h"
#include "engine/core/error.h"

namespace fovea {
namespace {

constexpr size_t kMost = 16;
std::array<std::atomic<size_t (*)()>, kMost> trimmers;

}  // namespace

void add_trimmer(size_t (*empty)()) {
  for (std::atomic<size_t (*)()>& place : trimmers)
    if (size_t (*none)() = nullptr; place.compare_exchange_strong(none, empty)) return;
  throw Error(Error::Kind::internal, cat("more than ", kMost, " trimmers"));
}

size_t trim() {
  clear_plan_cache();
  size_t bytes = 0;
  for (const std::atomic<size_t (*)()>& place : trimmers)
    if (size_t (*empty)() = place.load()) bytes += empty();
  return bytes;
}

}  // namespace fovea
