// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/mapped_file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/backend.h"
#include "engine/core/out_of_memory.h"

namespace fovea {
namespace {
[[noreturn]] void refuse(const std::string& path, std::string_view doing, int error) {
  if (error == ENOMEM) throw OutOfMemory(cat("no memory to ", doing, " ", path), "");
  const auto kind = error == ENOENT || error == ENOTDIR ? Error::Kind::not_found : Error::Kind::io;
  throw Error(kind, cat("cannot ", doing, " ", path, ": ", std::strerror(error)));
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};
}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path, FileAccess how) {
  if (path.find('\0') != std::string::npos) throw Error(Error::Kind::argument, "a path with a zero byte in it");
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // a FIFO must not make us wait
  if (file.fd < 0) refuse(path, "open", errno);
  std::shared_ptr<MappedFile> out(new MappedFile(path));
  out->load(file.fd, how);
  return out;
}

void MappedFile::load(int fd, FileAccess how) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) refuse(path_, "open", errno);
  if (S_ISDIR(info.st_mode)) throw Error(Error::Kind::io, cat(path_, " is a directory, not a file"));
  if (!S_ISREG(info.st_mode)) throw Error(Error::Kind::io, cat(path_, " is not a regular file"));
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return;
  if (how == FileAccess::map) {
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (at == MAP_FAILED) refuse(path_, "map", errno);
    data_ = static_cast<std::byte*>(at);
    size_ = size;
    mapped_ = true;
    return;
  }
  const std::shared_ptr<Storage> memory = allocate(cpu(), size);
  data_ = memory->data;
  keep_ = memory;
  while (size_ < size) {
    const ssize_t n = ::pread(fd, data_ + size_, size - size_, static_cast<off_t>(size_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(path_, "read", errno);
    if (n == 0)
      throw Error(Error::Kind::io, cat(path_, " shrank from ", size, " to ", size_, " bytes while it was read"));
    size_ += static_cast<size_t>(n);
  }
}

std::shared_ptr<const MappedFile> MappedFile::in_memory(Bytes bytes, std::string name,
                                                        std::shared_ptr<const void> keep) {
  std::shared_ptr<MappedFile> out(new MappedFile(std::move(name)));
  out->data_ = const_cast<std::byte*>(bytes.data());
  out->size_ = bytes.size();
  out->keep_ = std::move(keep);
  return out;
}

std::shared_ptr<const void> MappedFile::hold(std::shared_ptr<const MappedFile> file, Bytes part) {
  constexpr size_t kWorthACall = 64 << 10;
  if (!file->mapped_ || part.size() < kWorthACall) return file;
  return {part.data(), [file = std::move(file), part](const void*) {
            static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
            const auto from = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
            const auto to = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
            if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
          }};
}

MappedFile::~MappedFile() {
  if (mapped_) ::munmap(data_, size_);
}

}  // namespace fovea
