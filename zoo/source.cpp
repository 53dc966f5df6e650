// SPDX-License-Identifier: Apache-2.0
#include "zoo/source.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "engine/core/error.h"
#include "hub/cache.h"
#include "weights_tools/names_in.h"
#include "weights_tools/sharded.h"
#include "weights_tools/weights_folder.h"
#include "zoo/settings.h"

namespace fovea::zoo {
namespace {
namespace fs = std::filesystem;

// Before the first colon; "" where that is no scheme: "C:\models" begins with a drive.
std::string scheme_of(std::string_view name) {
  const size_t colon = name.find(':');
  if (colon == name.npos || colon < 2) return "";
  std::string scheme;
  for (const char c : name.substr(0, colon)) {
    const auto b = static_cast<unsigned char>(c);
    if (!std::isalnum(b) && c != '-' && c != '_' && c != '+' && c != '.') return "";
    scheme += static_cast<char>(std::tolower(b));
  }
  return scheme == "hf_hub" ? "hf-hub" : scheme;
}

// In which order files of a repository are asked for. Of a pickle the same weights as safetensors come first.
std::vector<std::string> wanted_files(std::string_view named) {
  if (named.empty()) return usual_weight_names();
  std::vector<std::string> out;
  if (named == "pytorch_model.bin") out.emplace_back("model.safetensors");
  else if (named.ends_with(".bin")) out.push_back(str_cat(named.substr(0, named.size() - 4), ".safetensors"));
  out.emplace_back(named);
  return out;
}

// Files may lie in the cache without a note of which revision they are.
std::string in_any_snapshot(const hub::Settings& settings, const hub::Repo& repo,
                            const std::vector<std::string>& files) {
  const fs::path root = fs::path(settings.cache) / hub::repo_folder(repo.id);
  std::error_code ignored;
  if (settings.cache.empty() || fs::exists(root / "refs", ignored)) return "";
  const fs::path snapshots = root / "snapshots";
  for (const std::string& revision : names_in(snapshots.string()))
    for (const std::string& file : files)
      if (const fs::path path = snapshots / revision / file; fs::is_regular_file(path, ignored)) return path.string();
  return "";
}

std::string with_shards(hub::Client& client, const hub::Repo& repo, const std::string& path) {
  if (is_shard_index_name(path)) {
    // of the index's own commit, which its folder is called by
    const hub::Repo same{.id = repo.id, .revision = fs::path(path).parent_path().filename().string()};
    for (const std::string& shard : shards_of(*MappedFile::open(path, FileAccess::read))) client.file(same, shard);
  }
  return path;
}

std::optional<std::string> cached_weights(hub::Client& client, const hub::Repo& repo,
                                          const std::vector<std::string>& files) {
  for (const std::string& file : files)
    if (std::optional<std::string> path = client.cached(repo, file)) return with_shards(client, repo, *path);
  return {};
}

// Names of the catalogue near a repository that there is not; "" for one that timm lists.
std::string near_repositories(const std::string& id) {
  std::vector<std::string> known;
  for (const PretrainedCfg& row : catalogue())
    if (!row.hf_hub_id.empty()) known.emplace_back(row.hf_hub_id);
  if (std::ranges::find(known, id) != known.end()) return "";
  return join(closest(id, known), ", ");
}

template <class F>
auto asking_for(const hub::Repo& repo, F f) {
  try {
    return f();
  } catch (const Error& e) {
    const std::string near = e.kind() == Error::Kind::not_found ? near_repositories(repo.id) : "";
    if (near.empty()) throw;
    std::string help = std::string(e.what()).substr(e.summary().size());  // a line of its own, indented
    help.erase(0, std::min(help.find_first_not_of("\n "), help.size()));
    throw Error(e.kind(), e.summary(), str_cat("closest that timm lists: ", near, help.empty() ? "" : "; ", help));
  }
}

std::string in_repository(hub::Client& client, const hub::Repo& repo, std::string_view named, hub::Freshness how) {
  const std::vector<std::string> files = wanted_files(named);
  if (how == hub::Freshness::cached) {
    if (std::optional<std::string> path = cached_weights(client, repo, files)) return *path;
    if (std::string path = in_any_snapshot(client.settings(), repo, files); !path.empty()) return path;
  }
  return asking_for(repo, [&] {
    for (const std::string& file : files)
      if (std::optional<std::string> path = client.find_file(repo, file, how)) return with_shards(client, repo, *path);
    throw Error(Error::Kind::not_found, str_cat(repo.text(), " holds no weights"),
                str_cat("they would be called ", join(files, ", ")));
  });
}

}  // namespace

ModelSource parse_source(std::string_view name) {
  const std::string scheme = scheme_of(name);
  if (scheme.empty()) {
    if (name.find_first_of("/\\:") != name.npos)
      throw Error(Error::Kind::argument, str_cat("'", name, "' is no name of a model"),
                  str_cat("hf-hub:", name, " is a repository of the hub, local-dir:", name, " a folder"));
    return {.id = std::string(name)};
  }
  if (scheme != "hf-hub" && scheme != "local-dir")
    throw Error(Error::Kind::argument,
                str_cat("'", name, "' begins with '", scheme, ":', which names no source of models"),
                "there are hf-hub:organisation/name and local-dir:folder");
  const std::string_view id = name.substr(name.find(':') + 1);
  if (id.empty())
    throw Error(Error::Kind::argument, str_cat("'", name, "' names no ", scheme == "hf-hub" ? "repository" : "folder"));
  return {.kind = scheme == "hf-hub" ? ModelSource::Kind::hub : ModelSource::Kind::folder, .id = std::string(id)};
}

HubConfig config_of(const ModelSource& source) {
  if (source.kind == ModelSource::Kind::folder) {
    const fs::path path = fs::path(source.id) / "config.json";
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored))
      throw Error(
          Error::Kind::not_found, str_cat("there is no config.json in the folder ", source.id),
          "it says which model the weights are of; without it, name the model and give the folder as --weights");
    HubConfig config = read_hub_config(path.string());
    read_setting(source.id, config.row.file);
    return config;
  }
  const hub::Repo repo = hub::parse_repo(source.id);
  hub::Client client;
  HubConfig config = read_hub_config(asking_for(repo, [&] { return client.file(repo, "config.json"); }));
  read_setting(repo.text(), config.row.hf_hub_id);
  return config;
}

std::string weights_path(const PretrainedCfg& row, hub::Freshness how) {
  if (!row.file.empty()) return weights_file(std::string(row.file));
  if (!row.has_weights())
    throw Error(Error::Kind::not_found, str_cat("nobody published weights of ", row.name()),
                "materialise() starts from random ones");
  hub::Client client;
  const std::string url(row.url);
  if (row.hf_hub_id.empty()) return client.url(url);
  const hub::Repo repo = hub::parse_repo(row.hf_hub_id);
  if (how == hub::Freshness::cached) {
    if (std::optional<std::string> path = cached_weights(client, repo, wanted_files(row.hf_hub_filename))) return *path;
    if (!url.empty())
      if (std::optional<std::string> path = client.cached_url(url)) return *path;
  }
  return in_repository(client, repo, row.hf_hub_filename, how);
}

std::string weights_path(const std::string& name, hub::Freshness how) {
  if (hub::is_url(name)) return hub::Client().url(name);
  const std::string scheme = scheme_of(name);
  if (scheme == "hf-hub" || scheme == "local-dir") {
    const ModelSource source = parse_source(name);
    if (source.kind == ModelSource::Kind::folder) return weights_file(source.id);
    hub::Client client;
    return in_repository(client, hub::parse_repo(source.id), "", how);
  }
  std::error_code ignored;
  if (name.find('\0') != name.npos || fs::exists(name, ignored)) return weights_file(name);
  const std::string_view now = replacement_for(name);
  const PretrainedCfg* row = find_pretrained(now.empty() ? std::string_view(name) : now);
  return row ? weights_path(*row, how) : name;  // opening it says that there is none
}

}  // namespace fovea::zoo
