// SPDX-License-Identifier: Apache-2.0
#include "data/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/core/error.h"

namespace fovea::data {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 30;         // no sample is larger
constexpr size_t kPiece = size_t{1} << 20;

[[noreturn]] void fail(const std::string& path, int why) {
  throw Error(why == ENOENT ? Error::Kind::not_found : Error::Kind::io,
              str_cat("cannot read ", path, ": ", std::strerror(why)));
}

}  // namespace

RegularFile::RegularFile(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) fail(path, errno);
  struct stat s {};
  const int failed = ::fstat(fd_, &s) == 0 ? 0 : errno;
  if (!failed && S_ISREG(s.st_mode)) {
    size_ = static_cast<uint64_t>(s.st_size);
    return;
  }
  ::close(fd_);
  if (failed) fail(path, failed);
  throw Error(Error::Kind::io, str_cat("cannot read ", path, ": it is no regular file"));
}

RegularFile::~RegularFile() { ::close(fd_); }

size_t RegularFile::read(uint64_t at, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd_, out.data() + done, std::min(kPiece, out.size() - done),
                                static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

std::vector<std::byte> RegularFile::part(uint64_t at, uint64_t size) const {
  if (size > kMostBytes)
    throw Error(Error::Kind::format, str_cat(path_, ": ", size, " bytes are no sample"),
                str_cat("the limit is ", kMostBytes));
  std::vector<std::byte> out(static_cast<size_t>(size));
  if (const size_t got = read(at, out); got < out.size())
    throw Error(Error::Kind::format, str_cat(path_, " ends ", out.size() - got, " bytes too early"),
                "it has changed since it was listed, or is damaged");
  return out;
}

}  // namespace fovea::data
