// SPDX-License-Identifier: Apache-2.0
// cli/download.cpp — `fovea download MODEL|REPO|URL…`: fetches weights into the caches that everybody shares.
#include <cstdio>

#include "cli/command.h"
#include "cli/options.h"
#include "engine/core/error.h"
#include "hub/client.h"
#include "zoo/source.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::vector<std::string> names, files;
};

// A repository may be named without a scheme here: nothing else has a slash.
std::string with_scheme(const std::string& name) {
  const bool plain = name.find(':') == name.npos && name.find('/') != name.npos;
  return plain ? "hf-hub:" + name : name;
}

void print(const std::string& path) { std::printf("%s\n", path.c_str()); }

// The repository of a name; nothing for what came by a plain URL.
std::optional<hub::Repo> repo_of(const std::string& name) {
  if (hub::is_url(name)) return {};
  const zoo::ModelSource source = zoo::parse_source(name);
  if (source.kind == zoo::ModelSource::Kind::hub) return hub::parse_repo(source.id);
  if (source.kind == zoo::ModelSource::Kind::folder)
    throw Error(Error::Kind::argument, str_cat(name, " is here already"));
  const std::string id(zoo::create(name)->pretrained_cfg().hf_hub_id);
  return id.empty() ? std::nullopt : std::optional(hub::parse_repo(id));
}

void fetch(const std::string& name, const std::vector<std::string>& files) {
  const std::optional<hub::Repo> repo = repo_of(name);
  if (!files.empty() && !repo)
    throw Error(Error::Kind::argument, str_cat("--file is for repositories of the hub, and ", name, " is none"));
  hub::Client client;
  for (const std::string& file : files) print(client.file(*repo, file, hub::Freshness::newest));
  if (!files.empty()) return;
  const std::string path = hub::is_url(name) || zoo::parse_source(name).kind == zoo::ModelSource::Kind::hub
                               ? zoo::weights_path(name, hub::Freshness::newest)
                               : zoo::weights_path(zoo::create(name)->pretrained_cfg(), hub::Freshness::newest);
  if (repo) client.find_file(*repo, "config.json", hub::Freshness::newest);
  print(path);
}

void run(const Arguments& a) {
  for (const std::string& name : a.names) fetch(with_scheme(name), a.files);
}

}  // namespace

void add_download(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("download", "fetch weights, or the newest of them, and say where they are");
  command
      .add_option("names", a->names, "names of `fovea models`, repositories of the hub (ORG/NAME[@REVISION]), or URLs")
      .required();
  command.add_option("--file", a->files, "of repositories, these files instead of the weights and config.json")
      .expected(1)
      .take_all();
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
