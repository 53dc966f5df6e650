// SPDX-License-Identifier: Apache-2.0
#include "engine/core/attrs.h"

#include "engine/core/error.h"

namespace fovea {
namespace {

struct KeyWriter final : FieldVisitor {
  explicit KeyWriter(std::string& k) : key(k) {}
  void integer(const char*, int64_t v) override { raw(&v, sizeof v); }
  void real(const char*, double v) override { raw(&v, sizeof v); }
  void dims(const char*, const Dims& v) override {
    key += static_cast<char>(v.size());
    raw(v.begin(), sizeof(int64_t) * static_cast<size_t>(v.size()));
  }
  void raw(const void* p, size_t n) { key.append(static_cast<const char*>(p), n); }
  std::string& key;
};

struct Printer final : FieldVisitor {
  explicit Printer(std::string& t) : text(t) {}
  void integer(const char* name, int64_t v) override {
    if (v != 0) put(name, str_cat(v));
  }
  void named(const char* name, int64_t v, std::string_view word) override {
    if (v != 0) put(name, word);
  }
  void real(const char* name, double v) override {
    if (v != 0) put(name, str_cat(v));
  }
  void dims(const char* name, const Dims& v) override {
    if (!v.empty()) put(name, to_string(v));
  }
  void put(const char* name, std::string_view value) { text += str_cat(text.empty() ? "" : ", ", name, "=", value); }
  std::string& text;
};

}  // namespace

void AttrsRef::wrong_type() {
  throw Error(Error::Kind::internal, "attributes of another op, or larger than Attrs can keep");
}

void append_key(std::string& key, AttrsRef a) {
  if (!a.type) return;
  KeyWriter w(key);
  a.type->visit(a.data, w);
}

std::string to_string(AttrsRef a) {
  std::string text;
  Printer p(text);
  if (a.type) a.type->visit(a.data, p);
  return text;
}

}  // namespace fovea
