// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/bytes.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/core/strided_copy.h"

namespace fovea {

bool describable(const Shape& s, size_t element_size) {
  int64_t bytes = static_cast<int64_t>(element_size);
  for (int64_t d : s)
    if (d < 0 || !checked_mul(bytes, std::max<int64_t>(d, 1), bytes)) return false;
  return true;
}

std::string_view ByteReader::line() {
  const std::string_view rest = text_of(all_.subspan(at_));
  const size_t end = rest.find('\n');
  if (end == std::string_view::npos) too_short(rest.size() + 1);
  at_ += end + 1;
  return rest.substr(0, end);
}

void ByteReader::too_short(uint64_t wanted) const {
  throw Error(Error::Kind::format,
              str_cat(what_, " ends at byte ", all_.size(), ", where ", wanted, " more were expected from byte ", at_),
              "the file is truncated or damaged");
}

Tensor tensor_on(Bytes b, DType t, const Shape& s, std::shared_ptr<const void> keep) {
  if (reinterpret_cast<uintptr_t>(b.data()) % size_of(t) == 0)
    return wrap(const_cast<std::byte*>(b.data()), t, s, std::const_pointer_cast<void>(std::move(keep)));
  Tensor out = empty(s, t);
  if (!b.empty()) std::memcpy(out.bytes(), b.data(), b.size());
  return out;
}

Tensor dense(const Tensor& given, DType as) {
  if (!given.has_bytes())
    throw Error(Error::Kind::argument, str_cat(given.meta(), " has no values"), "tensors with values are needed here");
  const Tensor t = on_host(given);
  const DType type = as == DType::none ? t.dtype() : as;
  if (t.meta().is_contiguous() && type == t.dtype()) return t;
  Tensor out = empty(t.shape(), type);
  if (out.numel()) copy_strided(t.meta(), t.bytes(), out.meta(), out.bytes());
  return out;
}

std::string show_bytes(Bytes b, size_t most) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string hex, readable;
  for (std::byte raw : b.first(std::min(b.size(), most))) {
    const auto c = static_cast<unsigned char>(raw);
    hex += {kHex[c >> 4], kHex[c & 15], ' '};
    readable += c >= 32 && c < 127 ? static_cast<char>(c) : '.';
  }
  return str_cat(hex, "'", readable, "'");
}

namespace {
// Code points that are not seen, or change how what follows is seen: controls, separators of lines, marks and overrides
// of direction, zero-width ones, tags.
bool is_unseen(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x61C || c == 0x180E ||
         (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

void append_escape(std::string& out, char kind, uint32_t code, int digits) {
  out += {'\\', kind};
  while (digits-- > 0) out += "0123456789abcdef"[code >> (4 * digits) & 15];
}
}  // namespace

std::string printable(std::string_view s, std::string_view kept) {
  std::string out;
  while (!s.empty()) {
    const auto first = static_cast<unsigned char>(s[0]);
    const size_t wanted = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    const bool whole = wanted <= s.size() && is_utf8(s.substr(0, wanted));
    const size_t n = whole ? wanted : 1;
    uint32_t code = n == 1 ? first : first & (0x7Fu >> n);
    for (size_t i = 1; i < n; ++i) code = code << 6 | (static_cast<unsigned char>(s[i]) & 0x3F);
    if (kept.find(s[0]) != kept.npos) out += s[0];
    else if (s[0] == '\\') out += "\\\\";
    else if (s[0] == '\n') out += "\\n";
    else if (whole && !is_unseen(code)) out += s.substr(0, n);
    else if (n == 1) append_escape(out, 'x', code, 2);
    else append_escape(out, code < 0x10000 ? 'u' : 'U', code, code < 0x10000 ? 4 : 8);
    s.remove_prefix(n);
  }
  return out;
}

bool is_utf8(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const size_t more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : 9;
    if (more == 9 || i + more >= s.size()) return false;
    uint32_t code = more == 0 ? c : c & (0x3Fu >> more);
    for (size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(s[i + k]);
      if (next >> 6 != 2) return false;
      code = code << 6 | (next & 0x3F);
    }
    constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    i += more + 1;
  }
  return true;
}

void append_utf8(std::string& s, uint32_t code) {
  if (code >= 0xDC80 && code <= 0xDCFF) {  // a byte that was no UTF-8, as Python carries it
    s += static_cast<char>(code - 0xDC00);
    return;
  }
  constexpr uint32_t kFirst[] = {0, 0xC0, 0xE0, 0xF0};
  const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  s += static_cast<char>(kFirst[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) s += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
}

std::vector<uint32_t> code_points(std::string_view s) {
  std::vector<uint32_t> out;
  while (!s.empty()) {
    const auto first = static_cast<unsigned char>(s[0]);
    size_t n = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (n > s.size() || !is_utf8(s.substr(0, n))) {
      out.push_back(0xDC00u + first);
      n = 1;
    } else {
      uint32_t code = n == 1 ? first : first & (0x7Fu >> n);
      for (size_t i = 1; i < n; ++i) code = code << 6 | (static_cast<unsigned char>(s[i]) & 0x3F);
      out.push_back(code);
    }
    s.remove_prefix(n);
  }
  return out;
}

}  // namespace fovea
