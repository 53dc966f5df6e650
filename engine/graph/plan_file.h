// SPDX-License-Identifier: Apache-2.0
// engine/graph/plan_file.h — PlanFile: the bytes of a saved session, and whether they are still those that were
// checked. Private to this folder.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include <sys/types.h>
#include <time.h>

#include "engine/core/tensor.h"

namespace fovea {

/// Mapped, so that processes share its pages and nothing is copied. Who writes into a mapped file changes what is
/// mapped; so whoever computes with the bytes asks check() before and after, and the system's note of the last change
/// answers. A file so new that a further change would bear the same time is read instead. Within a process a file is
/// mapped once.
class PlanFile {
 public:
  /// Null when it cannot be opened, is no regular file of at least `least` bytes, or is not trusted_file().
  static std::shared_ptr<const PlanFile> open(const std::string& path, size_t least);
  ~PlanFile();
  PlanFile(const PlanFile&) = delete;
  PlanFile& operator=(const PlanFile&) = delete;

  const std::shared_ptr<Storage>& bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  /// Throws Error(io) if somebody wrote into the file since it was opened. Replaced or deleted files are as they were.
  void check() const;

  /// Whether the checksum was found right: sessions that share a file sum it once.
  mutable std::atomic<bool> sound{false};

 private:
  explicit PlanFile(std::string path) : path_(std::move(path)) {}
  // What changes when another file takes the path or somebody writes into this one.
  using Identity = std::tuple<dev_t, ino_t, off_t, time_t, long, std::string>;
  struct Mapped;
  static Mapped& mapped();
  bool map();
  bool read();

  std::string path_;
  int fd_ = -1;                                    // -1: the bytes are a copy
  size_t size_ = 0;
  timespec written_{};
  Identity identity_{};
  std::shared_ptr<Storage> bytes_;
};

}  // namespace fovea
