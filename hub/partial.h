// SPDX-License-Identifier: Apache-2.0
// hub/partial.h — a download on its way: a file of this process alone, which becomes the wanted one when it is whole.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/core/temporary.h"
#include "hub/file_hash.h"

namespace fovea::hub {

/// Called <target>.<8 digits>.incomplete, as huggingface_hub calls such files. Nobody else ever writes into it: what
/// another download left behind is copied, not continued, so that no lock needs to work for the content to be right.
class Partial {
 public:
  /// `expected`: the hash that the content must have, or how its SHA-256 begins; "" where nobody says. `size`: of the
  /// whole content; kUnknown.
  static constexpr uint64_t kUnknown = UINT64_MAX;
  Partial(std::string target, std::string_view expected, uint64_t size);
  ~Partial();  // removed, unless it was finished or kept
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  /// Takes over the longest of what other downloads of this content left behind, if there is any.
  void adopt();
  uint64_t size() const { return size_; }
  void write(Bytes b);
  void restart();  // as if nothing had come
  /// Is this the content? Puts it on disk and to `place`; false, and nothing is there, when its hash is another.
  bool finish(const std::string& place);
  void keep() { kept_ = true; }  // for a later download to adopt()

 private:
  void copy_from(const std::string& path);
  [[noreturn]] void fail(const char* doing) const;
  std::string target_, expected_, path_;
  uint64_t whole_, size_ = 0;
  int fd_ = -1;
  bool kept_ = false;
  std::optional<FileHash> hash_;
  std::optional<Temporary> unfinished_;
};

/// A name that nobody else has, beside the target, and whether a name is one of those.
std::string partial_name(const std::string& target);
bool is_partial_name(std::string_view name);

}  // namespace fovea::hub
