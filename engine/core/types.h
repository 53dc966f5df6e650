// SPDX-License-Identifier: Apache-2.0
// engine/core/types.h — the words everything else is written in: element types, devices, shapes and strides.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace fovea {

/// Element types. `none` marks an operand that was not given.
enum class DType : uint8_t { none, f32, f64, bf16, f16, i64, i32, i8, u8, boolean };

constexpr size_t size_of(DType t) {
  constexpr size_t bytes[] = {0, 4, 8, 2, 2, 8, 4, 1, 1, 1};
  return bytes[static_cast<size_t>(t)];
}
constexpr bool is_floating(DType t) { return t >= DType::f32 && t <= DType::f16; }
std::string_view name_of(DType t);                 // "f32", "bf16", "bool", ...
DType parse_dtype(std::string_view name);          // takes fovea's and PyTorch's names ("float32"); throws Error

/// 16-bit floating types: storage only, arithmetic happens after conversion to float.
struct bfloat16 {
  uint16_t bits;
};
struct float16 {
  uint16_t bits;
};
float to_float(bfloat16 v);
float to_float(float16 v);
bfloat16 to_bfloat16(float v);                     // round to nearest even; NaN stays NaN
float16 to_float16(float v);                       // round to nearest even; overflow becomes infinity

struct Device {
  enum class Kind : uint8_t { cpu, cuda, far };    // far: the tests' (test/support/far_device.h)
  Kind kind = Kind::cpu;
  int8_t index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};
constexpr Device cpu() { return {}; }
std::string_view name_of(Device::Kind k);
std::string to_string(Device d);                   // "cpu", "cuda:0"
Device parse_device(std::string_view name);        // "cuda" is "cuda:0"; throws Error

/// Up to eight signed sizes, kept in place. Used for shapes, strides, axes and paddings.
class Dims {
 public:
  static constexpr int kMax = 8;
  constexpr Dims() = default;
  constexpr Dims(std::initializer_list<int64_t> values) {
    for (int64_t v : values) push_back(v);
  }
  template <class It>
  constexpr Dims(It first, It last) {
    for (; first != last; ++first) push_back(static_cast<int64_t>(*first));
  }
  static constexpr Dims filled(int n, int64_t value) {
    Dims d;
    for (int i = 0; i < n; ++i) d.push_back(value);
    return d;
  }
  constexpr int size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr int64_t& operator[](int i) { return at_[static_cast<size_t>(i)]; }        // 0 <= i < size()
  constexpr int64_t operator[](int i) const { return at_[static_cast<size_t>(i)]; }
  constexpr int64_t back() const { return (*this)[size_ - 1]; }
  constexpr int64_t* begin() { return at_.data(); }
  constexpr int64_t* end() { return at_.data() + size_; }
  constexpr const int64_t* begin() const { return at_.data(); }
  constexpr const int64_t* end() const { return at_.data() + size_; }
  constexpr void push_back(int64_t v) {
    if (size_ == kMax) too_many();
    at_[static_cast<size_t>(size_++)] = v;
  }
  constexpr void pop_back() { at_[static_cast<size_t>(--size_)] = 0; }
  void insert(int at, int64_t v);
  void erase(int at);
  friend constexpr bool operator==(const Dims&, const Dims&) = default;

 private:
  [[noreturn]] static void too_many();             // throws Error: more than eight dimensions
  std::array<int64_t, kMax> at_{};                 // unused entries stay zero, so equality may compare all of them
  int32_t size_ = 0;
};
using Shape = Dims;
using Strides = Dims;                              // in elements

int64_t numel(const Shape& s);                     // 1 for a scalar
std::string to_string(const Dims& d);              // "[1, 64, 56, 56]"

/// How the logical order N,C,(D,)H,W lies in memory.
enum class Memory : uint8_t { contiguous, channels_last };
Strides contiguous_strides(const Shape& s);
Strides channels_last_strides(const Shape& s);     // rank 3 to 5: C is innermost; other ranks: contiguous
Strides strides_for(const Shape& s, Memory m);

/// All there is to know about a tensor without its bytes.
struct Meta {
  DType dtype = DType::none;
  Device device{};
  Shape shape;
  Strides strides;

  bool present() const { return dtype != DType::none; }
  int rank() const { return shape.size(); }
  int64_t numel() const { return fovea::numel(shape); }
  int64_t dim(int i) const;                        // negative counts from the end; throws Error when out of range
  int64_t bytes() const { return numel() * static_cast<int64_t>(size_of(dtype)); }
  bool is_contiguous() const;                      // strides of dimensions of size 1 do not matter
  // likewise; false for ranks without channels-last and where also contiguous
  bool is_channels_last() const;
  // how dense results made from it shall lie: parts of an image follow the image
  Memory memory() const;
  friend bool operator==(const Meta&, const Meta&) = default;
};
int64_t span_of(const Meta& m);                    // elements from the first to the last in memory; 0 without any
Meta make_meta(DType t, const Shape& s, Memory m = Memory::contiguous, Device d = {});
// "f32[1, 64, 56, 56]", with " channels_last" or " strides [...]" where not contiguous, and " on cuda:0" where not on
// the host
std::string to_string(const Meta& m);

}  // namespace fovea
