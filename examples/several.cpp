// SPDX-License-Identifier: Apache-2.0
// examples/several.cpp — several models in one program, which share one pool of threads: never more than were asked for.
#include <cstdio>
#include <fovea.hpp>

int main(int argc, char** argv) try {
  if (argc < 5 || argc % 2 != 1) {
    std::fprintf(stderr, "usage: several THREADS PHOTO MODEL WEIGHTS [MODEL WEIGHTS]…\n");
    return 1;
  }
  fovea::EnvironmentOptions options;
  options.threads = std::stoi(argv[1]);
  options.log = [](std::int32_t, std::string_view text) {
    std::fprintf(stderr, "fovea: %.*s\n", static_cast<int>(text.size()), text.data());
  };
  const fovea::Environment env(std::move(options));
  std::vector<fovea::Session> sessions;
  for (int i = 3; i < argc; i += 2) sessions.emplace_back(fovea::Model(env, {argv[i], argv[i + 1]}));
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    const std::vector<fovea::Prediction> best = sessions[i].classify(fovea::Image::file(argv[2]), 1);
    std::printf("%s: %.3f  %s\n", argv[3 + 2 * i], static_cast<double>(best[0].probability), best[0].label.c_str());
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
