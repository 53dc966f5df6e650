// SPDX-License-Identifier: Apache-2.0
#include "bench/spans.h"

#include <algorithm>

namespace fovea::bench {
namespace {

std::vector<std::string> parts_of(std::string_view scope) {
  std::vector<std::string> parts;
  while (!scope.empty()) {
    const size_t dot = std::min(scope.find('.'), scope.size());
    parts.emplace_back(scope.substr(0, dot));
    scope.remove_prefix(std::min(dot + 1, scope.size()));
  }
  return parts;
}

}  // namespace

std::vector<Span> module_spans(const Result& r) {
  std::vector<Span> spans;
  std::vector<std::string> path;                   // of the modules that the last step was in
  std::vector<size_t> open;                        // their spans
  for (size_t i = 0; i < r.steps.size(); ++i) {
    const std::vector<std::string> parts = parts_of(r.steps[i].step.scope);
    size_t same = 0;
    while (same < std::min(parts.size(), path.size()) && parts[same] == path[same]) ++same;
    open.resize(same);
    path = parts;
    for (const size_t s : open) spans[s].last = i;
    for (size_t depth = same; depth < parts.size(); ++depth) {
      open.push_back(spans.size());
      const std::string outer = depth == 0 ? "" : spans[open[depth - 1]].name + ".";
      spans.push_back({outer + parts[depth], depth, i, i});
    }
  }
  return spans;
}

std::vector<double> boundaries(const Result& r) {
  std::vector<double> times{0};
  for (const StepTime& t : r.steps) times.push_back(times.back() + t.seconds);
  return times;
}

std::vector<int64_t> bytes_in_use(const Result& r) {
  std::vector<int64_t> used(r.steps.size(), 0);
  for (size_t i = 0; i < used.size(); ++i) {
    std::vector<std::pair<int64_t, int64_t>> parts;        // what is written in place shares its bytes
    for (const Block& b : r.memory)
      if (b.first <= i && i <= b.last) parts.emplace_back(b.offset, b.offset + b.bytes);
    std::sort(parts.begin(), parts.end());
    int64_t end = 0;
    for (const auto& [from, to] : parts) {
      used[i] += std::max<int64_t>(0, to - std::max(from, end));
      end = std::max(end, to);
    }
  }
  return used;
}

}  // namespace fovea::bench
