// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/sharded.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "weights_tools/safe_name.h"
#include "weights_tools/safetensors.h"

namespace fovea {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

[[noreturn]] void bad(const MappedFile& index, const std::string& what) {
  throw Error(Error::Kind::format, cat(index.path(), " is not a valid index of safetensors files: ", what));
}

// Tensor name -> file name. Duplicate keys are refused, as they are in safetensors files.
std::map<std::string, std::string> weight_map(const MappedFile& index) {
  constexpr size_t kMost = size_t{64} << 20, kMaxDepth = 8;
  if (index.bytes().size() > kMost) bad(index, cat("it has ", index.bytes().size(), " bytes"));
  std::vector<std::map<std::string, bool>> seen;
  std::string twice;
  bool deep = false;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    deep = deep || depth > static_cast<int>(kMaxDepth);
    if (event == json::parse_event_t::object_start) seen.emplace_back();
    if (event == json::parse_event_t::object_end) seen.pop_back();
    if (event == json::parse_event_t::key && !seen.back().emplace(value.get<std::string>(), true).second)
      twice = value.get<std::string>();
    return !deep;
  };
  json parsed;
  try {
    parsed = json::parse(text_of(index.bytes()), watch);
  } catch (const json::exception& e) { bad(index, e.what()); }
  if (deep) bad(index, "it nests too deep");
  if (!twice.empty()) bad(index, cat("the key '", twice, "' occurs twice"));
  const auto found = parsed.is_object() ? parsed.find("weight_map") : parsed.end();
  if (!parsed.is_object() || found == parsed.end() || !found->is_object()) bad(index, "it has no weight_map");
  std::map<std::string, std::string> out;
  for (const auto& [name, file] : found->items()) {
    if (!file.is_string()) bad(index, cat("the file of tensor '", name, "' is no text"));
    const std::string text = file.get<std::string>();
    if (!is_safe_name(text)) bad(index, cat("the file of tensor '", name, "' is called '", text, "'"));
    out.emplace(name, text);
  }
  if (out.empty()) bad(index, "its weight_map is empty");
  return out;
}

bool inside(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

// Links of untrusted folders must not make other files of this machine weights.
std::string path_of(const MappedFile& index, const std::string& file) {
  const fs::path folder = fs::path(index.path()).parent_path(), path = folder / file;
  std::error_code gone;
  const fs::path real = fs::canonical(path, gone), home = fs::canonical(folder.empty() ? "." : folder, gone);
  if (gone) return path.string();  // opening it says why
  const fs::path blobs = home.parent_path().parent_path() / "blobs";
  const bool in_cache = home.parent_path().filename() == "snapshots" && inside(real, blobs);
  if (!inside(real, home) && !in_cache)
    bad(index, cat("'", file, "' is a link to ", real.string(), ", outside of the folder"));
  return path.string();
}
}  // namespace

bool is_shard_index_name(std::string_view path) { return path.ends_with(".safetensors.index.json"); }

bool is_shard_index(Bytes file) {
  constexpr size_t kSeen = 4096;
  const std::string_view start = text_of(file.first(std::min(file.size(), kSeen)));
  const size_t first = start.find_first_not_of(" \t\r\n");
  return first != start.npos && start[first] == '{' && start.find("\"weight_map\"") != start.npos;
}

std::vector<std::string> shards_of(const MappedFile& index) {
  std::vector<std::string> files;
  for (const auto& [name, file] : weight_map(index)) files.push_back(file);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

StateDict read_sharded(const std::shared_ptr<const MappedFile>& index, FileAccess access) {
  std::map<std::string, std::string> missing = weight_map(*index);
  StateDict out;
  for (const std::string& file : shards_of(*index)) {
    const StateDict part = read_safetensors(path_of(*index, file), {.access = access});
    for (const auto& [name, tensor] : part) {
      const auto it = missing.find(name);
      if (it == missing.end())
        bad(*index, cat(file, " holds the tensor '", name, "', which ",
                        out.contains(name) ? "another file holds, too" : "it does not list"));
      if (it->second != file) bad(*index, cat("'", name, "' is in ", file, ", but should be in ", it->second));
      out.set(name, tensor);
      missing.erase(it);
    }
    if (out.metadata.empty()) out.metadata = part.metadata;
  }
  if (!missing.empty()) bad(*index, cat(missing.begin()->second, " lacks the tensor '", missing.begin()->first, "'"));
  return out;
}

}  // namespace fovea
