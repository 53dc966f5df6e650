// SPDX-License-Identifier: Apache-2.0
#include "bench/start.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include "bench/process.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "weights_tools/safetensors.h"

namespace fovea::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// A folder of its own, gone with this.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "fovea-start-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw Error(Error::Kind::io, str_cat("cannot make a folder like ", name));
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Once {
  double ms = 0, ended_ms = 0, peak_mb = 0;
  bool from_cache = false;
};

[[noreturn]] void failed(const char* what) {
  throw Error(Error::Kind::io, str_cat("bench --start: ", what, ": ", std::strerror(errno)));
}

Once run_once(const std::string& program, const std::vector<std::string>& args) {
  const double begun = now();
  Process process(program, args);
  const std::string line = process.line();
  Once once{.ms = (now() - begun) * 1e3};
  rusage usage{};
  const int status = process.wait(usage);
  once.ended_ms = (now() - begun) * 1e3;
  const ordered_json told = ordered_json::parse(line, nullptr, false);
  if (status != 0 || !told.is_object()) throw Error(Error::Kind::io, "bench --start: a process failed");
  once.from_cache = told.value("from_cache", false);
  once.peak_mb = static_cast<double>(usage.ru_maxrss) / 1024;
  return once;
}

// The next reader must fetch the file from the disk. Pages that were not written yet stay.
void forget(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) failed("cannot open the weights");
  ::fdatasync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

std::vector<std::string> arguments(const WorkOptions& o, int threads) {
  std::vector<std::string> args{"fovea",   "bench",   o.model, "--once",  "--weights",
                                o.weights, "--dtype", o.dtype, "--batch", str_cat(o.batch)};
  if (threads > 0) args.insert(args.end(), {"--threads", str_cat(threads)});
  if (!o.input.empty()) args.insert(args.end(), {"--input", o.input});
  if (o.eager) args.emplace_back("--eager");
  return args;
}

void add(Start& s, const Once& once) {
  s.ms.push_back(once.ms);
  s.peak_mb.push_back(once.peak_mb);
  s.kept_ms = std::max(s.kept_ms, once.ended_ms - once.ms);
}

}  // namespace

void answer_once(const WorkOptions& o) {
  const double begun = now();
  Work work(o);
  const double load = now() - begun;
  const Tensor first = reshape(work(), {-1});
  const std::span<const float> values = first.data<float>();
  ordered_json out = ordered_json::array();
  for (size_t i = 0; i < std::min<size_t>(8, values.size()); ++i) out.push_back(values[i]);
  const ordered_json told{{"load_s", load},
                          {"first_ms", (now() - begun - load) * 1e3},
                          {"from_cache", work.from_cache()},
                          {"out", std::move(out)}};
  std::printf("%s\n", told.dump().c_str());
  std::fflush(stdout);
  work.keep();
}

std::vector<Start> measure_starts(const std::string& program, WorkOptions o, int threads, int runs,
                                  Progress& progress) {
  const Folder folder;
  if (o.weights.empty()) {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create(o.model);
    model->materialise();
    o.weights = folder / "weights.safetensors";
    write_safetensors(o.weights, model->state_dict());
  }
  const char* before = std::getenv("FOVEA_CACHE");
  const std::string kept = before ? before : "";
  ::setenv("FOVEA_CACHE", (folder / "plans").c_str(), 1);
  const std::vector<std::string> args = arguments(o, threads);
  std::vector<std::string> cached = args;
  cached.emplace_back("--cache");
  std::vector<Start> starts{{.name = "cold"},
                            {.name = "cold, file not in memory"},
                            {.name = "cold, fills the plan cache"},
                            {.name = "from the plan cache"}};
  run_once(program, args);                         // the program itself is in memory from now on
  for (int i = 0; i < runs; ++i) {
    if (progress.due()) progress.show(str_cat(o.model, ": start ", i, " of ", runs));
    add(starts[0], run_once(program, args));
    forget(o.weights);
    add(starts[1], run_once(program, args));
    if (o.eager) continue;
    std::error_code ignored;
    fs::remove_all(folder / "plans", ignored);
    add(starts[2], run_once(program, cached));
    const Once hit = run_once(program, cached);
    if (!hit.from_cache) throw Error(Error::Kind::io, "bench --start: the plan cache did not keep the session");
    add(starts[3], hit);
  }
  before ? ::setenv("FOVEA_CACHE", kept.c_str(), 1) : ::unsetenv("FOVEA_CACHE");
  std::erase_if(starts, [](const Start& s) { return s.ms.empty(); });
  for (Start& s : starts) {
    std::sort(s.ms.begin(), s.ms.end());
    std::sort(s.peak_mb.begin(), s.peak_mb.end());
  }
  return starts;
}

std::string start_table(const std::string& model, const std::vector<Start>& starts) {
  std::string text = str_cat(model, ": from the start of the process to the first logits\n");
  for (const Start& s : starts) {
    char line[160];
    std::snprintf(line, sizeof line, "  %-28s median %7.1f ms  fastest %7.1f  slowest %7.1f   peak %6.1f MB\n",
                  s.name.c_str(), s.ms[s.ms.size() / 2], s.ms.front(), s.ms.back(), s.peak_mb[s.peak_mb.size() / 2]);
    text += line;
  }
  return text;
}

std::string start_json(const std::string& model, const std::vector<Start>& starts) {
  ordered_json list = ordered_json::array();
  for (const Start& s : starts)
    list.push_back({{"start", s.name}, {"ms", s.ms}, {"peak_mb", s.peak_mb}, {"kept_ms", s.kept_ms}});
  return ordered_json{{"model", model}, {"starts", std::move(list)}}.dump(2);
}

}  // namespace fovea::bench
