// SPDX-License-Identifier: Apache-2.0
// cli/cache.cpp — `fovea cache list|verify|gc`: what was downloaded, whether it is right, and what of it nobody needs.
#include <cstdio>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/text.h"
#include "engine/core/error.h"
#include "hub/cache_care.h"
#include "weights_tools/bytes.h"

namespace fovea::cli {
namespace {

struct Arguments {
  bool json = false, remove = false, dry_run = false;
};

std::string revision_of(const hub::CachedFile& f) {
  constexpr size_t kShown = 8;
  return f.revisions.empty() ? f.commit.substr(0, kShown) : join(f.revisions, ", ");
}

std::string title(const hub::CachedFile& f) {
  return printable(f.repo.empty() ? f.name : str_cat(f.repo, "@", revision_of(f), "/", f.name));
}

Json json_of(const hub::CachedFile& f) {
  Json j;
  if (!f.repo.empty()) j = {{"repo", f.repo}, {"commit", f.commit}, {"revisions", f.revisions}};
  j["file"] = printable(f.name);
  j["path"] = printable(f.path);
  j["bytes"] = f.bytes;
  return j;
}

void list(const Arguments& a) {
  const hub::Settings settings = hub::settings_from_environment();
  const std::vector<hub::CachedFile> files = hub::cached_files(settings);
  if (a.json) {
    Json all = Json::array();
    for (const hub::CachedFile& f : files) all.push_back(json_of(f));
    std::printf("%s\n", all.dump(2).c_str());
    return;
  }
  uint64_t bytes = 0;
  for (const hub::CachedFile& f : files) {
    std::printf("%10s  %s\n", megabytes(f.bytes).c_str(), title(f).c_str());
    bytes += f.bytes;
  }
  std::printf("%10s  in %zu files of %s and %s\n", megabytes(bytes).c_str(), files.size(),
              printable(settings.cache).c_str(), printable(settings.checkpoints).c_str());
}

void verify(const Arguments& a) {
  size_t wrong = 0, unknown = 0;
  const std::vector<hub::CachedFile> files = hub::cached_files(hub::settings_from_environment());
  for (const hub::CachedFile& f : files) {
    const hub::Verdict v = hub::verify(f);
    if (v.state == hub::Verdict::State::right) continue;
    const bool is_wrong = v.state == hub::Verdict::State::wrong;
    (is_wrong ? wrong : unknown) += 1;
    const bool gone = is_wrong && a.remove && hub::remove_wrong(f);
    std::printf("%s  %s: %s%s\n", is_wrong ? "WRONG  " : "unknown", title(f).c_str(), v.why.c_str(),
                gone ? " (removed)" : "");
  }
  std::printf("%zu files: %zu right, %zu wrong, %zu without a hash to compare with\n", files.size(),
              files.size() - wrong - unknown, wrong, unknown);
  if (wrong > 0 && !a.remove)
    throw Error(Error::Kind::format, str_cat(wrong, wrong == 1 ? " file is" : " files are", " not what was published"),
                "fovea cache verify --remove removes such files, so that they are fetched again");
}

void collect(const Arguments& a) {
  uint64_t bytes = 0;
  size_t count = 0, failed = 0;
  for (const hub::Leftover& l : hub::leftovers(hub::settings_from_environment())) {
    const bool done = a.dry_run || hub::remove(l);
    std::printf("%s  %s (%s)\n", done ? (a.dry_run ? "would remove" : "removed") : "cannot remove",
                printable(l.path).c_str(), l.what.c_str());
    (done ? count : failed) += 1;
    bytes += done ? l.bytes : 0;
  }
  std::printf("%zu things, %s\n", count, megabytes(bytes).c_str());
  if (failed > 0) throw Error(Error::Kind::io, str_cat(failed, " things could not be removed"));
}

}  // namespace

void add_cache(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("cache", "what was downloaded: list it, verify it, remove what is left over");
  command.require_subcommand();
  Command listed = command.add_subcommand("list", "the files in the caches of huggingface_hub and torch.hub");
  listed.add_flag("--json", a->json, "as a JSON list");
  listed.callback([a] { list(*a); });
  Command verified = command.add_subcommand("verify", "compare every file with the hash that it was published with");
  verified.add_flag("--remove", a->remove, "remove those that are wrong");
  verified.callback([a] { verify(*a); });
  Command collected =
      command.add_subcommand("gc", "remove parts of downloads, contents that nobody refers to, locks, empty folders");
  collected.add_flag("--dry-run", a->dry_run, "only say what would go");
  collected.callback([a] { collect(*a); });
}

}  // namespace fovea::cli
