// SPDX-License-Identifier: Apache-2.0
#include "engine/core/peers.h"

#include <utility>

namespace fovea {
namespace {

thread_local Peers* current = nullptr;
thread_local bool with_norms = false;

}  // namespace

void Peers::sum(std::span<double> numbers) {
  if (numbers.empty()) return;
  std::byte* const bytes = std::as_writable_bytes(numbers).data();
  begin_sum(DType::f64, bytes, static_cast<int64_t>(numbers.size()));
  end_sum(bytes);
}

bool Peers::any(bool mine) {
  double count[] = {mine ? 1.0 : 0.0};
  sum(count);
  return count[0] > 0;
}

std::string Peers::agreed(std::string text) {
  uint64_t size[] = {text.size()};
  broadcast(std::as_writable_bytes(std::span(size)));
  text.resize(size[0]);
  broadcast(std::as_writable_bytes(std::span(text)));
  return text;
}

Peers* peers() { return current; }
Peers* norm_peers() { return with_norms ? current : nullptr; }
UsePeers::UsePeers(Peers* p, bool of_norms)
    : before_(std::exchange(current, p)), norms_before_(std::exchange(with_norms, of_norms)) {}
UsePeers::~UsePeers() {
  current = before_;
  with_norms = norms_before_;
}

}  // namespace fovea
