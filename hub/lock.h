// SPDX-License-Identifier: Apache-2.0
// hub/lock.h — the lock under which processes fetch a file one after the other: it saves bandwidth and nothing else.
#pragma once
#include <string>

namespace fovea::hub {

/// Waits until the lock is free, or whoever holds it makes no progress for so long: the files whose
/// names begin as `blob` do not change. Where there is no such lock it does not wait.
class DownloadLock {
 public:
  DownloadLock(const std::string& path, const std::string& blob, int patience_ms);
  ~DownloadLock();
  DownloadLock(const DownloadLock&) = delete;
  DownloadLock& operator=(const DownloadLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace fovea::hub
