// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/torch_checkpoint.h"

#include <algorithm>

#include "engine/core/error.h"
#include "weights_tools/torch_choice.h"
#include "weights_tools/torch_tensors.h"

namespace fovea {
namespace {
using Kind = PickleValue::Kind;

constexpr std::string_view kPickleName = "data.pkl";
// The pickle of torch's magic number 0x1950a86a20f9469cfc6c: in protocol 1 its digits; from 2 on PROTO, from 4 on FRAME
// of 13 bytes, then LONG1 of ten bytes and STOP.
using namespace std::string_view_literals;
constexpr std::string_view kMagicDigits = "L119547037146038801333356L\n.", kMagicFrame = "\x95\x0d\0\0\0\0\0\0\0"sv,
                           kMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv;

StateDict tensors_of(const Pickle& pickle, StorageSource& source, const std::string& path,
                     const TorchOptions& options) {
  const PickleValue& dict = choose_weights(pickle, path, {.key = options.key, .ema = options.ema});
  TorchTensors tensors(source, path);
  StateDict out;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    if (!dict.items[i]->is(Kind::text) || !is_torch_tensor(*dict.items[i + 1])) continue;
    const std::string name(dict.items[i]->text);
    out.set(name, tensors.make(*dict.items[i + 1], name));
  }
  if (out.empty()) no_tensors(pickle, path);
  return out;
}

// The folder that everything in a torch archive is in, with its slash; found by the pickle. Null entry: there is none.
const ZipEntry* pickle_entry(const Zip& zip, std::string& root) {
  const ZipEntry* found = nullptr;
  for (const ZipEntry& e : zip.entries()) {
    if (!e.name.ends_with(kPickleName)) continue;
    const std::string folder = e.name.substr(0, e.name.size() - kPickleName.size());
    if (!folder.empty() && folder.find('/') != folder.size() - 1) continue;
    if (found)
      throw Error(Error::Kind::format, str_cat(zip.path(), " holds two checkpoints: ", found->name, " and ", e.name));
    found = &e;
    root = folder;
  }
  return found;
}

struct ZipStorages final : StorageSource {
  const Zip& zip;
  std::string root;
  explicit ZipStorages(const Zip& z, std::string r) : zip(z), root(std::move(r)) {}
  KeptBytes bytes(std::string_view key) override {
    const ZipEntry* e = zip.find(str_cat(root, "data/", key));
    if (!e)
      throw Error(Error::Kind::format,
                  str_cat(zip.path(), " lacks the storage '", key, "' that one of its tensors needs"));
    return zip.read(*e);
  }
};

// The storages behind the pickles of a stream, in the order of the list of keys.
struct StreamStorages final : StorageSource {
  std::shared_ptr<const MappedFile> file;
  std::unordered_map<std::string, Bytes> found;
  KeptBytes bytes(std::string_view key) override {
    const auto it = found.find(std::string(key));
    if (it == found.end())
      throw Error(Error::Kind::format,
                  str_cat(file->path(), " lacks the storage '", key, "' that one of its tensors needs"));
    return {it->second, file};
  }
};

struct StreamPickles {  // the pickles of a stream, in their order, and where the storages start
  Pickle magic, protocol, system, object, keys;
  size_t end = 0;
};

StreamPickles read_stream(const MappedFile& file, const PickleOptions& options) {
  StreamPickles s;
  const auto next = [&](const char* what) {
    Pickle p = read_pickle(file.bytes().subspan(s.end), str_cat("the ", what, " in ", file.path()), options);
    s.end += p.size;
    return p;
  };
  s.magic = next("magic number");
  s.protocol = next("protocol number");
  constexpr int64_t kProtocol = 1001;
  if (!s.protocol.root->is(Kind::integer) || s.protocol.root->integer != kProtocol)
    throw Error(Error::Kind::format,
                str_cat(file.path(), " is a torch file of protocol ", describe(*s.protocol.root), ", not ", kProtocol));
  s.system = next("system information");
  const PickleValue* little = s.system.root->find("little_endian");
  if (little && little->is(Kind::boolean) && !little->integer)
    throw Error(Error::Kind::unsupported, str_cat(file.path(), " was written on a big-endian machine"),
                "load and save it again there as safetensors");
  s.object = next("checkpoint");
  s.keys = next("list of storages");
  if (!s.keys.root->is(Kind::list))
    throw Error(Error::Kind::format, str_cat("the list of storages in ", file.path(), " is ", describe(*s.keys.root)));
  return s;
}
}  // namespace

bool is_torch_zip(const Zip& zip) {
  std::string root;
  return pickle_entry(zip, root) != nullptr;
}

bool is_torch_stream(Bytes file) {
  std::string_view start = text_of(file.first(std::min<size_t>(file.size(), 64)));
  if (start.starts_with(kMagicDigits)) return true;
  if (start.size() < 2 || start[0] != '\x80' || start[1] < 2 || start[1] > 5) return false;
  start.remove_prefix(2);
  if (start.starts_with(kMagicFrame)) start.remove_prefix(kMagicFrame.size());
  return start.starts_with(kMagic);
}

StateDict read_torch_zip(const Zip& zip, const TorchOptions& options) {
  std::string root;
  const ZipEntry* entry = pickle_entry(zip, root);
  if (!entry)
    throw Error(Error::Kind::format,
                str_cat(zip.path(), " is a zip archive without the data.pkl of a torch checkpoint"));
  const bool script = std::any_of(zip.entries().begin(), zip.entries().end(), [&](const ZipEntry& e) {
    return e.name == root + "constants.pkl" || e.name.starts_with(root + "code/");
  });
  if (script)
    throw Error(Error::Kind::unsupported, str_cat(zip.path(), " is a TorchScript program, not a checkpoint"),
                "in Python: torch.save(torch.jit.load(file).state_dict(), other_file)");
  if (const ZipEntry* order = zip.find(root + "byteorder"); order && text_of(zip.read(*order).bytes) != "little")
    throw Error(Error::Kind::unsupported, str_cat(zip.path(), " holds ", text_of(zip.read(*order).bytes).substr(0, 20),
                                                  "-endian numbers; only little-endian ones are read"));
  const KeptBytes bytes = zip.read(*entry);
  const Pickle pickle = read_pickle(bytes.bytes, str_cat(entry->name, " in ", zip.path()), {.strict = options.strict});
  ZipStorages storages(zip, root);
  return tensors_of(pickle, storages, zip.path(), options);
}

StateDict read_torch_stream(std::shared_ptr<const MappedFile> file, const TorchOptions& options) {
  const StreamPickles s = read_stream(*file, {.strict = options.strict});
  std::unordered_map<std::string_view, const PickleValue*> declared;
  for (const PickleValue* v : s.object.storages) declared.emplace(v->items[1]->text, v);
  StreamStorages storages;
  storages.file = file;
  ByteReader r(file->bytes().subspan(s.end), str_cat("the storages of ", file->path()));
  for (const PickleValue* key : s.keys.root->items) {
    const auto it = key->is(Kind::text) ? declared.find(key->text) : declared.end();
    if (it == declared.end())
      throw Error(Error::Kind::format,
                  str_cat(file->path(), " lists as a storage ", describe(*key), ", which no tensor has"));
    const TorchDtype* type = torch_storage(*it->second->items[0]);
    if (!type)
      throw Error(Error::Kind::unsupported,
                  str_cat(file->path(), " has a storage made by ", describe(*it->second->items[0])));
    const auto numel = static_cast<int64_t>(r.read<uint64_t>());
    int64_t bytes = 0;
    if (numel < 0 || numel != it->second->items[3]->integer ||
        !checked_mul(numel, static_cast<int64_t>(type->size), bytes))
      throw Error(Error::Kind::format, str_cat("storage '", key->text, "' of ", file->path(), " should have ",
                                               it->second->items[3]->integer, " elements, and says ", numel));
    if (!storages.found.emplace(std::string(key->text), r.take(static_cast<uint64_t>(bytes))).second)
      throw Error(Error::Kind::format, str_cat(file->path(), " lists the storage '", key->text, "' twice"));
  }
  if (r.left() != 0)
    throw Error(Error::Kind::format, str_cat(r.left(), " bytes after the last storage of ", file->path()));
  return tensors_of(s.object, storages, file->path(), options);
}

std::vector<std::string> inspect_pickle(const std::string& path) {
  std::vector<std::string> seen;
  std::string trouble;
  const auto file = MappedFile::open(path);
  const PickleOptions options{.seen = &seen};
  try {
    if (text_of(file->bytes()).starts_with("PK")) {
      const Zip zip = Zip::open(file);
      for (const ZipEntry& e : zip.entries())
        if (e.name.ends_with(".pkl")) read_pickle(zip.read(e).bytes, str_cat(e.name, " in ", path), options);
    } else if (is_torch_stream(file->bytes())) {
      read_stream(*file, options);
    } else if (text_of(file->bytes()).starts_with('\x80')) {
      read_pickle(file->bytes(), path, options);
    }
  } catch (const Error& e) { trouble = e.summary(); }
  std::vector<std::string> out;
  for (const std::string& g : seen) {
    std::string line = is_suspicious_global(g) ? g + " (suspicious)" : g;
    if (std::find(out.begin(), out.end(), line) == out.end()) out.push_back(std::move(line));
  }
  if (!trouble.empty()) out.push_back(std::move(trouble));
  return out;
}

}  // namespace fovea
