// SPDX-License-Identifier: Apache-2.0
// engine/core/runtime.h — what a kind of device supplies besides kernels: streams, memory, copies, events.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/core/types.h"

namespace fovea {

struct Storage;

/// A queue of work on a device, which is done in order. Nothing is queued on the host: calls return when their work is
/// done.
struct Stream {
  Device device{};
  void* handle = nullptr;                          // the runtime's own; null on the host
  friend bool operator==(const Stream&, const Stream&) = default;
};

/// A place in a stream, reached when all that was queued before it is done. Null: reached already.
using Event = std::shared_ptr<void>;

/// Memory and order of one kind of device, for all devices of that kind. Its functions may be called from any thread.
/// What takes a stream is queued there and returns at once; an error of queued work is thrown by the next wait() of the
/// host.
class Runtime {
 public:
  virtual int devices() const = 0;                 // how many there are
  /// Number 0 is the one that is current unless UseStream says otherwise. A stream lives as long as the process.
  virtual Stream stream(Device d, int number) const = 0;
  /// 64-byte aligned. Memory is taken and, with the last owner of the Storage, given back in the order of the stream:
  /// what was queued there before may go on using it.
  virtual std::shared_ptr<Storage> allocate(size_t bytes, const Stream& s) const = 0;
  /// From the host, which may write to `from` again when it returns; and to the host.
  virtual void upload(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const = 0;
  virtual void download(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const = 0;
  /// Between devices of this kind, or within one.
  virtual void copy(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const = 0;
  /// `count` elements of `size` bytes (1, 2, 4 or 8), all equal to the one at `element`, which is read at once.
  virtual void fill(std::byte* to, const void* element, size_t size, int64_t count, const Stream& s) const = 0;
  virtual Event record(const Stream& s) const = 0;
  virtual void wait(const Stream& s, const Event& e) const = 0;        // what is queued from now on starts after e
  virtual void wait(const Event& e) const = 0;                         // the calling thread goes on after e

 protected:
  ~Runtime() = default;
};

/// The host's: all but the allocator, which is a backend's.
class HostRuntime : public Runtime {
 public:
  int devices() const final { return 1; }
  Stream stream(Device, int) const final { return {}; }
  void upload(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const final;
  void download(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const final;
  void copy(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const final;
  void fill(std::byte* to, const void* element, size_t size, int64_t count, const Stream& s) const final;
  Event record(const Stream&) const final { return {}; }
  void wait(const Stream&, const Event&) const final {}
  void wait(const Event&) const final {}

 protected:
  ~HostRuntime() = default;
};

/// Throws Error(unsupported) where no backend for this kind of device was built in, or there is no device of this
/// index.
const Runtime& runtime_of(Device d);
inline bool is_host(Device d) { return d.kind == Device::Kind::cpu; }

/// Where this thread queues work for a device.
Stream current_stream(Device d);
class UseStream {                                  // for the lifetime of this object, on this thread
 public:
  explicit UseStream(const Stream& s);
  ~UseStream();
  UseStream(const UseStream&) = delete;
  UseStream& operator=(const UseStream&) = delete;
};
/// Waits until all that was queued on a device's current stream is done.
void synchronize(Device d);
/// Copies bytes within a device's memory, or the host's, on the device's current stream.
void copy_bytes(const Storage& from, int64_t from_at, const Storage& to, int64_t to_at, int64_t bytes);

/// Orders work on one stream that uses memory of others. A Storage belongs to the stream that it was allocated on. Work
/// between use() and the fence's end starts after what was queued there so far; what is queued there from then on,
/// giving back the memory included, starts after that work.
class Fence {
 public:
  explicit Fence(const Stream& s) : stream_(s) {}
  ~Fence() {
    if (!others_.empty()) release();
  }
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;
  void use(const Storage& s);

 private:
  void acquire(const Stream& other);
  void release();
  const Stream stream_;
  std::vector<Stream> others_;
};

}  // namespace fovea
