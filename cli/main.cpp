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

struct Known {                                     // a command, which adds itself
  std::string_view name;
  void (*add)(fovea::cli::Command app);
};
constexpr Known kCommands[] = {
    {"classify", fovea::cli::add_classify},
    {"features", fovea::cli::add_features},
    {"models", fovea::cli::add_models},
    {"info", fovea::cli::add_info},
    {"convert", fovea::cli::add_convert},
    {"export", fovea::cli::add_export},
    {"weights", fovea::cli::add_weights},
    {"average", fovea::cli::add_average},
    {"download", fovea::cli::add_download},
    {"cache", fovea::cli::add_cache},
    {"quantize", fovea::cli::add_quantize},
#ifdef FOVEA_TRAINING
    {"train", fovea::cli::add_train},
    {"validate", fovea::cli::add_validate},
    {"infer", fovea::cli::add_infer},
    {"knn", fovea::cli::add_knn},
    {"probe", fovea::cli::add_probe},
#endif
    {"explain", fovea::cli::add_explain},
#ifdef FOVEA_BENCH
    {"bench", fovea::cli::add_bench},
    {"bench-loader", fovea::cli::add_bench_loader},
#endif
    {"doctor", fovea::cli::add_doctor},
};

// Options of all commands take longer than what many a command does: those of the one that is asked for are enough.
void add_commands(fovea::cli::Command app, std::string_view asked) {
  for (const Known& one : kCommands)
    if (one.name == asked) return one.add(app);
  for (const Known& one : kCommands) one.add(app);
}

int run(int argc, char** argv) {
  fovea::cli::Parser parser("fovea: timm's image models without Python", "fovea", FOVEA_VERSION);
  parser.command().require_subcommand();
  add_commands(parser.command(), argc > 1 ? argv[1] : "");
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
