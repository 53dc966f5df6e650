// SPDX-License-Identifier: Apache-2.0
// onnx/proto.h — writes messages of protocol buffers, as much of them as ONNX needs.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fovea::onnx {

class Message {
 public:
  void integer(int field, int64_t v) {
    key(field, 0);
    varint(static_cast<uint64_t>(v));
  }
  void real(int field, float v);
  void bytes(int field, std::string_view v) {
    key(field, 2);
    varint(v.size());
    text_ += v;
  }
  void message(int field, const Message& m) { bytes(field, m.text_); }
  const std::string& text() const { return text_; }

 private:
  void key(int field, int wire) { varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire)); }
  void varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) text_ += static_cast<char>(v | 0x80);
    text_ += static_cast<char>(v);
  }
  std::string text_;
};

}  // namespace fovea::onnx
