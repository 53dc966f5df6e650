// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/atomic_file.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/error.h"

namespace fovea {
namespace {
[[noreturn]] void refuse(const std::string& path, std::string_view doing, int error) {
  const auto kind = error == ENOENT || error == ENOTDIR ? Error::Kind::not_found : Error::Kind::io;
  throw Error(kind, str_cat("cannot ", doing, " ", path, ": ", std::strerror(error)));
}

// The path behind links, whether there is something at it or not.
std::string followed(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr int kMostLinks = 40;
  fs::path at = path;
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code no_link;
    const fs::path to = fs::read_symlink(at, no_link);
    if (no_link) return at.string();
    at = at.parent_path() / to;  // an absolute `to` replaces the folder
  }
  refuse(path, "write", ELOOP);
}

bool is_standard_output(const struct stat& file) {
  struct stat out {};
  return ::fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == file.st_dev && out.st_ino == file.st_ino;
}

// Writing to a pipe that nobody reads is an error of write(), not the end of the process.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    const int error = errno;
    const timespec now{};
    if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_, before_;
  bool was_pending_;
};

bool cannot_be_synchronised(int error) { return error == EINVAL || error == ENOTSUP || error == EROFS; }
}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  if (path_.find('\0') != std::string::npos) throw Error(Error::Kind::argument, "a path with a zero byte in it");
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (!exists && errno != ENOENT) fail("write");
  if (exists && S_ISDIR(old.st_mode)) refuse(path_, "write", EISDIR);
  if (exists && is_standard_output(old)) {
    straight_ = true;
    fd_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  } else if (exists && !S_ISREG(old.st_mode)) {
    straight_ = true;
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    if (exists && ::faccessat(AT_FDCWD, path_.c_str(), W_OK, AT_EACCESS) != 0) fail("write");
    target_ = followed(path_);
    open_sibling(exists, exists ? old.st_mode & 0777u : 0666u);
    if (exists) {
      if (old.st_uid != ::geteuid() || old.st_gid != ::getegid()) [[maybe_unused]]
        const int kept = ::fchown(fd_, old.st_uid, old.st_gid);
      ::fchmod(fd_, old.st_mode & 07777u);
    }
  }
  if (fd_ < 0) fail("write");
}

std::string AtomicFile::folder() const {
  const size_t slash = target_.rfind('/');
  return slash == std::string::npos ? "./" : target_.substr(0, slash + 1);
}

// Short whatever the target is called: that may be as long as the system allows.
std::string AtomicFile::sibling() const {
  static std::atomic<unsigned> counter{0};
  return str_cat(folder(), ".fovea.", static_cast<int64_t>(::getpid()), ".", counter.fetch_add(1), ".tmp");
}

void AtomicFile::open_sibling(bool exists, unsigned mode) {
  // Without a name nothing stays behind, however the process ends.
  if (::access("/proc/self/fd", X_OK) == 0) fd_ = ::open(folder().c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
  constexpr int kMostAttempts = 100;
  for (int attempt = 0; fd_ < 0; ++attempt) {
    temporary_ = sibling();
    unfinished_.emplace(temporary_);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd_ < 0 && (errno != EEXIST || attempt == kMostAttempts)) {
      temporary_.clear();
      fail(exists ? "write beside" : "write");
    }
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* doing) const { refuse(path_, doing, errno); }

void AtomicFile::write(Bytes b) {
  const WithoutSigpipe quiet;
  while (!b.empty()) {
    const ssize_t n = ::write(fd_, b.data(), b.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write");
    written_ += static_cast<uint64_t>(n);
    b = b.subspan(static_cast<size_t>(n));
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0 && !(straight_ && cannot_be_synchronised(errno))) fail("synchronise");
  if (!straight_) {
    const std::string nameless = str_cat("/proc/self/fd/", fd_);
    while (temporary_.empty()) {
      const std::string name = sibling();
      unfinished_.emplace(name);
      if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) temporary_ = name;
      else if (errno != EEXIST) fail("name");
    }
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("rename a finished file to");
  }
  const int finished = fd_;
  fd_ = -1;  // from here on the file is in place and must not be removed
  unfinished_.reset();
  if (::close(finished) != 0) fail("write");
  if (straight_) return;
  const int directory = ::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) fail("synchronise the folder of");
  const bool synchronised = ::fsync(directory) == 0 || cannot_be_synchronised(errno);
  const int error = errno;
  ::close(directory);
  if (!synchronised) refuse(path_, "synchronise the folder of", error);
}

}  // namespace fovea
