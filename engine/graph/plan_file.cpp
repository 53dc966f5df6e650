// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/plan_file.h"

#include <cerrno>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/backend.h"
#include "engine/core/error.h"
#include "engine/graph/session_cache.h"

namespace fovea {
namespace {

auto order(const timespec& t) { return std::tuple(t.tv_sec, t.tv_nsec); }

}  // namespace

// The files that are mapped now.
struct PlanFile::Mapped {
  std::mutex mutex;
  std::map<Identity, std::weak_ptr<const PlanFile>> files;
};
PlanFile::Mapped& PlanFile::mapped() {
  static Mapped* const one = new Mapped;           // sessions may be freed while the process ends
  return *one;
}

bool trusted_file(int fd) {
  struct stat s {};
  return ::fstat(fd, &s) == 0 && (s.st_uid == ::geteuid() || s.st_uid == 0) && (s.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

std::shared_ptr<const PlanFile> PlanFile::open(const std::string& path, size_t least) {
  const std::shared_ptr<PlanFile> file(new PlanFile(path));
  const int fd = file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return nullptr;
  // The clock that files get their times from, before their time is read: later changes bear this time or a later one.
  timespec now{};
  struct stat s {};
  if (::clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0 || ::fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) ||
      s.st_size < static_cast<off_t>(least) || !trusted_file(fd))
    return nullptr;
  file->size_ = static_cast<size_t>(s.st_size);
  file->written_ = s.st_mtim;
  if (order(s.st_mtim) >= order(now)) return file->read() ? file : nullptr;
  Identity identity{s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, path};
  Mapped& m = mapped();
  const std::lock_guard lock(m.mutex);
  std::weak_ptr<const PlanFile>& known = m.files[identity];
  if (std::shared_ptr<const PlanFile> same = known.lock()) return same;
  file->identity_ = std::move(identity);
  if (!file->map()) return nullptr;
  known = file;
  return file;
}

PlanFile::~PlanFile() {
  if (fd_ >= 0) ::close(fd_);
  Mapped& m = mapped();
  const std::lock_guard lock(m.mutex);
  if (const auto at = m.files.find(identity_); at != m.files.end() && at->second.expired()) m.files.erase(at);
}

// Private to this process where somebody writes to the bytes.
bool PlanFile::map() {
  bytes_ = std::make_shared<Storage>();
  void* const at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd_, 0);
  if (at == MAP_FAILED) return false;
  ::madvise(at, size_, MADV_WILLNEED);             // all of it is about to be summed
  bytes_->data = static_cast<std::byte*>(at);
  bytes_->bytes = size_;
  bytes_->keep = std::shared_ptr<void>(at, [size = size_](void* p) { ::munmap(p, size); });
  return true;
}

bool PlanFile::read() {
  bytes_ = allocate(cpu(), size_);
  for (size_t at = 0; at < size_;) {
    const ssize_t n = ::pread(fd_, bytes_->data + at, size_ - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += static_cast<size_t>(n);
  }
  ::close(std::exchange(fd_, -1));
  return true;
}

void PlanFile::check() const {
  struct stat s {};
  if (fd_ < 0) return;
  if (::fstat(fd_, &s) == 0 && static_cast<size_t>(s.st_size) == size_ && order(s.st_mtim) == order(written_)) return;
  throw Error(Error::Kind::io, str_cat("the compiled model in ", path_, " was written over while it was in use"),
              "compile it again; a file of a plan cache is replaced as a whole, or deleted, never changed");
}

}  // namespace fovea
