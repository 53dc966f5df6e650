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

struct AttrsType {
  const char* name;
  size_t bytes;
  void (*visit)(const void* attrs, FieldVisitor& v);
};
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
    }}; \
  };

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
  AttrsRef ref() const { return {bytes_, type_}; }
  template <class A>
  const A& as() const { return ref().as<A>(); }

 private:
  alignas(8) std::byte bytes_[kBytes]{};
  const AttrsType* type_ = nullptr;
};

void append_key(std::string& key, AttrsRef a);     // a byte string that is equal exactly for equal attributes
std::string to_string(AttrsRef a);                 // "stride=[2, 2], groups=1"; fields that are zero are left out

}  // namespace fovea
