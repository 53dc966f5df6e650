// SPDX-License-Identifier: Apache-2.0
// data/reader.h — Reader: numbered samples with their labels, wherever they lie.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/image.h"

namespace fovea::data {

/// A sample as it lies there: the bytes of an image file, or, where there are none, its pixels.
struct Stored {
  std::vector<std::byte> bytes{};
  Image pixels{};
};

/// Numbers, labels and names are known from the beginning and stay as they are; read() may be called by many threads.
class Reader {
 public:
  virtual ~Reader() = default;

  size_t size() const { return ends_.size(); }
  /// The classes that a sample is of; one, unless multi_label().
  std::span<const int64_t> labels(size_t i) const {
    const size_t from = i == 0 ? 0 : ends_[i - 1];
    return std::span(labels_).subspan(from, ends_[i] - from);
  }
  int64_t label(size_t i) const { return labels(i).empty() ? -1 : labels(i)[0]; }
  /// Samples are of any number of classes.
  bool multi_label() const { return multi_label_; }
  /// By number; "" where a class has no name.
  const std::vector<std::string>& classes() const { return classes_; }

  /// Where the sample lies, for people.
  virtual std::string name(size_t i) const = 0;
  /// Throws Error(io, not_found or format) where it cannot be read; never waits for anybody to write.
  virtual Stored read(size_t i) const = 0;

 protected:
  void add(std::span<const int64_t> labels);
  void add(int64_t label) { add(std::span(&label, 1)); }
  void set_classes(std::vector<std::string> names) { classes_ = std::move(names); }
  void set_multi_label() { multi_label_ = true; }

 private:
  std::vector<int64_t> labels_;
  std::vector<size_t> ends_;                       // of each sample's labels
  std::vector<std::string> classes_;
  bool multi_label_ = false;
};

}  // namespace fovea::data
