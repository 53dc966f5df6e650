// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "engine/core/error.h"

namespace fovea {
namespace {

// Where the file system makes none without a name, the name is taken away at once.
int open_nameless(const std::string& folder) {
  if (const int fd = ::open(folder.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600); fd >= 0) return fd;
  std::string name = folder + "/.fovea.XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd >= 0) ::unlink(name.c_str());
  return fd;
}

}  // namespace

Spool::Spool(const std::string& folder) : folder_(folder), fd_(open_nameless(folder)) {
  if (fd_ >= 0) return;
  std::error_code none;
  folder_ = std::filesystem::temp_directory_path(none).string();
  fd_ = none ? -1 : open_nameless(folder_);
  if (fd_ < 0) fail("make a temporary file in");
}

Spool::Spool(Spool&& from) noexcept
    : folder_(std::move(from.folder_)),
      fd_(std::exchange(from.fd_, -1)),
      size_(std::exchange(from.size_, 0)) {}

Spool::~Spool() {
  if (fd_ >= 0) ::close(fd_);
}

void Spool::fail(const char* doing) const {
  throw Error(Error::Kind::io, str_cat("cannot ", doing, " ", folder_, ": ", std::strerror(errno)));
}

void Spool::write(Bytes b) {
  while (!b.empty()) {
    const ssize_t n = ::write(fd_, b.data(), b.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write a temporary file in");
    size_ += static_cast<uint64_t>(n);
    b = b.subspan(static_cast<size_t>(n));
  }
}

Bytes Spool::read(uint64_t at) const {
  constexpr size_t kPiece = 1 << 20;
  piece_.resize(static_cast<size_t>(std::min<uint64_t>(kPiece, size_ - at)));
  for (size_t have = 0; have < piece_.size();) {
    const ssize_t n = ::pread(fd_, piece_.data() + have, piece_.size() - have, static_cast<off_t>(at + have));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;  // somebody else has cut it
    if (n <= 0) fail("read a temporary file in");
    have += static_cast<size_t>(n);
  }
  return bytes_of(piece_);
}

}  // namespace fovea
