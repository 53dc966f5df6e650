// SPDX-License-Identifier: Apache-2.0
#include "test/support/thread_peers.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "engine/core/error.h"

namespace fovea::test {
namespace {

// What is exchanged by the n-th call of each, and who has brought it already.
struct Meeting {
  std::vector<std::string> brought;
  std::vector<double> sums;
  int came = 0;
};

struct Room {
  explicit Room(int n) : size(n) {}
  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<size_t, Meeting> meetings;
  bool failed = false;

  Meeting& come(size_t number, int rank, std::string what) {
    const std::lock_guard lock(mutex);
    Meeting& m = meetings[number];
    m.brought.resize(static_cast<size_t>(size));
    m.brought[static_cast<size_t>(rank)] = std::move(what);
    ++m.came;
    changed.notify_all();
    return m;
  }
  void wait(const Meeting& m) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return failed || m.came == size; });
    if (m.came < size) throw Error(Error::Kind::io, "another one is gone");
  }
};

template <class T>
void add_up(const Meeting& m, std::byte* to, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (const std::string& b : m.brought) {
      T v;
      std::memcpy(&v, b.data() + i * sizeof v, sizeof v);
      sum += static_cast<double>(v);
    }
    const T out = static_cast<T>(sum);
    std::memcpy(to + i * sizeof out, &out, sizeof out);
  }
}

class ThreadPeers final : public Peers {
 public:
  ThreadPeers(Room& room, int rank) : room_(room), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return room_.size; }

  void begin_sum(DType type, std::byte* numbers, int64_t n) override {
    const auto bytes = static_cast<size_t>(n) * size_of(type);
    Meeting& m = room_.come(calls_++, rank_, {reinterpret_cast<const char*>(numbers), bytes});
    // until it ends nobody may read them
    std::memset(numbers, 0xFF, bytes);
    under_way_[numbers] = {&m, type, static_cast<size_t>(n)};
    ++exchanged.sums;
    exchanged.at_once = std::max(exchanged.at_once, under_way_.size());
  }
  void end_sum(const std::byte* numbers) override {
    const auto found = under_way_.find(numbers);
    if (found == under_way_.end()) throw Error(Error::Kind::internal, "nobody began this sum");
    const auto [meeting, type, n] = found->second;
    under_way_.erase(found);
    room_.wait(*meeting);
    auto* const to = const_cast<std::byte*>(numbers);
    if (type == DType::f64) add_up<double>(*meeting, to, n);
    else add_up<float>(*meeting, to, n);
  }
  void broadcast(std::span<std::byte> bytes) override {
    const Meeting& m = room_.come(calls_++, rank_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    room_.wait(m);
    if (m.brought[0].size() != bytes.size()) throw Error(Error::Kind::internal, "a broadcast of another size");
    std::memcpy(bytes.data(), m.brought[0].data(), bytes.size());
  }
  std::vector<std::string> gather(std::string_view mine) override {
    const Meeting& m = room_.come(calls_++, rank_, std::string(mine));
    room_.wait(m);
    return writes() ? m.brought : std::vector<std::string>();
  }
  void barrier() override { room_.wait(room_.come(calls_++, rank_, {})); }

  Exchanged exchanged;

 private:
  struct Sum {
    Meeting* meeting;
    DType type;
    size_t n;
  };
  Room& room_;
  int rank_;
  size_t calls_ = 0;
  std::map<const std::byte*, Sum> under_way_;
};

}  // namespace

Exchanged run_together(int size, const std::function<void(Peers&)>& f) {
  Room room(size);
  std::vector<std::exception_ptr> failed(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  Exchanged out;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      ThreadPeers peers(room, rank);
      try {
        f(peers);
      } catch (...) {
        failed[static_cast<size_t>(rank)] = std::current_exception();
        const std::lock_guard lock(room.mutex);
        room.failed = true;
        room.changed.notify_all();
      }
      if (rank == 0) out = peers.exchanged;
    });
  for (std::thread& t : threads) t.join();
  for (const std::exception_ptr& e : failed)
    if (e) std::rethrow_exception(e);
  return out;
}

}  // namespace fovea::test
