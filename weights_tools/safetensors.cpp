// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/safetensors.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "weights_tools/atomic_file.h"
#include "weights_tools/foreign.h"

namespace fovea {
namespace {
using nlohmann::json;

struct FileDtype {
  const char* name;
  uint64_t bits;
  DType dtype;  // none: the format has it, fovea does not
  int rank;     // the Python package writes higher ranks first
};
constexpr FileDtype kDtypes[] = {{"BOOL", 8, DType::boolean, 0},
                                 {"F4", 4, DType::none, 1},
                                 {"F6_E2M3", 6, DType::none, 2},
                                 {"F6_E3M2", 6, DType::none, 3},
                                 {"U8", 8, DType::u8, 4},
                                 {"I8", 8, DType::i8, 5},
                                 {"F8_E5M2", 8, DType::none, 6},
                                 {"F8_E4M3", 8, DType::none, 7},
                                 {"F8_E8M0", 8, DType::none, 8},
                                 {"F8_E4M3FNUZ", 8, DType::none, 9},
                                 {"F8_E5M2FNUZ", 8, DType::none, 10},
                                 {"I16", 16, DType::none, 11},
                                 {"U16", 16, DType::none, 12},
                                 {"F16", 16, DType::f16, 13},
                                 {"BF16", 16, DType::bf16, 14},
                                 {"I32", 32, DType::i32, 15},
                                 {"U32", 32, DType::none, 16},
                                 {"F32", 32, DType::f32, 17},
                                 {"C64", 64, DType::none, 18},
                                 {"F64", 64, DType::f64, 19},
                                 {"I64", 64, DType::i64, 20},
                                 {"U64", 64, DType::none, 21}};

struct Record {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<uint64_t>> shape, offsets;
  uint64_t from = 0, to = 0;  // the two offsets, once there are known to be two
};

// Receives the header as it is parsed, so that duplicate keys are seen and nothing but the records is kept.
class HeaderParser final : public nlohmann::json_sax<json> {
 public:
  std::vector<Record> records;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string problem;

  bool null() override {
    return in_metadata_object() ? say("null") : depth() == 1 ? (key_ == "__metadata__" || say("null")) : scalar("null");
  }
  bool boolean(bool) override { return scalar("a boolean"); }
  bool number_float(double, const std::string& text) override { return scalar(str_cat("the number ", text)); }
  bool number_integer(int64_t v) override { return scalar(str_cat("the number ", v)); }
  bool binary(binary_t&) override { return scalar("binary data"); }
  bool number_unsigned(uint64_t v) override {
    if (!list_) return scalar(str_cat("the number ", v));
    list_->push_back(v);
    return true;
  }
  bool string(string_t& v) override {
    if (in_metadata_object()) {
      metadata.emplace_back(key_, std::move(v));
      return true;
    }
    if (depth() == 2 && key_ == "dtype") {
      records.back().dtype = std::move(v);
      return true;
    }
    return scalar("a text");
  }
  bool key(string_t& v) override {
    if (!seen_.back().add(v)) return refuse(str_cat("the key '", v, "' occurs twice", where()));
    key_ = std::move(v);
    return true;
  }
  bool start_object(std::size_t) override {
    if (list_) return say("an object");
    if (depth() == 1) {
      metadata_ = key_ == "__metadata__";
      if (!metadata_) records.push_back({.name = key_});
    } else if (depth() >= 2 && !ignored()) {
      return say("an object");
    }
    return deeper();
  }
  bool end_object() override {
    seen_.pop_back();
    if (depth() == 1) {
      if (!metadata_ && !records.empty()) {
        const Record& r = records.back();
        if (!r.dtype || !r.shape || !r.offsets)
          return refuse(str_cat("tensor '", r.name, "' has no ",
                                !r.dtype   ? "dtype"
                                : !r.shape ? "shape"
                                           : "data_offsets"));
      }
      metadata_ = false;
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (list_ || depth() < 2 || in_metadata_object()) return say("an array");
    if (depth() == 2 && (key_ == "shape" || key_ == "data_offsets")) {
      auto& list = key_ == "shape" ? records.back().shape : records.back().offsets;
      list_ = &list.emplace();
      return true;
    }
    if (depth() == 2 && key_ == "dtype") return say("an array");
    return deeper();
  }
  bool end_array() override {
    if (!list_) seen_.pop_back();
    list_ = nullptr;
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& e) override {
    const std::string_view text =
        e.what();  // "[json.exception.parse_error.101] parse error at line ...: syntax error ..."
    const size_t from = text.find(": ");
    return refuse(str_cat("no valid JSON at byte ", at, from == text.npos ? "" : ": ",
                          from == text.npos ? "" : text.substr(from + 2)));
  }

 private:
  static constexpr size_t kMaxDepth = 64;
  size_t depth() const { return seen_.size(); }  // 1: among tensor names, 2: inside a tensor's record
  bool in_metadata_object() const { return metadata_ && depth() == 2; }
  // Unknown fields of a record may hold anything, as in the Python package.
  bool ignored() const {
    return !metadata_ &&
           (depth() > 2 || (depth() == 2 && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets"));
  }
  bool deeper() {
    if (depth() == kMaxDepth) return refuse(str_cat("it nests deeper than ", kMaxDepth, " levels"));
    seen_.emplace_back();
    return true;
  }
  bool scalar(std::string_view what) { return (!list_ && depth() >= 2 && ignored()) || say(what); }
  std::string where() const {
    if (depth() == 1) return "";
    return metadata_ ? " in __metadata__" : str_cat(" in tensor '", records.back().name, "'");
  }
  bool say(std::string_view what) {
    if (depth() == 0) return refuse(str_cat("it is ", what, ", not an object"));
    if (metadata_ || (depth() == 1 && key_ == "__metadata__"))
      return refuse(str_cat("__metadata__ holds ", what, " where only texts may be"));
    if (depth() == 1) return refuse(str_cat("'", key_, "' is ", what, ", not a tensor's record"));
    return refuse(str_cat(key_, " of tensor '", records.back().name, "' holds ", what));
  }
  bool refuse(std::string text) {
    problem = std::move(text);
    return false;
  }

  // Records have few keys, a header many.
  struct Keys {
    std::vector<std::string> few;
    std::unordered_set<std::string> many;
    bool add(const std::string& key) {
      constexpr size_t kFew = 8;
      if (std::find(few.begin(), few.end(), key) != few.end() || many.contains(key)) return false;
      if (few.size() < kFew) few.push_back(key);
      else many.insert(key);
      return true;
    }
  };
  std::vector<Keys> seen_;  // keys of each open object; arrays count as objects without keys
  std::string key_;
  bool metadata_ = false;
  std::vector<uint64_t>* list_ = nullptr;
};

[[noreturn]] void bad(const MappedFile& file, const std::string& what) {
  throw Error(Error::Kind::format, str_cat(file.path(), " is not a valid safetensors file: ", what));
}

void parse_header(const MappedFile& file, std::string_view header, HeaderParser& parser) {
  if (!is_utf8(header)) bad(file, "the header is not UTF-8");
  const size_t first = header.find_first_not_of(" \t\r\n");
  if (first == header.npos || header[first] != '{')
    bad(file, str_cat("the header starts with ", show_bytes(bytes_of(header)), ", not with '{'"));
  if (const size_t zero = header.find('\0'); zero != header.npos)
    bad(file, str_cat("no valid JSON at byte ", zero, ": a zero byte"));
  const bool parsed = json::sax_parse(header.begin(), header.end(), &parser);
  if (!parsed || !parser.problem.empty()) bad(file, str_cat("in the header, ", parser.problem));
}

const FileDtype* find_dtype(std::string_view name) {
  const auto* type =
      std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const FileDtype& d) { return name == d.name; });
  return type == std::end(kDtypes) ? nullptr : type;
}

// Does the record take exactly the bytes that it says it has?
void check_size(const MappedFile& file, const Record& r) {
  const FileDtype* type = find_dtype(*r.dtype);
  if (!type) bad(file, str_cat("tensor '", r.name, "' has the unknown dtype '", *r.dtype, "'"));
  uint64_t bits = 1;
  bool fits = true;
  for (uint64_t d : *r.shape) fits = fits && checked_mul(bits, d, bits);
  if (!fits || !checked_mul(bits, type->bits, bits)) bad(file, str_cat("the shape of tensor '", r.name, "' overflows"));
  if (bits % 8 != 0) bad(file, str_cat("tensor '", r.name, "' ends inside a byte"));
  if (const uint64_t bytes = r.to - r.from; bits / 8 != bytes)
    bad(file, str_cat("tensor '", r.name, "' takes ", bits / 8,
                      " bytes by its shape and dtype, but its data_offsets span ", bytes));
}

// Offsets in order, without holes and overlaps, up to the end of the file.
void check_records(const MappedFile& file, const std::vector<Record>& records, uint64_t data_size) {
  uint64_t end = 0;
  for (const Record& r : records) {
    const uint64_t from = r.from, to = r.to;
    if (to < from) bad(file, str_cat("tensor '", r.name, "' ends at ", to, ", before its start ", from));
    if (from < end)
      bad(file, str_cat("tensor '", r.name, "' starts at ", from, ", inside the one before, which ends at ", end));
    if (from > end) bad(file, str_cat("a hole from ", end, " to ", from, ", before tensor '", r.name, "'"));
    check_size(file, r);
    if (to > data_size)
      bad(file, str_cat("tensor '", r.name, "' ends at ", to, ", but the file has ", data_size, " bytes of data"));
    end = to;
  }
  if (end != data_size) bad(file, str_cat(data_size - end, " bytes after the last tensor"));
}

Tensor make_tensor(const std::shared_ptr<const MappedFile>& file, const Record& r, Bytes data) {
  const FileDtype* type = find_dtype(*r.dtype);
  const auto foreign = [&](const Shape& s, const std::string& what) {
    return foreign_tensor(s, type->name,
                          Error(Error::Kind::unsupported, str_cat("tensor '", r.name, "' in ", file->path(), what)));
  };
  if (r.shape->size() > Dims::kMax)
    return foreign({}, str_cat(" has ", r.shape->size(), " dimensions; fovea has at most ", Dims::kMax));
  Shape shape;
  for (uint64_t d : *r.shape) shape.push_back(d > INT64_MAX ? -1 : static_cast<int64_t>(d));
  if (!describable(shape, (type->bits + 7) / 8))
    return foreign({}, " is empty, but of a shape whose other sizes overflow");
  if (type->dtype == DType::none)
    return foreign(shape, str_cat(" is of dtype ", type->name, ", which fovea does not have"));
  return tensor_on(data, type->dtype, shape, MappedFile::hold(file, data));
}
}  // namespace

StateDict read_safetensors(const std::string& path, const SafetensorsOptions& options) {
  return read_safetensors(MappedFile::open(path, options.access), options);
}

StateDict read_safetensors(std::shared_ptr<const MappedFile> file, const SafetensorsOptions& options) {
  const Bytes all = file->bytes();
  if (all.size() < 8) bad(*file, str_cat("it has ", all.size(), " bytes, and a header's length alone takes 8"));
  const auto length = load_le<uint64_t>(all);
  if (length > options.max_header)
    bad(*file, str_cat("a header of ", length, " bytes; at most ", options.max_header, " are read"));
  if (length > all.size() - 8) bad(*file, str_cat("a header of ", length, " bytes in a file of ", all.size()));
  HeaderParser header;
  parse_header(*file, text_of(all.subspan(8, static_cast<size_t>(length))), header);
  const Bytes data = all.subspan(8 + static_cast<size_t>(length));

  for (Record& r : header.records) {
    if (r.offsets->size() != 2)
      bad(*file, str_cat("data_offsets of tensor '", r.name, "' has ", r.offsets->size(), " numbers, not 2"));
    r.from = (*r.offsets)[0], r.to = (*r.offsets)[1];
  }
  const auto earlier = [](const Record& a, const Record& b) {
    return a.from != b.from ? a.from < b.from : a.to < b.to;
  };
  if (!std::is_sorted(header.records.begin(), header.records.end(), earlier))
    std::stable_sort(header.records.begin(), header.records.end(), earlier);
  check_records(*file, header.records, data.size());
  StateDict out;
  for (const Record& r : header.records) {
    const Bytes bytes = data.subspan(static_cast<size_t>(r.from), static_cast<size_t>(r.to - r.from));
    out.set(r.name, make_tensor(file, r, bytes));
  }
  out.metadata = std::move(header.metadata);
  return out;
}

namespace {
const FileDtype& file_dtype(DType t) {
  for (const FileDtype& d : kDtypes)
    if (d.dtype == t && t != DType::none) return d;
  throw Error(Error::Kind::internal, str_cat("no safetensors dtype for ", name_of(t)));
}

std::string quoted(const std::string& s) {
  if (!is_utf8(s))
    throw Error(Error::Kind::argument,
                "a tensor name or metadata text that is not UTF-8 cannot be written to safetensors");
  return json(s).dump();
}

struct Planned {
  const StateDict::Entry* entry;
  const FileDtype* type;
};

std::string header_of(const StateDict& tensors, const std::vector<Planned>& order) {
  auto metadata = tensors.metadata;
  if (std::none_of(metadata.begin(), metadata.end(), [](const auto& m) { return m.first == "format"; }))
    metadata.emplace_back("format", "pt");
  std::string s = "{\"__metadata__\":{";
  std::unordered_set<std::string> keys;
  for (const auto& [key, value] : metadata) {
    if (!keys.insert(key).second)
      throw Error(Error::Kind::argument, str_cat("the metadata key '", key, "' is there twice"));
    s += str_cat(keys.size() == 1 ? "" : ",", quoted(key), ":", quoted(value));
  }
  s += "}";
  int64_t offset = 0;
  for (const Planned& p : order) {
    const auto& [name, tensor] = *p.entry;
    if (name == "__metadata__")
      throw Error(Error::Kind::argument, "safetensors keeps the name '__metadata__' for itself");
    s += str_cat(",", quoted(name), ":{\"dtype\":\"", p.type->name, "\",\"shape\":[");
    for (int i = 0; i < tensor.rank(); ++i) s += str_cat(i ? "," : "", tensor.dim(i));
    s += str_cat("],\"data_offsets\":[", offset, ",", offset + tensor.meta().bytes(), "]}");
    offset += tensor.meta().bytes();
  }
  s += "}";
  s.append((8 - s.size() % 8) % 8, ' ');
  return s;
}
}  // namespace

void write_safetensors(const std::string& path, const StateDict& tensors, WriteListener* listener) {
  std::vector<Planned> order;
  for (const StateDict::Entry& e : tensors) order.push_back({&e, &file_dtype(e.second.dtype())});
  std::sort(order.begin(), order.end(), [](const Planned& a, const Planned& b) {
    return a.type->rank != b.type->rank ? a.type->rank > b.type->rank : a.entry->first < b.entry->first;
  });
  const std::string header = header_of(tensors, order);
  AtomicFile file(path);
  std::string length;
  append_le(length, static_cast<uint64_t>(header.size()));
  file.write(length);
  file.write(header);
  for (const Planned& p : order) {
    const Tensor t = dense(p.entry->second);
    if (t.numel()) file.write(Bytes(t.bytes(), static_cast<size_t>(t.meta().bytes())));
    if (listener) listener->written(t.meta().bytes());
  }
  file.commit();
}

}  // namespace fovea
