// SPDX-License-Identifier: Apache-2.0
// cli/main.cpp — the `fovea` tool: parses, runs one sub-command, and turns every Error into one message and exit code
// 1.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "cli/command.h"
#include "engine/core/error.h"

int main(int argc, char** argv) {
  CLI::App app{"fovea: timm's image models without Python", "fovea"};
  app.require_subcommand(1);
  app.set_version_flag("--version", FOVEA_VERSION);
  fovea::cli::add_classify(app);
  fovea::cli::add_features(app);
  fovea::cli::add_models(app);
  fovea::cli::add_info(app);
  fovea::cli::add_convert(app);
  fovea::cli::add_bench(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) ? 1 : 0;
  } catch (const fovea::Error& e) {
    std::fprintf(stderr, "fovea: %s\n", e.what());
    return 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "fovea: out of memory\n");
    return 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fovea: %s\n", e.what());
    return 1;
  }
  return 0;
}
