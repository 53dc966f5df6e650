// SPDX-License-Identifier: Apache-2.0
#include "train/together.h"

#include <charconv>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

Tensor dense(const Tensor& t) { return contiguous(t.detach(), t.meta().memory()); }

// What a slot holds may be a file's or a session's memory: it gets another tensor.
void put(Tensor& slot, const Tensor& values) {
  const bool trained = slot.requires_grad();
  slot = values;
  if (trained) slot.set_requires_grad();
}

bool follows(std::string_view name) {
  return name.ends_with("running_mean") || name.ends_with("running_var") || name.ends_with("num_batches_tracked");
}

void share_together(Peers& all, std::span<const Slot> slots, size_t size) {
  std::vector<std::byte> bytes(size);
  std::byte* at = bytes.data();
  for (const Slot& s : slots) {
    const auto n = static_cast<size_t>(s.tensor->meta().bytes());
    if (all.writes()) std::memcpy(at, dense(*s.tensor).bytes(), n);
    at += n;
  }
  all.broadcast(bytes);
  if (all.writes()) return;
  at = bytes.data();
  for (const Slot& s : slots) {
    const Tensor fresh = empty(dense(*s.tensor).meta());
    const auto n = static_cast<size_t>(fresh.meta().bytes());
    std::memcpy(fresh.bytes(), at, n);
    put(*s.tensor, fresh);
    at += n;
  }
}

}  // namespace

void share(Peers& all, const std::vector<Slot>& slots) {
  constexpr size_t most = size_t{64} << 20;        // bytes at a time, if a slot alone has no more
  const NoGrad no_grad;
  for (size_t first = 0, behind = 0; first < slots.size(); first = behind) {
    size_t size = 0;
    for (; behind < slots.size() && (behind == first || size < most); ++behind)
      size += static_cast<size_t>(slots[behind].tensor->meta().bytes());
    share_together(all, std::span(slots).subspan(first, behind - first), size);
  }
}

std::vector<Slot> statistics(const std::vector<Slot>& slots) {
  std::vector<Slot> out;
  for (const Slot& s : slots)
    if (follows(s.name)) out.push_back(s);
  return out;
}

void average_statistics(Peers& all, const std::vector<Slot>& slots) {
  const NoGrad no_grad;
  std::vector<double> numbers;
  std::vector<std::pair<Tensor*, Tensor>> averaged;
  for (const Slot& s : slots) {
    if (!follows(s.name) || !is_floating(s.tensor->dtype())) continue;
    const Tensor wide = contiguous(cast(s.tensor->detach(), DType::f64));
    const std::span<const double> v = wide.data<double>();
    numbers.insert(numbers.end(), v.begin(), v.end());
    averaged.emplace_back(s.tensor, wide);
  }
  all.sum(numbers);
  size_t at = 0;
  for (auto& [slot, wide] : averaged) {
    Tensor mean = empty(wide.meta());
    for (double& v : mean.mutable_data<double>()) v = numbers[at++] / static_cast<double>(all.size());
    put(*slot, cast(mean, slot->dtype()));
  }
}

// Each is a number, the length of its text, a line's end, and the text.
std::map<size_t, std::string> gathered(Peers& all, const std::map<size_t, std::string>& bad) {
  std::string mine;
  for (const auto& [sample, why] : bad) mine += str_cat(sample, " ", why.size(), "\n", why);
  std::map<size_t, std::string> out = bad;
  for (const std::string& theirs : all.gather(mine)) {
    for (const char *at = theirs.data(), *end = at + theirs.size(); at < end;) {
      size_t sample = 0, length = 0;
      at = std::from_chars(at, end, sample).ptr + 1;
      at = std::from_chars(at, end, length).ptr + 1;
      out.emplace(sample, std::string(at, length));
      at += length;
    }
  }
  return out;
}

}  // namespace fovea::train
