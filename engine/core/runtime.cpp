// SPDX-License-Identifier: Apache-2.0
#include "engine/core/runtime.h"

#include <algorithm>
#include <cstring>

#include "engine/core/backend.h"

namespace fovea {
namespace {

thread_local std::vector<Stream> in_use;  // innermost last

void wait_for(const Stream& waits, const Stream& other) {
  const Runtime& theirs = runtime_of(other.device);
  const Event reached = theirs.record(other);
  if (waits.device.kind == other.device.kind) theirs.wait(waits, reached);
  else theirs.wait(reached);  // kinds of devices know nothing of each other's events
}

}  // namespace

void HostRuntime::upload(std::byte* to, const std::byte* from, size_t bytes, const Stream&) const {
  if (bytes) std::memcpy(to, from, bytes);
}
void HostRuntime::download(std::byte* to, const std::byte* from, size_t bytes, const Stream&) const {
  if (bytes) std::memcpy(to, from, bytes);
}
void HostRuntime::copy(std::byte* to, const std::byte* from, size_t bytes, const Stream&) const {
  if (bytes) std::memcpy(to, from, bytes);
}
void HostRuntime::fill(std::byte* to, const void* element, size_t size, int64_t count, const Stream&) const {
  const auto repeat = [&]<class T>(T value) {
    std::memcpy(&value, element, sizeof value);
    std::fill_n(reinterpret_cast<T*>(to), count, value);
  };
  switch (size) {
    case 1: return repeat(uint8_t{});
    case 2: return repeat(uint16_t{});
    case 4: return repeat(uint32_t{});
    default: return repeat(uint64_t{});
  }
}

const Runtime& runtime_of(Device d) {
  for (const Backend* b : backends())
    if (b->device == d.kind && b->runtime) {
      if (d.index >= 0 && d.index < b->runtime->devices()) return *b->runtime;
      throw Error(Error::Kind::unsupported, str_cat("there is no ", d, ": this machine has ", b->runtime->devices()),
                  "devices are counted from 0");
    }
  throw Error(Error::Kind::unsupported, str_cat("no backend for ", d, " was built in"));
}

Stream current_stream(Device d) {
  if (is_host(d)) return {};
  for (size_t i = in_use.size(); i-- > 0;)
    if (in_use[i].device == d) return in_use[i];
  return runtime_of(d).stream(d, 0);
}

UseStream::UseStream(const Stream& s) { in_use.push_back(s); }
UseStream::~UseStream() { in_use.pop_back(); }

void synchronize(Device d) {
  if (is_host(d)) return;
  const Runtime& r = runtime_of(d);
  r.wait(r.record(current_stream(d)));
}

void copy_bytes(const Storage& from, int64_t from_at, const Storage& to, int64_t to_at, int64_t bytes) {
  const Stream stream = current_stream(to.device);
  Fence fence(stream);
  fence.use(from);
  fence.use(to);
  runtime_of(to.device).copy(to.data + to_at, from.data + from_at, static_cast<size_t>(bytes), stream);
}

void Fence::use(const Storage& s) {
  if (s.stream == stream_.handle && s.device == stream_.device) return;
  if (!is_host(s.device)) acquire({s.device, s.stream});
}

void Fence::acquire(const Stream& other) {
  if (std::find(others_.begin(), others_.end(), other) != others_.end()) return;
  wait_for(stream_, other);
  others_.push_back(other);
}

void Fence::release() {
  for (const Stream& other : others_) wait_for(other, stream_);
}

}  // namespace fovea
