// SPDX-License-Identifier: Apache-2.0
#include "zoo/plan_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <sys/stat.h>

#include "engine/core/checksum.h"
#include "engine/core/error.h"
#include "engine/core/threads.h"
#include "engine/graph/calibration.h"
#include "engine/graph/session_cache.h"
#include "weights_tools/mapped_file.h"

namespace fovea::zoo {
namespace {

namespace fs = std::filesystem;

std::string hex(uint64_t v) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(v));
  return text;
}
uint64_t sum_of(std::string_view s) { return checksum(std::as_bytes(std::span(s))); }

// Ranges decide what quantised weights are.
uint64_t calibration_sum(const Calibration* c) {
  if (!c) return 0;
  std::string text;
  for (const auto& [name, seen] : c->values) {
    text += cat(name, ' ');
    for (const float* v : {&seen.lo, &seen.hi}) text.append(reinterpret_cast<const char*>(v), sizeof *v);
    text.append(reinterpret_cast<const char*>(seen.mean.data()), seen.mean.size() * sizeof(float));
  }
  return sum_of(text);
}

// What changes when a file's contents do. A file of the last seconds may change again without showing it.
struct Stamp {
  std::string text;
  bool settled = false;
};
std::optional<Stamp> stamp_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0 || !S_ISREG(s.st_mode)) return {};
  constexpr time_t kSettled = 2;
  const auto changed = std::max(s.st_mtim.tv_sec, s.st_ctim.tv_sec);
  return Stamp{cat(static_cast<int64_t>(s.st_dev), " ", static_cast<int64_t>(s.st_ino), " ",
                   static_cast<int64_t>(s.st_size), " ", static_cast<int64_t>(s.st_mtim.tv_sec), ".",
                   static_cast<int64_t>(s.st_mtim.tv_nsec), " ", static_cast<int64_t>(s.st_ctim.tv_sec), ".",
                   static_cast<int64_t>(s.st_ctim.tv_nsec)),
               ::time(nullptr) > changed + kSettled};
}

std::string record_path(const std::string& weights) {
  std::error_code ignored;
  const fs::path whole = fs::absolute(weights, ignored);
  return PlanCache::folder() + "/" + hex(sum_of(whole.string())) + ".sum";
}

std::optional<uint64_t> recorded_sum(const std::string& weights, const Stamp& stamp) {
  std::ifstream file(record_path(weights));
  std::string line, sum;
  if (!std::getline(file, line) || !std::getline(file, sum) || line != stamp.text || sum.size() != 16) return {};
  char* end = nullptr;
  const uint64_t value = std::strtoull(sum.c_str(), &end, 16);
  return *end ? std::nullopt : std::optional(value);
}

// Block by block, each leaving memory again: a large file does not count as this process's.
uint64_t contents_sum(const std::string& path) {
  constexpr size_t kBlock = size_t{16} << 20;
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const Bytes all = file->bytes();
  uint64_t sum = all.size();
  for (size_t at = 0; at < all.size(); at += kBlock) {
    const Bytes block = all.subspan(at, std::min(kBlock, all.size() - at));
    const std::shared_ptr<const void> held = MappedFile::hold(file, block);
    sum = checksum(block, sum);
  }
  return sum;
}

// Of the contents; read only where they were not summed before.
std::optional<uint64_t> weights_sum(const std::string& weights, bool read) {
  const std::optional<Stamp> stamp = stamp_of(weights);
  if (!stamp) return {};
  if (const std::optional<uint64_t> known = recorded_sum(weights, *stamp); known || !read) return known;
  const uint64_t sum = contents_sum(weights);
  if (stamp->settled) {
    std::error_code ignored;
    fs::create_directories(PlanCache::folder(), ignored);
    AtomicFile record(record_path(weights));
    record.write(cat(stamp->text, "\n", hex(sum), "\n"));
    record.commit();
  }
  return sum;
}

bool any_with(const std::string& prefix) {
  std::error_code ignored;
  for (const fs::directory_entry& e : fs::directory_iterator(PlanCache::folder(), ignored))
    if (e.path().filename().string().starts_with(prefix)) return true;
  return false;
}

// Oldest first, until all together are small enough; what an interrupted writer left goes too.
void make_room(int64_t most_bytes) {
  struct File {
    fs::path path;
    fs::file_time_type used;
    int64_t bytes;
  };
  std::vector<File> files;
  int64_t all = 0;
  std::error_code gone;
  for (const fs::directory_entry& e : fs::directory_iterator(PlanCache::folder(), gone)) {
    const auto used = e.last_write_time(gone);
    const auto bytes = static_cast<int64_t>(e.file_size(gone));
    if (gone) continue;
    const std::string extension = e.path().extension().string();
    const auto unused = fs::file_time_type::clock::now() - used;
    if (extension == ".tmp" && unused > std::chrono::hours(1)) fs::remove(e.path(), gone);
    if (extension != ".plan") continue;
    files.push_back({e.path(), used, bytes});
    all += bytes;
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& f : files) {
    if (all <= most_bytes) return;
    fs::remove(f.path, gone);
    all -= f.bytes;
  }
}

}  // namespace

std::string PlanCache::folder() {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (const std::string own = set("FOVEA_CACHE"); !own.empty()) return own;
  if (const std::string xdg = set("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/fovea/plans";
  const std::string home = set("HOME");
  return (home.empty() ? "." : home) + "/.cache/fovea/plans";
}

PlanCache::PlanCache(const Graph& traced, std::string weights, const Target& target) : weights_(std::move(weights)) {
  what_ = cat("graph ", hex(sum_of(traced.print())), " dtype ", name_of(target.dtype), " threads ",
              target.threads ? target.threads : threads(), " without ", join(target.without, ","),
              " ranges ", hex(calibration_sum(target.calibration.get())));
  prefix_ = hex(sum_of(cat(what_, build_identity(), processor_identity())));
}

std::string PlanCache::path_for(uint64_t weights) const {
  return folder() + "/" + prefix_ + "-" + hex(weights) + ".plan";
}
std::string PlanCache::key_for(uint64_t weights) const { return cat(what_, " weights ", hex(weights)); }

std::optional<Session> PlanCache::load() const {
  try {
    // Without any candidate the first start need not wait for the sum.
    const std::optional<uint64_t> sum = weights_sum(weights_, any_with(prefix_));
    if (!sum) return {};
    std::optional<Session> found = load_session(path_for(*sum), key_for(*sum));
    std::error_code ignored;
    if (found) fs::last_write_time(path_for(*sum), fs::file_time_type::clock::now(), ignored);
    return found;
  } catch (const Error&) {
    return {};
  } catch (const fs::filesystem_error&) {
    return {};
  }
}

bool PlanCache::store(const Session& session, int64_t most_bytes) const noexcept {
  try {
    if (session.constant_bytes() > most_bytes) return false;
    const std::optional<uint64_t> sum = weights_sum(weights_, true);
    if (!sum) return false;
    fs::create_directories(folder());
    save_session(session, path_for(*sum), key_for(*sum));
    make_room(most_bytes);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace fovea::zoo
