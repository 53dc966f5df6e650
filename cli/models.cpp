// SPDX-License-Identifier: Apache-2.0
// cli/models.cpp — `fovea models [GLOB…]`: which models there are.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments {
  zoo::ListOptions list;
  bool all = false, json = false, families = false, licenses = false;
  std::optional<bool> tags;  // nothing: as --pretrained
};

// A misspelt module would look like an empty one.
void want_module(const std::string& name) {
  std::vector<std::string> known = zoo::modules();
  for (const zoo::PretrainedCfg& row : zoo::catalogue()) known.emplace_back(row.module);
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  if (std::binary_search(known.begin(), known.end(), name)) return;
  const std::vector<std::string> near = closest(name, known);
  throw Error(Error::Kind::not_found, str_cat("no module '", name, "'"),
              near.empty() ? "there are: " + join(known, ", ") : "closest: " + join(near, ", "));
}

// A line a family of timm: how many of its models, and of its published weights, this build has.
void print_families() {
  std::vector<std::string> modules;
  for (const zoo::PretrainedCfg& row : zoo::catalogue()) modules.emplace_back(row.module);
  std::sort(modules.begin(), modules.end());
  modules.erase(std::unique(modules.begin(), modules.end()), modules.end());
  modules.emplace_back();  // all of them together
  std::printf("%-24s %6s %6s %8s %6s\n", "family", "models", "timm", "weights", "timm");
  for (const std::string& module : modules) {
    zoo::ListOptions o{.module = module};
    const size_t models = zoo::list(o).size(), all = models + zoo::list_missing(o).size();
    o.pretrained = o.tags = true;
    const size_t weights = zoo::list(o).size(), all_weights = weights + zoo::list_missing(o).size();
    std::printf("%-24s %6zu %6zu %8zu %6zu\n", module.empty() ? "all" : module.c_str(), models, all, weights,
                all_weights);
  }
}

void run(Arguments a) {
  a.list.tags = a.tags.value_or(a.list.pretrained);
  if (a.families) {
    print_families();
    return;
  }
  if (!a.list.module.empty()) want_module(a.list.module);
  std::vector<std::string> names = zoo::list(a.list);
  if (a.all) {
    const std::vector<std::string> rest = zoo::list_missing(a.list);
    names.insert(names.end(), rest.begin(), rest.end());
    std::sort(names.begin(), names.end(), natural_less);
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
  for (const std::string& why : zoo::found_nothing(a.list, names)) std::fprintf(stderr, "note: %s\n", why.c_str());
  if (a.json) {
    std::printf("%s\n", Json(names).dump(2).c_str());
    return;
  }
  for (const std::string& name : names) {
    const zoo::PretrainedCfg* row = a.licenses ? zoo::find_pretrained(name) : nullptr;
    if (row)
      std::printf("%s\t%s\n", name.c_str(), row->license.empty() ? "unknown" : std::string(row->license).c_str());
    else std::printf("%s\n", name.c_str());
  }
}

}  // namespace

void add_models(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("models", "list the models by name");
  command.add_option("patterns", a->list.patterns, "wildcards, such as 'efficientnet*'");
  command.add_option("--exclude", a->list.exclude, "leave out what these wildcards match");
  command.add_option("--module", a->list.module, "only this family (timm's module name)");
  command.add_flag("--pretrained", a->list.pretrained, "only those with published weights, by name.tag");
  command.add_flag_function(
      "--tags,!--no-tags", [tags = &a->tags](int64_t count) { *tags = count > 0; },
      "one line for each set of weights, or for each model");
  command.add_option_function<std::string>(
      "--license", [all = &a->list.licenses](const std::string& v) { *all = zoo::split_list(v); },
      "only weights of one of these licenses: apache-2.0,mit");
  command.add_flag("--show-license", a->licenses, "the license behind each name, after a tab");
  command.add_flag("--all", a->all, "also those of timm that this build lacks");
  command.add_flag("--families", a->families, "count them by family instead, beside timm's").excludes("patterns");
  command.add_flag("--json", a->json, "as a JSON list");
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
