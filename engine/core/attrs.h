// SPDX-License-Identifier: Apache-2.0
// engine/core/attrs.h — attributes of ops: small plain structs whose fields can be listed, printed, compared and
// hashed.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "engine/core/types.h"

namespace fovea {

/// Walks the fields of an attribute struct.
struct FieldVisitor {
  virtual ~FieldVisitor() = default;
  virtual void integer(const char* name, int64_t v) = 0;
  virtual void real(const char* name, double v) = 0;
  virtual void dims(const char* name, const Dims& v) = 0;
  // an enumerator
  virtual void named(const char* name, int64_t v, std::string_view text) { (void)text, integer(name, v); }
};

/// Gives fields their values, in order. They may come from a file: what no field of that kind can hold must be refused.
struct FieldSource {
  virtual ~FieldSource() = default;
  virtual int64_t integer(int64_t least, int64_t most) = 0;          // within these, both included
  virtual double real() = 0;
  virtual Dims dims() = 0;
};

struct AttrsType {
  const char* name;
  size_t bytes;
  void (*visit)(const void* attrs, FieldVisitor& v);
  void (*assign)(void* attrs, FieldSource& from);
};
/// The last of each enumeration that attributes may hold, found through the enumeration's namespace.
constexpr DType last_of(DType) { return DType::boolean; }
constexpr Memory last_of(Memory) { return Memory::channels_last; }
constexpr Device::Kind last_of(Device::Kind) { return Device::Kind::far; }
template <class T>
struct AttrsTraits;                                // made by FOVEA_ATTRS

namespace detail {
template <class T>
void visit_field(const char* name, const T& value, FieldVisitor& v) {
  if constexpr (std::is_same_v<T, Dims>) v.dims(name, value);
  else if constexpr (std::is_floating_point_v<T>) v.real(name, static_cast<double>(value));
  else if constexpr (requires { name_of(value); }) v.named(name, static_cast<int64_t>(value), name_of(value));
  else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) v.integer(name, static_cast<int64_t>(value));
  else AttrsTraits<T>::type.visit(&value, v);      // a struct inside a struct, such as Epilogue
}
template <class T, size_t N>
void visit_field(const char* name, const std::array<T, N>& value, FieldVisitor& v) {
  for (const T& one : value) visit_field(name, one, v);
}
template <class T>
void visit_field(const char*, T& value, FieldSource& from) {
  if constexpr (std::is_same_v<T, Dims>) value = from.dims();
  else if constexpr (std::is_floating_point_v<T>) value = static_cast<T>(from.real());
  else if constexpr (std::is_same_v<T, bool>) value = from.integer(0, 1) != 0;
  else if constexpr (std::is_enum_v<T>) value = static_cast<T>(from.integer(0, static_cast<int64_t>(last_of(T{}))));
  else if constexpr (std::is_integral_v<T>) {
    static_assert(std::is_signed_v<T>);
    constexpr int64_t most = INT64_MAX >> (64 - 8 * sizeof(T));
    value = static_cast<T>(from.integer(-most - 1, most));
  } else AttrsTraits<T>::type.assign(&value, from);
}
template <class T, size_t N>
void visit_field(const char* name, std::array<T, N>& value, FieldSource& from) {
  for (T& one : value) visit_field(name, one, from);
}
}  // namespace detail

#define FOVEA_EXPAND(...) FOVEA_EXPAND3(FOVEA_EXPAND3(FOVEA_EXPAND3(__VA_ARGS__)))
#define FOVEA_EXPAND3(...) FOVEA_EXPAND2(FOVEA_EXPAND2(FOVEA_EXPAND2(__VA_ARGS__)))
#define FOVEA_EXPAND2(...) FOVEA_EXPAND1(FOVEA_EXPAND1(FOVEA_EXPAND1(__VA_ARGS__)))
#define FOVEA_EXPAND1(...) __VA_ARGS__
#define FOVEA_AGAIN() FOVEA_EACH_FIELD
#define FOVEA_PARENS ()
#define FOVEA_EACH_FIELD(first, ...) \
  ::fovea::detail::visit_field(#first, a.first, v); \
  __VA_OPT__(FOVEA_AGAIN FOVEA_PARENS(__VA_ARGS__))
/// FOVEA_ATTRS(ConvAttrs, stride, dilation, ...): after the struct, at namespace fovea. Every field must be named.
#define FOVEA_ATTRS(T, ...) \
  template <> \
  struct AttrsTraits<T> { \
    static_assert(std::is_trivially_copyable_v<T>); \
    static constexpr AttrsType type{#T, sizeof(T), [](const void* p, FieldVisitor& v) { \
      [[maybe_unused]] const T& a = *static_cast<const T*>(p); \
      (void)v; \
      __VA_OPT__(FOVEA_EXPAND(FOVEA_EACH_FIELD(__VA_ARGS__))) \
    }, [](void* p, FieldSource& v) { \
      [[maybe_unused]] T& a = *static_cast<T*>(p); \
      (void)v; \
      __VA_OPT__(FOVEA_EXPAND(FOVEA_EACH_FIELD(__VA_ARGS__))) \
    }}; \
  };

FOVEA_ATTRS(Device, kind, index)

/// A borrowed attribute struct with its type. Empty for ops without attributes.
struct AttrsRef {
  const void* data = nullptr;
  const AttrsType* type = nullptr;
  template <class A>
  static AttrsRef of(const A& a) { return {&a, &AttrsTraits<A>::type}; }
  template <class A>
  const A& as() const {
    if (type != &AttrsTraits<A>::type) wrong_type();
    return *static_cast<const A*>(data);
  }
  [[noreturn]] static void wrong_type();
};

/// An owned copy of any attribute struct.
class Attrs {
 public:
  static constexpr size_t kBytes = 512;
  Attrs() = default;
  Attrs(AttrsRef r) : type_(r.type) {              // implicit: a Node or a graph step keeps what call() was given
    if (type_ && type_->bytes > kBytes) AttrsRef::wrong_type();
    if (type_) std::memcpy(bytes_, r.data, type_->bytes);
  }
  /// Of this type, field by field; throws what `from` throws.
  Attrs(const AttrsType& type, FieldSource& from) : type_(&type) {
    if (type.bytes > kBytes) AttrsRef::wrong_type();
    type.assign(bytes_, from);
  }
  AttrsRef ref() const { return {bytes_, type_}; }
  template <class A>
  const A& as() const { return ref().as<A>(); }
  std::byte* data() { return bytes_; }

 private:
  alignas(8) std::byte bytes_[kBytes]{};
  const AttrsType* type_ = nullptr;
};

void append_key(std::string& key, AttrsRef a);     // a byte string that is equal exactly for equal attributes
std::string to_string(AttrsRef a);                 // "stride=[2, 2], groups=1"; fields that are zero are left out

}  // namespace fovea
