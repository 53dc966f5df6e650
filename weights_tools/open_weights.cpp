// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/open_weights.h"

#include <algorithm>

#include "engine/core/error.h"
#include "weights_tools/npz.h"
#include "weights_tools/rename.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/torch_checkpoint.h"
#include "weights_tools/zip.h"

namespace fovea {
namespace {
using File = std::shared_ptr<const MappedFile>;

struct Format {
  const char* name;
  bool (*is)(Bytes file);
  StateDict (*read)(File file, const OpenOptions& options);
};

void want_no_key(const std::string& path, const OpenOptions& options) {
  if (!options.key.empty())
    throw Error(Error::Kind::argument, cat(path, " is no torch checkpoint: there is no '", options.key, "' in it"),
                "OpenOptions::prefix chooses among names");
}

StateDict read_zip(File file, const OpenOptions& options) {
  const Zip zip = Zip::open(std::move(file), {.check_crc = options.check_crc});
  if (is_torch_zip(zip))
    return read_torch_zip(
        zip, {.key = options.key, .ema = options.ema, .strict = options.strict, .check_crc = options.check_crc});
  const auto& entries = zip.entries();
  if (!entries.empty() &&
      std::all_of(entries.begin(), entries.end(), [](const ZipEntry& e) { return e.name.ends_with(".npy"); }))
    return want_no_key(zip.path(), options), read_npz(zip);
  throw Error(Error::Kind::format,
              cat(zip.path(), " is a zip archive, but neither of torch (no data.pkl) nor of NumPy (no .npy)",
                  entries.empty() ? "" : cat("; it starts with '", entries[0].name, "'")));
}

constexpr Format kFormats[] = {
    {"zip (torch or npz)", [](Bytes b) { return text_of(b).starts_with("PK\3\4") || text_of(b).starts_with("PK\5\6"); },
     read_zip},
    {"torch stream", is_torch_stream,
     [](File f, const OpenOptions& o) {
       return read_torch_stream(std::move(f), {.key = o.key, .ema = o.ema, .strict = o.strict});
     }},
    {"npy", is_npy,
     [](File f, const OpenOptions& o) {
       want_no_key(f->path(), o);
       NpzEntry e = read_npy(f->bytes(), f->path(), f);
       StateDict out;
       if (e.tensor) out.set("arr_0", std::move(e.tensor));
       return out;
     }},
    // No magic of its own: a length of less than 4 GB, then JSON.
    {"safetensors",
     [](Bytes b) {
       if (b.size() < 9 || load_le<uint64_t>(b) >> 32 != 0) return false;
       const size_t first = text_of(b).find_first_not_of(" \t\r\n", 8);
       return first != std::string_view::npos && b[first] == std::byte{'{'};
     },
     [](File f, const OpenOptions& o) {
       want_no_key(f->path(), o);
       return read_safetensors(std::move(f), {.access = o.access});
     }},
};

struct Hint {
  std::string_view start, what;
};
constexpr Hint kHints[] = {{"\x80", "a pickle, but not one that torch.save wrote"},
                           {"\x89HDF", "HDF5"},
                           {"GGUF", "GGUF"},
                           {"version https://git-lfs", "a Git LFS pointer, not the file itself"},
                           {"\x1f\x8b", "gzip: unpack it first"},
                           {"<!DOCTYPE", "a web page: the download went wrong"},
                           {"<html", "a web page: the download went wrong"},
                           {"{", "JSON text"},
                           {"\x08", "perhaps ONNX"}};

std::string hint_for(Bytes b) {
  constexpr size_t kTarMagicAt = 257;
  if (b.size() > kTarMagicAt + 5 && text_of(b.subspan(kTarMagicAt, 5)) == "ustar")
    return "a tar archive: torch before 0.1.10, or something to unpack first";
  for (const Hint& h : kHints)
    if (text_of(b).starts_with(h.start)) return cat("it looks like ", h.what);
  return "";
}

StateDict chosen(StateDict weights, const std::string& path, const OpenOptions& options) {
  if (options.prefix.empty()) return weights;
  const std::string prefix = options.prefix.ends_with('.') ? options.prefix : options.prefix + ".";
  StateDict out = unwrapped(below(weights, prefix));
  if (!out.empty()) return out;
  std::vector<std::string> starts;
  for (const auto& [name, tensor] : weights)
    if (std::string start = name.substr(0, name.find('.')); starts.empty() || starts.back() != start)
      starts.push_back(std::move(start));
  constexpr size_t kShown = 12;
  if (starts.size() > kShown) starts.resize(kShown);
  throw Error(Error::Kind::not_found, cat("no name in ", path, " begins with '", prefix, "'"),
              cat("they begin with: ", join(starts, ", ")));
}
}  // namespace

StateDict open_weights(const std::string& path, const OpenOptions& options) {
  return open_weights(MappedFile::open(path, options.access), options);
}

StateDict open_weights(File file, const OpenOptions& options) {
  const std::string path = file->path();
  const Bytes b = file->bytes();
  for (const Format& f : kFormats)
    if (f.is(b)) return chosen(unwrapped(f.read(std::move(file), options)), path, options);
  if (b.empty()) throw Error(Error::Kind::format, cat(path, " is empty"));
  std::string known;
  for (const Format& f : kFormats) known += cat(known.empty() ? "" : ", ", f.name);
  const std::string hint = hint_for(b);
  throw Error(Error::Kind::format, cat(path, " is no weight file that fovea knows: it starts with ", show_bytes(b, 16)),
              cat(hint, hint.empty() ? "" : "; ", "known: ", known));
}

}  // namespace fovea
