// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/torch_tar.h"

#include <charconv>
#include <map>

#include "engine/core/error.h"
#include "weights_tools/foreign.h"
#include "weights_tools/torch_choice.h"
#include "weights_tools/torch_tensors.h"

namespace fovea {
namespace {
using Kind = PickleValue::Kind;

constexpr size_t kBlock = 512;

// Members of a tar archive by name, as far as it goes well.
std::map<std::string, Bytes> members_of(Bytes file) {
  constexpr size_t kMostMembers = 64, kNameSize = 100, kSizeAt = 124, kSizeDigits = 12, kMagicAt = 257;
  std::map<std::string, Bytes> out;
  for (size_t at = 0; at + kBlock <= file.size() && out.size() < kMostMembers;) {
    const std::string_view head = text_of(file.subspan(at, kBlock));
    if (head.substr(kMagicAt, 5) != "ustar") break;
    std::string_view name = head.substr(0, kNameSize);
    name = name.substr(0, name.find('\0'));
    if (name.starts_with("./")) name.remove_prefix(2);
    std::string_view digits = head.substr(kSizeAt, kSizeDigits);
    while (digits.starts_with(' ')) digits.remove_prefix(1);
    uint64_t size = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 8);
    if (error != std::errc() || size > file.size() - at - kBlock) break;
    out.emplace(name, file.subspan(at + kBlock, static_cast<size_t>(size)));
    at += kBlock + (static_cast<size_t>(size) + kBlock - 1) / kBlock * kBlock;
  }
  return out;
}

struct TarStorage {
  const TorchDtype* type = nullptr;
  Tensor all;  // every element; absent where fovea has no such dtype
  std::string kind;
  int64_t start = 0, elements = 0;
};

class TarReader {
 public:
  TarReader(std::shared_ptr<const MappedFile> file, const TorchOptions& options)
      : file_(std::move(file)),
        options_(options),
        members_(members_of(file_->bytes())) {}

  StateDict read() {
    read_storages();
    read_tensors();
    const Pickle pickle = read_pickle(members_.at("pickle"), cat("the pickle in ", file_->path()),
                                      {.strict = options_.strict, .plain_ids = true});
    const PickleValue& dict = choose_weights(pickle, file_->path(), {.key = options_.key, .ema = options_.ema});
    StateDict out;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue& value = *dict.items[i + 1];
      if (!dict.items[i]->is(Kind::text) || !value.is(Kind::storage)) continue;
      const auto it = tensors_.find(key_of(*value.items[0]));
      if (it != tensors_.end()) out.set(dict.items[i]->text, it->second);  // else it is a bare storage
    }
    if (out.empty()) no_tensors(pickle, file_->path());
    return out;
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    throw Error(Error::Kind::format, cat(file_->path(), ": ", what), "the file is damaged or was made to mislead");
  }

  // Python's address of an object, as an integer or its digits.
  std::string key_of(const PickleValue& v) const {
    if (v.is(Kind::text)) return std::string(v.text);
    if (v.is(Kind::integer)) return cat(v.integer);
    bad(cat("an object is called ", describe(v)));
  }

  // Pickles one after the other, with bare numbers between them.
  struct Stream {
    const TarReader& of;
    Bytes rest;
    const char* name;
    Pickle next() {
      Pickle p = read_pickle(rest, cat("'", name, "' in ", of.file_->path()), {.strict = of.options_.strict});
      rest = rest.subspan(p.size);
      return p;
    }
    Bytes take(uint64_t n) {
      if (n > rest.size()) of.bad(cat("'", name, "' ends ", n - rest.size(), " bytes too early"));
      const Bytes b = rest.first(static_cast<size_t>(n));
      rest = rest.subspan(static_cast<size_t>(n));
      return b;
    }
    int64_t number() { return static_cast<int64_t>(load_le<uint64_t>(take(8))); }
    int64_t count() {
      const Pickle p = next();
      if (!p.root->is(Kind::integer) || p.root->integer < 0)
        of.bad(cat("'", name, "' begins with ", describe(*p.root)));
      return p.root->integer;
    }
  };

  void read_storages() {
    Stream in{*this, members_.at("storages"), "storages"};
    for (int64_t left = in.count(); left > 0; --left) {
      const Pickle p = in.next();
      if (!p.root->is(Kind::tuple) || p.root->items.size() != 3) bad("a storage is not (key, location, type)");
      TarStorage s{.type = torch_storage(*p.root->items[2])};
      if (!s.type) bad(cat("a storage is made by ", describe(*p.root->items[2])));
      s.elements = in.number();
      int64_t bytes = 0;
      if (s.elements < 0 || !checked_mul(s.elements, static_cast<int64_t>(s.type->size), bytes))
        bad(cat("a storage has ", s.elements, " elements"));
      const Bytes data = in.take(static_cast<uint64_t>(bytes));
      s.kind = s.type->name;
      if (s.type->dtype != DType::none) s.all = tensor_on(data, s.type->dtype, {s.elements}, file_);
      storages_[key_of(*p.root->items[0])] = std::move(s);
    }
    if (in.rest.empty()) return;
    const Pickle views = in.next();  // (key, key of the whole, first element, number of elements)
    if (!views.root->is(Kind::list)) bad(cat("the views of storages are ", describe(*views.root)));
    for (const PickleValue* v : views.root->items) {
      if (!v->is(Kind::tuple) || v->items.size() != 4 || !v->items[2]->is(Kind::integer) ||
          !v->items[3]->is(Kind::integer))
        bad("a view of a storage is malformed");
      const auto root = storages_.find(key_of(*v->items[1]));
      const int64_t start = v->items[2]->integer, elements = v->items[3]->integer;
      int64_t end = 0;
      if (root == storages_.end() || start < 0 || elements < 0 || !checked_add(start, elements, end) ||
          end > root->second.elements)
        bad(cat("a view of ", elements, " elements from ", start, " leaves its storage"));
      TarStorage view = root->second;
      view.start += start;
      view.elements = elements;
      storages_[key_of(*v->items[0])] = std::move(view);
    }
  }

  void read_tensors() {
    Stream in{*this, members_.at("tensors"), "tensors"};
    for (int64_t left = in.count(); left > 0; --left) {
      const Pickle p = in.next();
      if (!p.root->is(Kind::tuple) || p.root->items.size() != 3) bad("a tensor is not (key, storage, type)");
      const auto dims = load_le<uint32_t>(in.take(8));  // the upper half means nothing
      if (dims > Dims::kMax) bad(cat("a tensor of ", dims, " dimensions"));
      Meta m;
      for (Dims* list : {&m.shape, &m.strides})
        for (uint32_t i = 0; i < dims; ++i) list->push_back(in.number());
      const int64_t offset = in.number();
      const std::string key = key_of(*p.root->items[0]);
      if (p.root->items[1]->is(Kind::none)) continue;  // a tensor without a storage holds nothing
      const auto of = storages_.find(key_of(*p.root->items[1]));
      if (of == storages_.end()) bad(cat("tensor ", key, " lies in a storage that is not there"));
      tensors_[key] = make(key, of->second, m, offset);
    }
  }

  Tensor make(const std::string& key, const TarStorage& s, const Meta& m, int64_t offset) const {
    int64_t end = offset;
    bool fits = offset >= 0 && describable(m.shape, s.type->size), any = true;
    for (int i = 0; i < m.shape.size() && fits; ++i) {
      int64_t step = 0;
      any = any && m.shape[i] > 0;
      fits = m.strides[i] >= 0 && checked_mul(m.shape[i] - 1, m.strides[i], step) && checked_add(end, step, end);
    }
    if (!fits || (any ? end >= s.elements : offset > s.elements))
      bad(cat("tensor ", key, " of size ", m.shape, ", strides ", m.strides, " and offset ", offset,
              " leaves its storage of ", s.elements, " elements"));
    if (!s.all)
      return foreign_tensor(m.shape, s.kind,
                            Error(Error::Kind::unsupported, cat("a tensor in ", file_->path(), " is of dtype ", s.kind,
                                                                ", which fovea does not have")));
    return view_of(s.all, m.shape, m.strides, s.all.impl()->offset + s.start + offset);
  }

  std::shared_ptr<const MappedFile> file_;
  TorchOptions options_;
  std::map<std::string, Bytes> members_;
  std::unordered_map<std::string, TarStorage> storages_;
  std::unordered_map<std::string, Tensor> tensors_;
};
}  // namespace

bool is_torch_tar(Bytes file) {
  const std::map<std::string, Bytes> members = members_of(file);
  return members.contains("pickle") && members.contains("tensors") && members.contains("storages");
}

StateDict read_torch_tar(std::shared_ptr<const MappedFile> file, const TorchOptions& options) {
  return TarReader(std::move(file), options).read();
}

}  // namespace fovea
