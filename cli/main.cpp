// SPDX-License-Identifier: Apache-2.0
// cli/main.cpp — the `fovea` tool: parses, runs one sub-command, and turns every Error into a message and exit code 1.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <new>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/download_bar.h"
#include "cli/signals.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "hub/settings.h"
#include "weights_tools/bytes.h"

namespace {

// CLI11 would only say that a command is missing.
void want_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
    names.insert(names.end(), command->get_aliases().begin(), command->get_aliases().end());
  }
  if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return;
  const std::vector<std::string> near = fovea::closest(argv[1], names, 1);
  throw fovea::Error(fovea::Error::Kind::argument, fovea::str_cat("no command '", argv[1], "'"),
                     near.empty() ? "there are: " + fovea::join(names, ", ") : "closest: " + near[0]);
}

// CLI11 has short names of one letter; timm's train.py has one of two.
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

// Bad arguments are told as everything else is.
std::string explain(const CLI::App* app, const CLI::Error& e) {
  const std::vector<CLI::App*> commands = app->get_subcommands();
  return fovea::str_cat("fovea: ", e.what(), "\n  fovea ", commands.empty() ? "" : commands[0]->get_name() + " ",
                        "--help says what there is\n");
}

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

void add_commands(CLI::App& app) {
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
  CLI::App app{"fovea: timm's image models without Python", "fovea"};
  app.require_subcommand(1);
  app.set_version_flag("--version", FOVEA_VERSION);
  app.failure_message(explain);
  add_commands(app);
  fovea::cli::DownloadBar bar;
  try {
    want_command(app, argc, argv);
    if (fovea::hub::wants_progress()) fovea::hub::report_downloads_to(&bar);
    std::vector<char*> args = with_long_names(argc, argv);
    app.parse(argc, args.data());
  } catch (const CLI::RuntimeError& e) {            // a command that ends with a code of its own
    return e.get_exit_code();
  } catch (const CLI::ParseError& e) {
    return app.exit(e) ? 1 : 0;
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
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  fovea::cli::prepare_process();
  return finish(run(argc, argv));
}
