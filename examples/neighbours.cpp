// SPDX-License-Identifier: Apache-2.0
// examples/neighbours.cpp — a folder of photos into features, and for each photo the one that is most like it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fovea.hpp>

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: neighbours MODEL WEIGHTS FOLDER\n");
    return 1;
  }
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[3]))
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());

  const fovea::Environment env;
  const fovea::Model model(env, {argv[1], argv[2]});
  fovea::SessionOptions options;
  options.outputs = FOVEA_FEATURES;
  fovea::Session session(model, options);

  std::vector<std::string> names;
  std::vector<std::vector<float>> features;        // each of length 1
  constexpr std::size_t kBatch = 16;
  for (std::size_t first = 0; first < paths.size(); first += kBatch) {
    std::vector<fovea::Image> images;
    for (std::size_t i = first; i < std::min(first + kBatch, paths.size()); ++i)
      images.push_back(fovea::Image::file(paths[i]));
    std::vector<std::optional<fovea::Error>> unread;
    const fovea::Result rows = session.run(images, unread)[0];
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (unread[i]) {
        std::fprintf(stderr, "left out: %s\n", unread[i]->what());
        continue;
      }
      const fovea::Span<const float> row = rows.row(static_cast<std::int64_t>(i));
      double length = 0;
      for (const float v : row) length += static_cast<double>(v) * v;
      std::vector<float> unit(row.begin(), row.end());
      for (float& v : unit) v /= static_cast<float>(std::sqrt(length));
      names.push_back(paths[first + i]);
      features.push_back(std::move(unit));
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    double most = -2;
    std::size_t nearest = i;
    for (std::size_t j = 0; j < names.size(); ++j) {
      double likeness = 0;
      for (std::size_t k = 0; k < features[i].size(); ++k) likeness += static_cast<double>(features[i][k]) * features[j][k];
      if (j != i && likeness > most) most = likeness, nearest = j;
    }
    std::printf("%s  is most like  %s  (%.3f)\n", names[i].c_str(), names[nearest].c_str(), most);
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
