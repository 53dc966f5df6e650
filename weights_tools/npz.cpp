// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/npz.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_set>

#include "engine/core/error.h"
#include "weights_tools/foreign.h"
#include "weights_tools/zip_writer.h"

namespace fovea {
namespace {
constexpr std::string_view kMagic = "\x93NUMPY", kExtension = ".npy";

struct Header {
  std::string_view descr;  // "<f4"; of records with fields the whole list of these
  std::optional<bool> fortran;
  std::optional<Shape> shape;  // empty where there are more dimensions than a Shape has
  size_t rank = 0;
};

[[noreturn]] void bad(const std::string& name, const std::string& what) {
  throw Error(Error::Kind::format, str_cat("array '", name, "': ", what));
}

// Reads the dict literal of an npy header: texts, True, False and tuples of integers are all it may hold.
class HeaderParser {
 public:
  HeaderParser(std::string_view s, const std::string& name) : rest_(s), name_(name) {}
  Header parse() {
    Header h;
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") h.descr = text_descr();
      else if (key == "fortran_order") h.fortran = boolean();
      else if (key == "shape") h.shape = tuple(h.rank);
      else bad(name_, str_cat("its header has the unknown key '", key, "'"));
      if (!take(',') && !peek('}')) bad(name_, "its header is not a dict");
    }
    skip();
    if (!rest_.empty()) bad(name_, "text after its header's dict");
    if (h.descr.empty() || !h.fortran || !h.shape) bad(name_, "its header lacks descr, fortran_order or shape");
    return h;
  }

 private:
  void skip() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  bool peek(char c) {
    skip();
    return rest_.starts_with(c);
  }
  bool take(char c) {
    if (!peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    skip();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void expect(char c) {
    if (!take(c)) bad(name_, str_cat("its header has ", show_bytes(bytes_of(rest_)), " where '", c, "' belongs"));
  }
  std::string_view quoted() {
    skip();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    const size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : rest_.npos;
    if (end == rest_.npos) bad(name_, str_cat("its header has ", show_bytes(bytes_of(rest_)), " where a text belongs"));
    const std::string_view s = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return s;
  }
  std::string_view text_descr() {
    if (!peek('[')) return quoted();
    int open = 0;
    char quote = '\0';
    for (size_t i = 0; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (quote) quote = c == quote ? '\0' : quote;
      else if (c == '\'' || c == '"') quote = c;
      else if (c == '[') ++open;
      else if (c == ']' && --open == 0) {
        const std::string_view fields = rest_.substr(0, i + 1);
        rest_.remove_prefix(i + 1);
        return fields;
      }
    }
    bad(name_, "its header has a list of fields without an end");
  }
  bool boolean() {
    if (take("True")) return true;
    if (!take("False")) bad(name_, "fortran_order is neither True nor False");
    return false;
  }
  Shape tuple(size_t& rank) {
    Shape s;
    expect('(');
    while (!take(')')) {
      skip();
      int64_t d = 0;
      const bool octal = rest_.size() > 1 && rest_[0] == '0' && rest_[1] >= '0' && rest_[1] <= '9';
      const auto [end, problem] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), d);
      if (octal || problem != std::errc{} || d < 0)
        bad(name_, str_cat("its shape has ", show_bytes(bytes_of(rest_)), " where a size belongs"));
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      take('L');  // Python 2 wrote its long integers so
      if (++rank <= Dims::kMax) s.push_back(d);
      if (!take(',') && (!peek(')') || rank == 1)) bad(name_, "its shape is not a tuple");  // (4) is a number
    }
    return rank <= Dims::kMax ? s : Shape{};
  }

  std::string_view rest_;
  const std::string& name_;
};

struct NumpyDtype {
  std::string_view code;
  DType dtype;
};
constexpr NumpyDtype kDtypes[] = {{"f4", DType::f32}, {"f8", DType::f64}, {"f2", DType::f16}, {"i8", DType::i64},
                                  {"i4", DType::i32}, {"i1", DType::i8},  {"u1", DType::u8},  {"b1", DType::boolean}};

std::vector<std::string> read_texts(Bytes data, const Header& h, const std::string& name) {
  uint64_t width = 0;
  const std::string_view digits = h.descr.substr(2);
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), width);
  if (problem != std::errc{} || end != digits.data() + digits.size()) bad(name, str_cat("its dtype is ", h.descr));
  const auto count = static_cast<uint64_t>((*h.shape)[0]);
  uint64_t bytes = 0;
  if (!checked_mul(width, uint64_t{4}, width) || !checked_mul(width, count, bytes) || bytes != data.size())
    bad(name, str_cat(count, " texts of ", width, " bytes in ", data.size(), " bytes"));
  if (width == 0 && count > 1'000'000) bad(name, str_cat(count, " texts without any bytes"));
  std::vector<std::string> out(static_cast<size_t>(count));
  const bool big = h.descr[0] == '>';
  for (size_t i = 0; i < out.size(); ++i) {
    for (Bytes c = data.subspan(i * static_cast<size_t>(width), static_cast<size_t>(width)); !c.empty();
         c = c.subspan(4)) {
      const auto raw = load_le<uint32_t>(c), code = big ? __builtin_bswap32(raw) : raw;
      if (code == 0) break;
      if (code > 0x10FFFF) bad(name, "a character beyond Unicode");
      append_utf8(out[i], code);
    }
  }
  return out;
}

void swap_bytes(Tensor& t) {
  const size_t size = size_of(t.dtype());
  std::byte* p = t.numel() ? t.bytes() : nullptr;
  for (int64_t i = 0; i < t.numel(); ++i, p += size) std::reverse(p, p + size);
}

// What fovea has no tensors for.
Tensor read_others(const Header& h, const std::string& name) {
  constexpr size_t kLargestElement = 16;
  const bool records = h.descr[0] == '[', objects = !records && h.descr.find('O') != h.descr.npos;
  const std::string what = h.rank > Dims::kMax ? str_cat("has ", h.rank, " dimensions; fovea has at most ", Dims::kMax)
                           : records           ? std::string("has records with fields")
                           : objects           ? std::string("holds pickled Python objects")
                                               : str_cat("is of dtype ", h.descr, ", which fovea does not have");
  return foreign_tensor(describable(*h.shape, kLargestElement) ? *h.shape : Shape{},
                        records ? "records" : std::string(h.descr),
                        Error(Error::Kind::unsupported, str_cat("array '", name, "' ", what),
                              "fovea reads numbers from npy and npz, nothing else"));
}

Tensor read_numbers(Bytes data, const Header& h, const std::string& name, std::shared_ptr<const void> keep) {
  const std::string_view code = h.descr.substr(std::min<size_t>(1, h.descr.size()));
  const auto* type =
      std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const NumpyDtype& d) { return d.code == code; });
  if (type == std::end(kDtypes) || std::string_view("<>|=").find(h.descr[0]) == std::string_view::npos ||
      h.rank > Dims::kMax)
    return read_others(h, name);
  if (!describable(*h.shape, size_of(type->dtype))) bad(name, str_cat("its shape ", *h.shape, " overflows"));
  Meta m = make_meta(type->dtype, *h.shape);
  if (static_cast<uint64_t>(m.bytes()) != data.size())
    bad(name, str_cat("shape ", m.shape, " takes ", m.bytes(), " bytes, but there are ", data.size()));
  if (*h.fortran) {
    int64_t step = 1;
    for (int i = 0; i < m.rank(); ++i) m.strides[i] = std::exchange(step, step * std::max<int64_t>(m.shape[i], 1));
  }
  Tensor flat = tensor_on(data, type->dtype, {m.numel()}, std::move(keep));
  if (h.descr[0] == '>' && size_of(type->dtype) > 1) {
    const Tensor own = empty(flat.shape(), flat.dtype());
    if (flat.numel()) std::memcpy(own.bytes(), flat.bytes(), data.size());
    flat = own;
    swap_bytes(flat);
  }
  return dense(view_of(flat, m.shape, m.strides, 0));
}
}  // namespace

bool is_npy(Bytes b) { return text_of(b).starts_with(kMagic); }

NpzEntry read_npy(Bytes b, const std::string& name, std::shared_ptr<const void> keep) {
  if (!is_npy(b)) bad(name, str_cat("it starts with ", show_bytes(b), ", not with NumPy's magic bytes"));
  ByteReader r(b, str_cat("array '", name, "'"));
  r.take(kMagic.size());
  const int version = r.read<uint8_t>(), minor = r.read<uint8_t>();
  if (version < 1 || version > 3 || minor != 0)
    throw Error(Error::Kind::unsupported, str_cat("array '", name, "' is of npy version ", version, ".", minor));
  constexpr uint32_t kMaxHeader = 1 << 20;
  const uint32_t length = version == 1 ? r.read<uint16_t>() : r.read<uint32_t>();
  if (length > kMaxHeader) bad(name, str_cat("a header of ", length, " bytes"));
  const Header h = HeaderParser(text_of(r.take(length)), name).parse();
  const Bytes data = r.take(r.left());
  if (h.descr.size() > 2 && h.descr[1] == 'U' && h.rank == 1) return {name, {}, read_texts(data, h, name)};
  return {name, read_numbers(data, h, name, std::move(keep)), {}};
}

std::vector<NpzEntry> read_npz_entries(const Zip& zip) {
  std::vector<NpzEntry> out;
  for (const ZipEntry& e : zip.entries()) {
    if (!e.name.ends_with(kExtension))
      throw Error(Error::Kind::format, str_cat("'", e.name, "' in ", zip.path(), " is no array"));
    KeptBytes b = zip.read(e);
    out.push_back(read_npy(b.bytes, e.name.substr(0, e.name.size() - kExtension.size()), std::move(b.keep)));
  }
  return out;
}

StateDict read_npz(const Zip& zip) {
  StateDict out;
  for (NpzEntry& e : read_npz_entries(zip))
    if (e.tensor) out.set(e.name, std::move(e.tensor));
  return out;
}
StateDict read_npz(const std::string& path) { return read_npz(Zip::open(MappedFile::open(path))); }

std::string npy_header(std::string_view descr, const Shape& shape) {
  std::string dict = str_cat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (");
  for (int i = 0; i < shape.size(); ++i) dict += str_cat(i ? ", " : "", shape[i], shape.size() == 1 ? "," : "");
  dict += "), }";
  constexpr size_t kBefore = 10, kAlignment = 64;
  dict.append(kAlignment - 1 - (kBefore + dict.size()) % kAlignment, ' ');
  dict += '\n';
  std::string s = str_cat(kMagic, '\1', '\0');
  append_le(s, static_cast<uint16_t>(dict.size()));
  return s + dict;
}

std::string npy_descr(DType t) {
  for (const NumpyDtype& d : kDtypes)
    if (d.dtype == t) return str_cat(size_of(t) == 1 ? '|' : '<', d.code);
  throw Error(Error::Kind::unsupported, str_cat("NumPy's files have no ", name_of(t)));
}

namespace {
// One array as it stands in a file: a header and bytes that somebody owns.
struct Npy {
  std::string header, texts;
  Tensor numbers;
  Bytes body() const {
    if (!numbers) return bytes_of(texts);
    return numbers.numel() ? Bytes(numbers.bytes(), static_cast<size_t>(numbers.meta().bytes())) : Bytes{};
  }
};

Npy npy_of(const Tensor& t) {
  Npy out;
  out.numbers = dense(t, t.dtype() == DType::bf16 ? DType::f32 : DType::none);
  out.header = npy_header(npy_descr(out.numbers.dtype()), t.shape());
  return out;
}
Npy npy_of(const std::vector<std::string>& texts) {
  std::vector<std::vector<uint32_t>> rows;
  size_t width = 1;
  for (const std::string& s : texts) width = std::max(width, rows.emplace_back(code_points(s)).size());
  Npy out;
  for (auto& row : rows) {
    row.resize(width);
    for (uint32_t c : row) append_le(out.texts, c);
  }
  out.header = npy_header(str_cat("<U", width), {static_cast<int64_t>(rows.size())});
  return out;
}
}  // namespace

void write_npz(const std::string& path, std::span<const NpzEntry> entries) {
  ZipWriter zip(path);
  std::unordered_set<std::string_view> names;
  for (const NpzEntry& e : entries) {
    if (e.name.empty() || e.name.find('\0') != std::string::npos || !names.insert(e.name).second)
      throw Error(Error::Kind::argument, str_cat("'", e.name, "' cannot be the name of another array in ", path));
    const Npy npy = e.tensor ? npy_of(e.tensor) : npy_of(e.texts);
    zip.add(str_cat(e.name, kExtension), npy.header, npy.body());
  }
  zip.finish();
}

void write_npz(const std::string& path, const StateDict& tensors) {
  std::vector<NpzEntry> entries;
  for (const auto& [name, tensor] : tensors) entries.push_back({name, tensor, {}});
  write_npz(path, entries);
}

void write_npy(const std::string& path, const Tensor& t) {
  const Npy npy = npy_of(t);
  AtomicFile file(path);
  file.write(npy.header);
  file.write(npy.body());
  file.commit();
}

}  // namespace fovea
