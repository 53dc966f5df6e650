// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/torch_tensors.h"

#include <algorithm>

#include "engine/core/error.h"
#include "weights_tools/foreign.h"

namespace fovea {
namespace {
using Kind = PickleValue::Kind;

constexpr TorchDtype kTypes[] = {{"float32", "FloatStorage", DType::f32, 4},
                                 {"float64", "DoubleStorage", DType::f64, 8},
                                 {"float16", "HalfStorage", DType::f16, 2},
                                 {"bfloat16", "BFloat16Storage", DType::bf16, 2},
                                 {"int64", "LongStorage", DType::i64, 8},
                                 {"int32", "IntStorage", DType::i32, 4},
                                 {"int8", "CharStorage", DType::i8, 1},
                                 {"uint8", "ByteStorage", DType::u8, 1},
                                 {"bool", "BoolStorage", DType::boolean, 1},
                                 {"int16", "ShortStorage", DType::none, 2},
                                 {"complex64", "ComplexFloatStorage", DType::none, 8},
                                 {"complex128", "ComplexDoubleStorage", DType::none, 16},
                                 {"qint8", "QInt8Storage", DType::none, 1},
                                 {"quint8", "QUInt8Storage", DType::none, 1},
                                 {"qint32", "QInt32Storage", DType::none, 4},
                                 {"quint4x2", "QUInt4x2Storage", DType::none, 1},
                                 {"quint2x4", "QUInt2x4Storage", DType::none, 1},
                                 {"bytes", "UntypedStorage", DType::none, 1}};
constexpr std::string_view kUntyped = "UntypedStorage";
constexpr size_t kLargestElement = 16;

const TorchDtype* torch_dtype(const PickleValue& global) {
  if (!global.is(Kind::global) || global.text != "torch") return nullptr;
  const auto* t =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TorchDtype& d) { return d.name == global.name(); });
  return t == std::end(kTypes) ? nullptr : t;
}

enum class Rebuild { other, plain, untyped, wrapped, from_type, quantised, sparse, meta, nested, subclass };
Rebuild rebuild_of(const PickleValue& callee) {
  struct Row {
    std::string_view module, name;
    Rebuild how;
  };
  constexpr Row kRows[] = {{"torch._utils", "_rebuild_tensor", Rebuild::plain},
                           {"torch._utils", "_rebuild_tensor_v2", Rebuild::plain},
                           {"torch._utils", "_rebuild_tensor_v3", Rebuild::untyped},
                           {"torch._utils", "_rebuild_parameter", Rebuild::wrapped},
                           {"torch._utils", "_rebuild_parameter_with_state", Rebuild::wrapped},
                           {"torch.nn.parameter", "Parameter", Rebuild::wrapped},
                           {"torch._tensor", "_rebuild_from_type_v2", Rebuild::from_type},
                           {"torch._utils", "_rebuild_qtensor", Rebuild::quantised},
                           {"torch._utils", "_rebuild_sparse_tensor", Rebuild::sparse},
                           {"torch._utils", "_rebuild_sparse_csr_tensor", Rebuild::sparse},
                           {"torch._utils", "_rebuild_meta_tensor_no_storage", Rebuild::meta},
                           {"torch._utils", "_rebuild_nested_tensor", Rebuild::nested},
                           {"torch._utils", "_rebuild_wrapper_subclass", Rebuild::subclass},
                           {"torch._utils", "_rebuild_device_tensor_from_numpy", Rebuild::subclass},
                           {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", Rebuild::subclass},
                           {"torch._utils", "_rebuild_xla_tensor", Rebuild::subclass}};
  for (const Row& r : kRows)
    if (callee.is_global(r.module, r.name)) return r.how;
  return Rebuild::other;
}

// A tuple of integers, or a torch.Size of one.
bool read_dims(const PickleValue& v, Dims& out) {
  const PickleValue* t = &v;
  if (v.is(Kind::object) && v.items[0]->is_global("torch", "Size") && v.items[1]->items.size() == 1)
    t = v.items[1]->items[0];
  if (!t->is(Kind::tuple) && !t->is(Kind::list)) return false;
  if (t->items.size() > Dims::kMax) return false;
  for (const PickleValue* i : t->items) {
    if (!i->is(Kind::integer) || i->integer < 0) return false;
    out.push_back(i->integer);
  }
  return true;
}

// The number of elements from the start of a storage that a strided tensor reaches; false when it overflows.
bool reach(const Shape& shape, const Strides& strides, int64_t offset, int64_t& end) {
  end = offset;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return true;
    int64_t step = 0;
    if (!checked_mul(shape[i] - 1, strides[i], step) || !checked_add(end, step, end)) return false;
  }
  return checked_add(end, int64_t{1}, end);
}
}  // namespace

const TorchDtype* torch_storage(const PickleValue& global) {
  if (!global.is(Kind::global)) return nullptr;
  const bool untyped = global.text == "torch.storage" && global.name() == kUntyped;
  if (!untyped && global.text != "torch" && global.text != "torch.cuda") return nullptr;
  const auto* t = std::find_if(std::begin(kTypes), std::end(kTypes),
                               [&](const TorchDtype& d) { return d.storage == global.name(); });
  return t == std::end(kTypes) ? nullptr : t;
}

bool is_torch_tensor(const PickleValue& v) { return v.is(Kind::object) && rebuild_of(*v.items[0]) != Rebuild::other; }

void TorchTensors::bad(const std::string& name, const std::string& what) const {
  throw Error(Error::Kind::format, str_cat("tensor '", name, "' in ", path_, ": ", what),
              "the file is damaged or was made to mislead");
}
Tensor TorchTensors::foreign(const PickleValue* shape, std::string kind, const std::string& name,
                             const std::string& what) const {
  Shape s;
  if (shape && !(read_dims(*shape, s) && describable(s, kLargestElement))) s = {};
  return foreign_tensor(s, std::move(kind),
                        Error(Error::Kind::unsupported,
                              str_cat("tensor '", name, "' in ", path_, " is ", what, ", which fovea does not have")));
}

Tensor TorchTensors::make(const PickleValue& v, const std::string& name) {
  const PickleValue *call = &v, *callee = nullptr, *args = nullptr;
  constexpr int kMostWrappers = 8;
  for (int depth = 0; depth < kMostWrappers; ++depth) {
    if (!args) {
      if (!call->is(Kind::object)) bad(name, str_cat("it is ", describe(*call)));
      callee = call->items[0], args = call->items[1];
    }
    switch (rebuild_of(*callee)) {
      case Rebuild::plain: return strided(*args, nullptr, name);
      case Rebuild::untyped: {
        if (args->items.size() < 7) bad(name, str_cat("it is rebuilt from ", args->items.size(), " values"));
        const TorchDtype* type = torch_dtype(*args->items[6]);
        if (!type && !args->items[6]->is(Kind::global)) bad(name, "its dtype is no dtype");
        const std::string kind(args->items[6]->name());
        return type ? strided(*args, type, name) : foreign(args->items[2], kind, name, str_cat("of dtype ", kind));
      }
      case Rebuild::wrapped:
        if (args->items.empty()) bad(name, "a parameter of nothing");
        call = args->items[0], args = nullptr;
        break;
      case Rebuild::from_type:
        if (args->items.size() < 3 || !args->items[2]->is(Kind::tuple))
          bad(name, "a subclass of tensor that does not say how it is made");
        callee = args->items[0], args = args->items[2];
        break;
      case Rebuild::quantised:
        return foreign(args->items.size() > 2 ? args->items[2] : nullptr, "quantised", name, "quantised");
      case Rebuild::sparse: return foreign(nullptr, "sparse", name, "sparse");
      case Rebuild::meta: return foreign(nullptr, "meta", name, "on the meta device, without data");
      case Rebuild::nested: return foreign(nullptr, "nested", name, "nested");
      case Rebuild::subclass: return foreign(nullptr, "special", name, "of a special class of tensors");
      case Rebuild::other: bad(name, str_cat("it is made by ", describe(*callee)));
    }
  }
  bad(name, "it is wrapped too often");
}

std::shared_ptr<Storage> TorchTensors::storage(const PickleValue& v, const TorchDtype& type, const std::string& name) {
  const std::string key(v.items[1]->text);
  int64_t bytes = 0;
  if (!checked_mul(v.items[3]->integer, static_cast<int64_t>(type.size), bytes))
    bad(name, "the size of its storage overflows");
  auto& known = storages_[key];
  if (!known) {
    KeptBytes data = source_.bytes(key);
    known = std::make_shared<Storage>(Storage{const_cast<std::byte*>(data.bytes.data()), data.bytes.size(), cpu(),
                                              std::const_pointer_cast<void>(data.keep)});
  }
  if (known->bytes != static_cast<uint64_t>(bytes))
    bad(name, str_cat("its storage '", key, "' should have ", bytes, " bytes, and has ", known->bytes));
  // Streams put storages anywhere; every element type is aligned to at most 8.
  if (reinterpret_cast<uintptr_t>(known->data) % 8 != 0 && bytes != 0) {
    const Tensor room = empty({bytes}, DType::u8);
    std::memcpy(room.bytes(), known->data, known->bytes);
    known = room.impl()->storage;
  }
  return known;
}

Tensor TorchTensors::strided(const PickleValue& args, const TorchDtype* given, const std::string& name) {
  const auto& a = args.items;
  if (a.size() < 4 || !a[0]->is(Kind::storage) || !a[1]->is(Kind::integer))
    bad(name, "it is not rebuilt from (storage, offset, size, stride)");
  const PickleValue& from = *a[0];
  const TorchDtype* stored = torch_storage(*from.items[0]);
  if (!stored)
    return foreign(a[2], std::string(from.items[0]->name()), name,
                   str_cat("on a storage made by ", describe(*from.items[0])));
  const TorchDtype* type = given ? given : stored;
  if (type->dtype == DType::none) return foreign(a[2], std::string(type->name), name, str_cat("of dtype ", type->name));
  const size_t metadata = given ? 7 : 6;
  if (a.size() > metadata && a[metadata]->is(Kind::dict) && !a[metadata]->items.empty())
    return foreign(a[2], "view", name, "a conjugated or negated view");
  const std::shared_ptr<Storage> bytes = storage(from, *stored, name);

  Meta m{.dtype = type->dtype};
  if (!read_dims(*a[2], m.shape) || !read_dims(*a[3], m.strides) || m.shape.size() != m.strides.size())
    bad(name, str_cat("its size and stride are not two lists of at most ", Dims::kMax, " numbers, none negative"));
  int64_t offset = a[1]->integer, elements = static_cast<int64_t>(bytes->bytes / size_of(type->dtype));
  int64_t start = 0;
  if (from.items.size() == 5 && from.items[4]->is(Kind::tuple)) {  // old files: a window of another storage
    const auto& window = from.items[4]->items;
    if (window.size() != 3 || !window[1]->is(Kind::integer) || !window[2]->is(Kind::integer))
      bad(name, "its view of a storage is malformed");
    int64_t end = 0;
    start = window[1]->integer;
    if (start < 0 || window[2]->integer < 0 || !checked_add(start, window[2]->integer, end) || end > elements)
      bad(name, str_cat("it views elements ", start, " to ", end, " of a storage of ", elements));
    elements = window[2]->integer;
  }
  int64_t end = 0;
  if (offset < 0 || !describable(m.shape, size_of(m.dtype)) || !reach(m.shape, m.strides, offset, end) ||
      end > elements)
    bad(name, str_cat("size ", m.shape, ", strides ", m.strides, " and offset ", offset, " leave its storage of ",
                      elements, " elements"));

  auto out = std::make_shared<TensorImpl>();
  out->meta = m;
  out->storage = bytes;
  out->offset = start + offset;
  return Tensor(std::move(out));
}

}  // namespace fovea
