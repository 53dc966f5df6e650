// SPDX-License-Identifier: Apache-2.0
// test/golden/runner/main.cpp — compares models with the figures recorded from timm: `golden FILE… [--only GLOB]
// [--max-params N]`.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "engine/core/error.h"
#include "test/golden/runner/entry.h"
#include "test/support/recorded.h"

namespace fovea::golden {
namespace {

using nlohmann::json;

struct Selection {
  std::vector<std::string> files;
  std::string only;
  double max_params = 0;
};

// What was not compared as recorded.
const char* remark(const json& e, const Options& o) {
  if (o.structure || !has_figures(e)) return "  structure only";
  return steady(e) == e ? "" : "  with the figures of test/golden/steady.json";
}

int compare_files(const Selection& selection, const Options& o) {
  int passed = 0, failed = 0;
  std::vector<std::string> skipped;
  for (const std::string& path : selection.files)
    for (const json& e : read_json(path)) {
      const std::string name = e.at("name");
      if (!selection.only.empty() && !glob_match(selection.only, name)) continue;
      if (selection.max_params > 0 && e.at("params").get<double>() > selection.max_params) {
        skipped.push_back(name);
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      const std::string text = compare_entry(e, path, o);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::printf("%s %s (%.1f s)%s%s%s\n", text.empty() ? "ok  " : "FAIL", name.c_str(), seconds,
                  text.empty() ? "" : ": ", text.c_str(), remark(e, o));
      std::fflush(stdout);
      ++(text.empty() ? passed : failed);
    }
  if (!skipped.empty()) std::printf("skipped %zu: %s\n", skipped.size(), join(skipped, " ").c_str());
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0;
}

}  // namespace
}  // namespace fovea::golden

int main(int argc, char** argv) {
  fovea::golden::Selection selection;
  fovea::golden::Options o;
  std::string device = "cpu";
  CLI::App app{"compares models with the figures recorded from timm", "golden"};
  app.add_option("files", selection.files, "models/<module>.json")->required();
  app.add_option("--only", selection.only, "names that match this wildcard");
  app.add_option("--max-params", selection.max_params, "skip models with more parameters");
  app.add_option("--pair-params", o.pair_params, "two images as one batch, too, up to this size");
  app.add_option("--dtype", o.dtype, "compute in f32 or bf16")->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--device", device, "where to compute")->check(CLI::IsMember({"cpu"}));
  app.add_option("--tol", o.tol, "instead of each entry's own tolerance");
  app.add_flag("--structure", o.structure, "only what can be said without weights");
  app.add_flag("--eager", o.eager, "only op by op");
  app.add_flag("--compiled", o.compiled, "only as compiled sessions");
  CLI11_PARSE(app, argc, argv);
  try {
    return fovea::golden::compare_files(selection, o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "golden: %s\n", e.what());
    return 1;
  }
}
