// SPDX-License-Identifier: Apache-2.0
// cli/main.cpp — the `fovea` tool: parses, runs one sub-command, and turns every Error into a message and exit code 1.
#include <algorithm>
#include <cstdio>
#include <new>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/download_bar.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "hub/settings.h"
#include "weights_tools/bytes.h"

namespace {

// The parser would only say that a command is missing.
void want_command(fovea::cli::Command app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::vector<std::string> names = app.subcommand_names();
  if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return;
  const std::vector<std::string> near = fovea::closest(argv[1], names, 1);
  throw fovea::Error(fovea::Error::Kind::argument, fovea::str_cat("no command '", argv[1], "'"),
                     near.empty() ? "there are: " + fovea::join(names, ", ") : "closest: " + near[0]);
}

// Short names have one letter; timm's train.py has one of two.
std::vector<char*> with_long_names(int argc, char** argv) {
  static char batch[] = "--validation-batch-size";
  std::vector<char*> out(argv, argv + argc);
  if (argc > 1 && std::string_view(argv[1]) == "train")
    for (char*& a : out)
      if (std::string_view(a) == "-vb") a = batch;
  return out;
}

// What a file says may be part of it, and must not steer the terminal.
void complain(std::string_view what) { std::fprintf(stderr, "fovea: %s\n", fovea::printable(what, "\n\t\\").c_str()); }

// The exit code, once everything that was said is out.
int finish(int code) {
  try {
    fovea::cli::flush_output();
    return code;
  } catch (const fovea::Error& e) {
    std::fprintf(stderr, "fovea: %s\n", e.what());
    return 1;
  }
}

void add_commands(fovea::cli::Command app) {
  using namespace fovea::cli;
  add_classify(app);
  add_features(app);
  add_models(app);
  add_info(app);
  add_convert(app);
  add_export(app);
  add_weights(app);
  add_average(app);
  add_download(app);
  add_cache(app);
  add_quantize(app);
#ifdef FOVEA_TRAINING
  add_train(app);
  add_validate(app);
  add_infer(app);
  add_probe(app);
#endif
  add_explain(app);
#ifdef FOVEA_BENCH
  add_bench(app);
  add_bench_loader(app);
#endif
  add_doctor(app);
}

int run(int argc, char** argv) {
  fovea::cli::Parser parser("fovea: timm's image models without Python", "fovea", FOVEA_VERSION);
  parser.command().require_subcommand();
  add_commands(parser.command());
  fovea::cli::DownloadBar bar;
  try {
    want_command(parser.command(), argc, argv);
    if (fovea::hub::wants_progress()) fovea::hub::report_downloads_to(&bar);
    const std::vector<char*> args = with_long_names(argc, argv);
    return parser.parse(argc, args.data());
  } catch (const fovea::Error& e) {
    complain(e.what());
    return 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "fovea: out of memory\n");
    return 1;
  } catch (const std::exception& e) {
    complain(e.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  fovea::cli::prepare_process();
  return finish(run(argc, argv));
}
