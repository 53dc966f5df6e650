// SPDX-License-Identifier: Apache-2.0
// test/golden/runner/main.cpp — compares models with the figures recorded from timm: `golden FILE… [--only GLOB…]
// [--max-params N]`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include "engine/core/error.h"
#include "kernels/cpu/isa/processor.h"
#include "test/golden/runner/entry.h"
#include "test/support/amx_emulator.h"
#include "test/support/far_device.h"
#include "test/support/recorded.h"
#include "test/support/stand_in.h"

namespace fovea::golden {
namespace {

using nlohmann::json;

struct Selection {
  std::vector<std::string> files;
  std::vector<std::string> only;                   // wildcards; none: everything
  double max_params = 0;
};

bool wanted(const Selection& s, const std::string& name) {
  return s.only.empty() ||
         std::any_of(s.only.begin(), s.only.end(), [&](auto& glob) { return glob_match(glob, name); });
}

// What was not compared as recorded, and how near it came where that is not a matter of rounding in f32.
std::string remark(const json& e, const Options& o, const Outcome& outcome) {
  if (o.structure || !has_figures(e)) return "  structure only";
  const std::string text = steady(e) == e ? "" : "  with the figures of test/golden/steady";
  if (o.dtype == "f32") return text;
  char off[64];
  std::snprintf(off, sizeof off, "  off by %.2g, allowed %.2g", outcome.off, tolerance(e, o));
  return text + off;
}

int compare_files(const Selection& selection, const Options& o) {
  int passed = 0, failed = 0;
  std::vector<std::string> skipped;
  for (const std::string& path : selection.files)
    for (const json& e : read_json(path)) {
      const std::string name = e.at("name");
      if (!wanted(selection, name)) continue;
      if (selection.max_params > 0 && e.at("params").get<double>() > selection.max_params) {
        skipped.push_back(name);
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      const Outcome outcome = compare_entry(e, path, o);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      const bool holds = outcome.differs.empty();
      std::printf("%s %s (%.1f s)%s%s%s\n", holds ? "ok  " : "FAIL", name.c_str(), seconds, holds ? "" : ": ",
                  outcome.differs.c_str(), remark(e, o, outcome).c_str());
      std::fflush(stdout);
      ++(holds ? passed : failed);
    }
  if (!skipped.empty()) std::printf("skipped %zu: %s\n", skipped.size(), join(skipped, " ").c_str());
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0;
}

// Which kernels computed: those for GPUs, or ref's in the place of those that are not there yet.
void tell_stand_in_work() {
  const fovea::test::StandInWork work = fovea::test::stand_in_work();
  int64_t planned = 0;
  for (const auto& [op, plans] : work.planned) planned += plans;
  std::printf("stand-in: %lld launches, %lld plans of %zu ops; by ref:", static_cast<long long>(work.launches),
              static_cast<long long>(planned), work.planned.size());
  for (const auto& [op, plans] : work.lacking) std::printf(" %s %lld", op.c_str(), static_cast<long long>(plans));
  std::printf("\n");
}

}  // namespace
}  // namespace fovea::golden

int main(int argc, char** argv) {
  fovea::golden::Selection selection;
  fovea::golden::Options o;
  std::string device = "cpu";
  bool emulate_amx = false;
  CLI::App app{"compares models with the figures recorded from timm", "golden"};
  app.add_option("files", selection.files, "models/<module>.json")->required();
  app.add_option("--only", selection.only, "names that match these wildcards");
  app.add_option("--max-params", selection.max_params, "skip models with more parameters");
  app.add_option("--pair-params", o.pair_params, "two images as one batch, too, up to this size");
  app.add_option("--dtype", o.dtype, "compute in f32 or bf16")->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--device", device,
                 "where to compute: cpu, far:0 and far:1 (of the tests), far:2 (a GPU's stand-in), cuda:0");
  app.add_option("--tol", o.tol,
                 "instead of each entry's own tolerance (in bf16: that of test/golden/bf16.json, else 0.02)");
  app.add_flag("--emulate-amx", emulate_amx, "multiply by AMX, on processors that have AVX512_BF16 but no AMX");
  app.add_flag("--structure", o.structure, "only what can be said without weights");
  app.add_flag("--eager", o.eager, "only op by op");
  app.add_flag("--compiled", o.compiled, "only as compiled sessions");
  CLI11_PARSE(app, argc, argv);
  try {
    o.device = fovea::parse_device(device);
    if (o.device == fovea::test::stand_in()) fovea::test::add_stand_in();
    else if (o.device.kind == fovea::Device::Kind::far) fovea::test::add_far_devices();
    fovea::runtime_of(o.device);
    std::optional<fovea::test::AmxEmulator> emulator;
    std::optional<fovea::kernels::cpu::UseProcessor> use;
    const std::optional<fovea::kernels::cpu::Processor> amx = fovea::test::emulated_amx();
    if (emulate_amx && amx) {
      emulator.emplace();
      use.emplace(*amx);
    } else if (emulate_amx && fovea::kernels::cpu::processor().name != std::string_view("amx")) {
      throw fovea::Error(fovea::Error::Kind::unsupported, "--emulate-amx: this processor has no AVX512_BF16");
    }
    const int status = fovea::golden::compare_files(selection, o);
    if (o.device == fovea::test::stand_in()) fovea::golden::tell_stand_in_work();
    return status;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "golden: %s\n", e.what());
    return 1;
  }
}
