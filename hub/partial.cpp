// SPDX-License-Identifier: Apache-2.0
#include "hub/partial.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <random>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "hub/names.h"
#include "weights_tools/names_in.h"

namespace fovea::hub {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view kEnd = ".incomplete";
constexpr size_t kDigits = 8;
// A download that has not grown for so long is over, whether or not a lock on it can be seen.
constexpr time_t kStale = 600;

}  // namespace

std::string partial_name(const std::string& target) {
  static std::random_device random;
  char digits[kDigits + 1];
  std::snprintf(digits, sizeof digits, "%08x", random());
  return str_cat(target, ".", digits, kEnd);
}

bool is_partial_name(std::string_view name) {
  if (!name.ends_with(kEnd)) return false;
  name.remove_suffix(kEnd.size());
  return name.size() > kDigits + 1 && name[name.size() - kDigits - 1] == '.' &&
         is_hex(name.substr(name.size() - kDigits));
}

Partial::Partial(std::string target, std::string_view expected, uint64_t size)
    : target_(std::move(target)),
      expected_(expected),
      whole_(size) {
  constexpr int kMostAttempts = 100;
  for (int attempt = 0; fd_ < 0; ++attempt) {
    path_ = partial_name(target_);
    if (expected_.empty()) unfinished_.emplace(path_);  // it cannot be continued
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && (errno != EEXIST || attempt == kMostAttempts)) fail("write");
  }
  ::flock(fd_, LOCK_EX | LOCK_NB);  // says that it is in use; where it says nothing, its age does
  restart();
}

Partial::~Partial() {
  if (fd_ < 0) return;
  if (!kept_) ::unlink(path_.c_str());
  ::close(fd_);
}

void Partial::fail(const char* doing) const {
  const int why = errno;
  throw Error(Error::Kind::io, str_cat("cannot ", doing, " ", path_, ": ", std::strerror(why)),
              why == ENOSPC ? "fovea cache gc removes what is left over" : "");
}

void Partial::restart() {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0) fail("write");
  size_ = 0;
  hash_.reset();
  if (!expected_.empty()) hash_.emplace(expected_, whole_);
}

void Partial::write(Bytes b) {
  if (hash_) hash_->update(b);
  while (!b.empty()) {
    const ssize_t n = ::write(fd_, b.data(), b.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write");
    size_ += static_cast<uint64_t>(n);
    b = b.subspan(static_cast<size_t>(n));
  }
}

void Partial::adopt() {
  if (expected_.empty()) return;  // nothing would show that the beginning is another content's
  const fs::path target(target_);
  const std::string start = target.filename().string() + ".";
  std::string best;
  uint64_t most = 0;
  std::error_code ignored;
  for (const std::string& name : names_in(target.parent_path().string())) {
    const fs::path path = target.parent_path() / name;
    if (!is_partial_name(name) || !name.starts_with(start) || path == path_) continue;
    const uint64_t size = fs::file_size(path, ignored);
    if (ignored || size <= most || size > whole_) continue;
    most = size;
    best = path.string();
  }
  if (!best.empty()) copy_from(best);
}

void Partial::copy_from(const std::string& path) {
  const int from = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (from < 0) return;
  struct stat info {};
  const bool free = ::flock(from, LOCK_EX | LOCK_NB) == 0 && ::fstat(from, &info) == 0 && S_ISREG(info.st_mode);
  if (free) {
    std::string piece(size_t{1} << 20, '\0');
    uint64_t left = whole_;
    for (ssize_t n; left > 0 && (n = ::read(from, piece.data(), std::min<uint64_t>(piece.size(), left))) > 0;
         left -= static_cast<uint64_t>(n))
      write(bytes_of(std::string_view(piece).substr(0, static_cast<size_t>(n))));
    if (std::time(nullptr) - info.st_mtime > kStale) ::unlink(path.c_str());
  }
  ::close(from);
}

bool Partial::finish(const std::string& place) {
  if (hash_ && !hash_->finish().starts_with(expected_)) {
    restart();
    return false;
  }
  if (::fsync(fd_) != 0) fail("synchronise");
  if (::rename(path_.c_str(), place.c_str()) != 0) fail("rename a finished download:");
  unfinished_.reset();
  ::close(std::exchange(fd_, -1));
  return true;
}

}  // namespace fovea::hub
