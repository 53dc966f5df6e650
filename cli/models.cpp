// SPDX-License-Identifier: Apache-2.0
// cli/models.cpp — `fovea models [GLOB…]`: which models there are.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments {
  zoo::ListOptions list;
  bool all = false, json = false;
};

bool matches(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) { return glob_match(p, name); });
}

// Architectures (or their tags) that timm has and this build does not.
std::vector<std::string> not_built(const zoo::ListOptions& o) {
  std::vector<std::string> out;
  for (const zoo::PretrainedCfg& row : zoo::catalogue()) {
    const std::string architecture(row.architecture);
    if (zoo::is_model(architecture) || (!o.module.empty() && row.module != o.module) ||
        (o.pretrained && !row.has_weights()))
      continue;
    const std::string name = o.tags ? row.name() : architecture;
    if (!o.patterns.empty() && !matches(o.patterns, name) && !matches(o.patterns, architecture)) continue;
    if (matches(o.exclude, name) || matches(o.exclude, architecture)) continue;
    if (out.empty() || out.back() != name) out.push_back(name);
  }
  return out;
}

// A misspelt module would look like an empty one.
void want_module(const std::string& name) {
  std::vector<std::string> known = zoo::modules();
  for (const zoo::PretrainedCfg& row : zoo::catalogue()) known.emplace_back(row.module);
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  if (std::binary_search(known.begin(), known.end(), name)) return;
  const std::vector<std::string> near = closest(name, known);
  throw Error(Error::Kind::not_found, cat("no module '", name, "'"),
              near.empty() ? "there are: " + join(known, ", ") : "closest: " + join(near, ", "));
}

void run(const Arguments& a) {
  if (!a.list.module.empty()) want_module(a.list.module);
  std::vector<std::string> names = zoo::list(a.list);
  if (a.all) {
    const std::vector<std::string> rest = not_built(a.list);
    names.insert(names.end(), rest.begin(), rest.end());
    std::sort(names.begin(), names.end(), natural_less);
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
  if (a.json) {
    std::printf("%s\n", nlohmann::json(names).dump(2).c_str());
    return;
  }
  for (const std::string& name : names) std::printf("%s\n", name.c_str());
}

}  // namespace

void add_models(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("models", "list the models by name");
  command->add_option("patterns", a->list.patterns, "wildcards, such as 'efficientnet*'");
  command->add_option("--exclude", a->list.exclude, "leave out what these wildcards match");
  command->add_option("--module", a->list.module, "only this family (timm's module name)");
  command->add_flag("--pretrained", a->list.pretrained, "only those with published weights");
  command->add_flag("--tags", a->list.tags, "one line for each set of weights: name.tag");
  command->add_flag("--all", a->all, "also those of timm that this build lacks");
  command->add_flag("--json", a->json, "as a JSON list");
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
