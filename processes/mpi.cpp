// SPDX-License-Identifier: Apache-2.0
#include "processes/mpi.h"

#include <dlfcn.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <limits>
#include <list>
#include <mutex>
#include <numeric>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/core/error.h"

namespace fovea::processes {
namespace {

// What is used of OpenMPI's binary interface, which libmpi.so.40 keeps in versions 4 and 5: handles are addresses of
// objects in the library, and these numbers. MPI_MAX_LIBRARY_VERSION_STRING and MPI_MAX_ERROR_STRING are 256.
using Handle = void*;
using Request = void*;
constexpr const char* kLibrary = "libmpi.so.40";
constexpr int kSuccess = 0, kFunneled = 1;
constexpr size_t kLongest = 256;
void* const kInPlace = reinterpret_cast<void*>(1);

struct Library {
  Library();
  int (*init_thread)(int*, char***, int, int*);
  int (*initialized)(int*);
  int (*finalize)();
  int (*version)(char*, int*);
  int (*error_string)(int, char*, int*);
  int (*comm_rank)(Handle, int*);
  int (*comm_size)(Handle, int*);
  int (*set_errhandler)(Handle, Handle);
  int (*iallreduce)(const void*, void*, int, Handle, Handle, Handle, Request*);
  int (*ibcast)(void*, int, Handle, int, Handle, Request*);
  int (*igather)(const void*, int, Handle, void*, int, Handle, int, Handle, Request*);
  int (*igatherv)(const void*, int, Handle, void*, const int*, const int*, Handle, int, Handle, Request*);
  int (*ibarrier)(Handle, Request*);
  int (*test)(Request*, int*, void*);
  Handle world, byte, f32, f64, sum, errors_return;

 private:
  void* handle_;
  void* symbol(const char* name) const {
    if (void* const found = ::dlsym(handle_, name)) return found;
    throw Error(Error::Kind::unsupported, str_cat(kLibrary, " has no ", name), "OpenMPI 4 or 5 has");
  }
  template <class F>
  void find(F& function, const char* name) const { function = reinterpret_cast<F>(symbol(name)); }
  void check_version() const;
};

Library::Library() {
  handle_ = ::dlopen(kLibrary, RTLD_NOW | RTLD_GLOBAL);       // its own components look for it globally
  if (!handle_) {
    const char* const why = ::dlerror();
    throw Error(Error::Kind::unsupported, str_cat("several processes need OpenMPI: ", why ? why : kLibrary),
                "Debian's package openmpi-bin has it");
  }
  find(version, "MPI_Get_library_version");
  check_version();
  find(init_thread, "MPI_Init_thread");
  find(initialized, "MPI_Initialized");
  find(finalize, "MPI_Finalize");
  find(error_string, "MPI_Error_string");
  find(comm_rank, "MPI_Comm_rank");
  find(comm_size, "MPI_Comm_size");
  find(set_errhandler, "MPI_Comm_set_errhandler");
  find(iallreduce, "MPI_Iallreduce");
  find(ibcast, "MPI_Ibcast");
  find(igather, "MPI_Igather");
  find(igatherv, "MPI_Igatherv");
  find(ibarrier, "MPI_Ibarrier");
  find(test, "MPI_Test");
  world = symbol("ompi_mpi_comm_world");
  byte = symbol("ompi_mpi_byte");
  f32 = symbol("ompi_mpi_float");
  f64 = symbol("ompi_mpi_double");
  sum = symbol("ompi_mpi_op_sum");
  errors_return = symbol("ompi_mpi_errors_return");
}

void Library::check_version() const {
  std::array<char, kLongest> text{};
  int length = 0;
  version(text.data(), &length);
  const std::string_view said = text.data();
  if (said.starts_with("Open MPI v4.") || said.starts_with("Open MPI v5.")) return;
  throw Error(Error::Kind::unsupported, str_cat(kLibrary, " is '", said.substr(0, said.find(',')), "'"),
              "processes talk over OpenMPI 4 or 5");
}

// One thread makes all calls of MPI: it posts what is to be exchanged, and goes on asking whether it is done, since MPI
// does nothing unless it is asked. It hardly disturbs who computes meanwhile: unless somebody waits, it sleeps.
class MpiPeers final : public Peers {
 public:
  MpiPeers() {
    thread_ = std::thread([this] { run(); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return joined_; });
    if (!failed_) return;
    lock.unlock();
    thread_.join();
    std::rethrow_exception(failed_);
  }
  // Who leaves because of an error takes no leave of the others: ending so ends all.
  ~MpiPeers() override {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      orderly_ = std::uncaught_exceptions() == 0 && !lost_;
    }
    changed_.notify_all();
    thread_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void begin_sum(DType type, std::byte* numbers, int64_t n) override {
    if (n > std::numeric_limits<int>::max())
      throw Error(Error::Kind::unsupported, str_cat("a sum of ", n, " numbers over processes"), "smaller buckets");
    const Handle t = type == DType::f64 ? mpi_->f64 : mpi_->f32;
    begin(numbers, [this, t, numbers, n](Request* r) {
      return mpi_->iallreduce(kInPlace, numbers, static_cast<int>(n), t, mpi_->sum, mpi_->world, r);
    });
  }
  void end_sum(const std::byte* numbers) override { wait(numbers); }

  void broadcast(std::span<std::byte> bytes) override {
    constexpr size_t most = size_t{1} << 28;
    for (size_t at = 0; at < bytes.size(); at += most) {
      const std::span<std::byte> part = bytes.subspan(at, std::min(most, bytes.size() - at));
      now([&](Request* r) {
        return mpi_->ibcast(part.data(), static_cast<int>(part.size()), mpi_->byte, 0, mpi_->world, r);
      });
    }
  }

  std::vector<std::string> gather(std::string_view mine) override {
    const auto ranks = writes() ? static_cast<size_t>(size_) : 0;
    const auto length = static_cast<uint64_t>(mine.size());
    std::vector<uint64_t> lengths(ranks);
    now([&](Request* r) {
      constexpr int eight = sizeof length;
      return mpi_->igather(&length, eight, mpi_->byte, lengths.data(), eight, mpi_->byte, 0, mpi_->world, r);
    });
    double all[] = {static_cast<double>(length)};
    sum(all);                                      // all know whether it can be done
    if (all[0] > std::numeric_limits<int>::max())
      throw Error(Error::Kind::unsupported, str_cat(all[0], " bytes are to be gathered at once"), "smaller batches");
    std::vector<int> counts(lengths.begin(), lengths.end()), places(ranks);
    std::exclusive_scan(counts.begin(), counts.end(), places.begin(), 0);
    std::string together(static_cast<size_t>(std::accumulate(counts.begin(), counts.end(), int64_t{0})), '\0');
    now([&](Request* r) {
      return mpi_->igatherv(mine.data(), static_cast<int>(length), mpi_->byte, together.data(), counts.data(),
                            places.data(), mpi_->byte, 0, mpi_->world, r);
    });
    std::vector<std::string> out;
    for (size_t i = 0; i < ranks; ++i)
      out.push_back(together.substr(static_cast<size_t>(places[i]), static_cast<size_t>(counts[i])));
    return out;
  }

  void barrier() override {
    now([&](Request* r) { return mpi_->ibarrier(mpi_->world, r); });
  }

 private:
  using Post = std::function<int(Request*)>;
  struct Work {
    const void* about;
    Post post;
    Request request = nullptr;
    bool posted = false, done = false;
    int error = kSuccess;
  };

  void begin(const void* about, Post post) {
    {
      const std::lock_guard lock(mutex_);
      work_.push_back({about, std::move(post)});
    }
    changed_.notify_all();
  }
  void wait(const void* about) {
    std::unique_lock lock(mutex_);
    const auto mine = std::find_if(work_.begin(), work_.end(), [&](const Work& w) { return w.about == about; });
    if (mine == work_.end()) throw Error(Error::Kind::internal, "a sum over processes ends that nobody began");
    ++waiting_;
    changed_.wait(lock, [&] { return mine->done; });
    --waiting_;
    const int error = mine->error;
    work_.erase(mine);
    if (error == kSuccess) return;
    lost_ = true;
    std::array<char, kLongest> text{};
    int length = 0;
    mpi_->error_string(error, text.data(), &length);
    throw Error(Error::Kind::io, str_cat("the other processes cannot be reached: ", text.data()));
  }
  void now(const Post& post) {
    begin(&post, post);
    wait(&post);
  }

  void enter() {
    mpi_.emplace();
    int before = 0, level = 0;
    mpi_->initialized(&before);
    if (before) throw Error(Error::Kind::unsupported, "processes were brought together before");
    if (mpi_->init_thread(nullptr, nullptr, kFunneled, &level) != kSuccess)
      throw Error(Error::Kind::io, "OpenMPI could not bring the processes together");
    mpi_->comm_rank(mpi_->world, &rank_);
    mpi_->comm_size(mpi_->world, &size_);
    mpi_->set_errhandler(mpi_->world, mpi_->errors_return);
  }

  void run() {
    std::unique_lock lock(mutex_);
    try {
      enter();
    } catch (...) {
      failed_ = std::current_exception();
    }
    joined_ = true;
    changed_.notify_all();
    while (!failed_) {
      changed_.wait(lock, [&] { return stopped_ || std::any_of(work_.begin(), work_.end(), pending); });
      if (stopped_) break;
      if (progress(lock)) changed_.notify_all();
      else rest(lock);
    }
    lock.unlock();
    if (!failed_ && orderly_) mpi_->finalize();
  }
  static bool pending(const Work& w) { return !w.done; }

  // Posts what is new, in its order, and asks for the rest. Did anything end?
  bool progress(std::unique_lock<std::mutex>& lock) {
    std::vector<Work*> all;
    for (Work& w : work_)
      if (!w.done) all.push_back(&w);
    lock.unlock();
    std::vector<std::pair<Work*, int>> ended;
    for (Work* w : all) {
      int error = w->posted ? kSuccess : w->post(&w->request), done = 0;
      w->posted = true;
      if (error == kSuccess) error = mpi_->test(&w->request, &done, nullptr);
      if (done || error != kSuccess) ended.emplace_back(w, error);
    }
    lock.lock();
    for (const auto& [w, error] : ended) w->done = true, w->error = error;
    return !ended.empty();
  }

  void rest(std::unique_lock<std::mutex>& lock) {
    const bool hurry = waiting_ > 0;
    lock.unlock();
    if (hurry) ::sched_yield();
    else std::this_thread::sleep_for(std::chrono::microseconds(50));
    lock.lock();
  }

  std::optional<Library> mpi_;
  int rank_ = 0, size_ = 1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Work> work_;                           // in the order in which it was begun
  int waiting_ = 0;
  bool joined_ = false, stopped_ = false, orderly_ = true, lost_ = false;
  std::exception_ptr failed_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Peers> join_mpi() { return std::make_unique<MpiPeers>(); }

}  // namespace fovea::processes
