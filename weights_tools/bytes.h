// SPDX-License-Identifier: Apache-2.0
// weights_tools/bytes.h — what all readers and writers of files need: bounded little-endian reads, and bytes that
// become tensors.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea {

using Bytes = std::span<const std::byte>;

inline std::string_view text_of(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
inline Bytes bytes_of(std::string_view s) { return {reinterpret_cast<const std::byte*>(s.data()), s.size()}; }

/// A little-endian value at the start of `b`, which must hold it.
template <class T>
T load_le(Bytes b) {
  T v{};
  for (size_t i = sizeof(T); i-- > 0;) v = static_cast<T>(v << (sizeof(T) > 1 ? 8 : 0) | static_cast<T>(b[i]));
  return v;
}
template <class T>
void append_le(std::string& s, T v) {
  for (size_t i = 0; i < sizeof(T); ++i) s += static_cast<char>(static_cast<uint64_t>(v) >> (8 * i) & 0xFF);
}

/// `a * b` and `a + b`; false when they leave the type's range.
template <class T>
bool checked_mul(T a, T b, T& out) {
  return !__builtin_mul_overflow(a, b, &out);
}
template <class T>
bool checked_add(T a, T b, T& out) {
  return !__builtin_add_overflow(a, b, &out);
}

/// Can a tensor of this shape and element size be described at all: sizes not negative, contiguous strides and bytes
/// within int64?
bool describable(const Shape& s, size_t element_size);

/// Reads forward through bytes that nobody trusts; every read past the end is an Error(format).
class ByteReader {
 public:
  ByteReader(Bytes b, std::string what) : all_(b), what_(std::move(what)) {}
  size_t at() const { return at_; }
  size_t left() const { return all_.size() - at_; }
  Bytes take(uint64_t n) {
    if (n > left()) too_short(n);
    const Bytes b = all_.subspan(at_, static_cast<size_t>(n));
    at_ += static_cast<size_t>(n);
    return b;
  }
  template <class T>
  T read() {
    return load_le<T>(take(sizeof(T)));
  }
  /// The text before the next newline, which is consumed too.
  std::string_view line();

 private:
  [[noreturn]] void too_short(uint64_t wanted) const;
  Bytes all_;
  size_t at_ = 0;
  std::string what_;  // whose bytes, for messages: "data.pkl in model.pth"
};

/// A contiguous tensor on `b` without copying, kept alive by `keep`; copied when the address is not a multiple of the
/// element size. `b` holds exactly the elements of a describable shape.
Tensor tensor_on(Bytes b, DType t, const Shape& s, std::shared_ptr<const void> keep);

/// The tensor itself when it is row-major and of that dtype, else a row-major copy; floating dtypes convert to each
/// other. `none` keeps the dtype. Throws Error for tensors without bytes.
Tensor dense(const Tensor& t, DType as = DType::none);

/// The first bytes as people read them: "50 4b 03 04 'PK..'".
std::string show_bytes(Bytes b, size_t most = 8);
bool is_utf8(std::string_view s);
/// Its characters. A byte that is no UTF-8 is 0xDC00 + the byte, as Python carries those of file names; append_utf8()
/// gives it back.
std::vector<uint32_t> code_points(std::string_view s);
void append_utf8(std::string& s, uint32_t code);
/// A text of a file as a terminal may show it: what steers terminals or hides or turns around text is escaped ("\x1b",
/// "\n", "\u202e"), as are bytes that are no UTF-8 and backslashes, except for the characters that are `kept`.
std::string printable(std::string_view s, std::string_view kept = "");

}  // namespace fovea
