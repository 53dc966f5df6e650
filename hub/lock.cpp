// SPDX-License-Identifier: Apache-2.0
#include "hub/lock.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/core/text.h"
#include "weights_tools/names_in.h"

namespace fovea::hub {
namespace {
namespace fs = std::filesystem;

// Changes whenever one of these files comes, goes or grows.
std::string state_of(const fs::path& blob) {
  std::string all;
  const std::string start = blob.filename().string();
  std::error_code ignored;
  for (const std::string& name : names_in(blob.parent_path().string()))
    if (name.starts_with(start)) all += str_cat(name, " ", fs::file_size(blob.parent_path() / name, ignored), "\n");
  return all;
}

}  // namespace

DownloadLock::DownloadLock(const std::string& path, const std::string& blob, int patience_ms) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kBetween = std::chrono::milliseconds(50);
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664);
  if (fd_ < 0) return;
  Clock::time_point changed = Clock::now();
  std::string state = state_of(blob);
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return;
    std::this_thread::sleep_for(kBetween);
    if (std::string now = state_of(blob); now != state) state = std::move(now), changed = Clock::now();
    if (Clock::now() - changed > std::chrono::milliseconds(patience_ms)) return;
  }
}

DownloadLock::~DownloadLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace fovea::hub
