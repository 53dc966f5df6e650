// SPDX-License-Identifier: Apache-2.0
// train/summary.h — what a training tells others: summary.csv, TensorBoard's event files, JSON lines.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fovea::train {

using Numbers = std::vector<std::pair<std::string, double>>;       // in the order in which they are shown

/// A row an epoch, timm's columns. Rows of epochs from `first` on, which a run before wrote, are dropped.
class SummaryCsv {
 public:
  SummaryCsv(std::string path, int64_t first_epoch);
  void add(int64_t epoch, const Numbers& values);
 private:
  std::string path_, text_;
};

/// Scalars in the form that TensorBoard reads: events.out.tfevents.TIME.HOST in a folder.
class EventFile {
 public:
  explicit EventFile(const std::string& folder);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;
  void add(int64_t step, const Numbers& values);  // flushed
  const std::string& path() const { return path_; }
 private:
  void write(std::string_view event);
  std::string path_;
  int fd_ = -1;
};

uint32_t crc32c(std::string_view bytes);           // Castagnoli's polynomial, as in TFRecord
/// {"loss": 0.5, "epoch": 3}; numbers that JSON has not are null.
std::string json_line(const Numbers& values);

}  // namespace fovea::train
