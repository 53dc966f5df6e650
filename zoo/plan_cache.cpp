// SPDX-License-Identifier: Apache-2.0
#include "zoo/plan_cache.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "engine/core/threads.h"
#include "engine/graph/calibration.h"
#include "engine/graph/session_cache.h"
#include "weights_tools/atomic_file.h"
#include "weights_tools/names_in.h"
#include "weights_tools/sha256.h"

namespace fovea::zoo {
namespace {

namespace fs = std::filesystem;

// All that decides what is compiled, but the contents of the weights: what was traced (constants that the model made by
// itself count with their bytes), what the family does to weights when it loads them, and what is compiled for.
std::string description(const ImageModel& model, const ModelOptions& made_with, const Graph& traced,
                        const Target& target) {
  Sha256 graph, ranges;
  graph.update(traced.print());
  for (const Value& v : traced.values) {
    if (!v.constant) continue;
    graph.update(str_cat(v.name, " ", v.meta, "\n"));
    if (!v.constant.has_bytes()) continue;
    const Tensor whole = dense(v.constant);
    graph.update(Bytes(whole.numel() ? whole.bytes() : nullptr, static_cast<size_t>(whole.meta().bytes())));
  }
  if (target.calibration)
    for (const auto& [name, seen] : target.calibration->values) {
      ranges.update(str_cat(name, " ", seen.lo, " ", seen.hi, " ", seen.mean.size(), "\n"));
      ranges.update(std::as_bytes(std::span(seen.mean)));
    }
  std::string settings;
  for (const auto& [name, value] : made_with.set) settings += str_cat(name, "=", value, " ");
  return str_cat("model ", model.full_name(), " ", settings, "graph ", hex(graph.finish()), " dtype ",
                 name_of(target.dtype), " threads ", target.threads ? target.threads : threads(), " without ",
                 join(target.without, ","), " ranges ", hex(ranges.finish()));
}

// Closed by whatever ends the scope.
struct Opened {
  Opened(const std::string& path, int flags) : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags)) {}
  ~Opened() {
    if (fd >= 0) ::close(fd);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  explicit operator bool() const { return fd >= 0; }
  const int fd;
};

bool owned_folder(const std::string& path) {
  const Opened folder(path, O_DIRECTORY);
  return folder && trusted_file(folder.fd);
}

// Nobody else may write there, for who can decides what models answer.
bool make_folder(const std::string& path) {
  std::error_code ignored;
  fs::create_directories(fs::path(path).parent_path(), ignored);
  ::mkdir(path.c_str(), 0700);
  return owned_folder(path);
}

std::string stamp_of(const struct stat& s) {
  std::string text;
  for (const auto v : {static_cast<int64_t>(s.st_dev), static_cast<int64_t>(s.st_ino), static_cast<int64_t>(s.st_size),
                       static_cast<int64_t>(s.st_mtim.tv_sec), static_cast<int64_t>(s.st_mtim.tv_nsec),
                       static_cast<int64_t>(s.st_ctim.tv_sec), static_cast<int64_t>(s.st_ctim.tv_nsec)})
    text += str_cat(v, " ");
  return text;
}

// What changes when a file's contents do; empty: there is none. `settled`: it was not changed in the last seconds, so
// that further changes show.
std::string stamp_of(const std::string& path, bool* settled = nullptr) {
  constexpr time_t kSettled = 2;
  const time_t now = ::time(nullptr);
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0 || !S_ISREG(s.st_mode)) return {};
  if (settled) *settled = now > std::max(s.st_mtim.tv_sec, s.st_ctim.tv_sec) + kSettled;
  return stamp_of(s);
}

// Block by block, so that a large file does not count as this process's memory. Nothing for a file that ends early.
std::optional<std::string> contents_sum(int fd, size_t bytes) {
  constexpr size_t kBlock = size_t{8} << 20;
  std::vector<std::byte> block(std::min(kBlock, bytes));
  Sha256 sum;
  for (size_t at = 0; at < bytes; at += block.size()) {
    block.resize(std::min(kBlock, bytes - at));
    for (size_t have = 0; have < block.size();) {
      const ssize_t n = ::pread(fd, block.data() + have, block.size() - have, static_cast<off_t>(at + have));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return {};
      have += static_cast<size_t>(n);
    }
    sum.update(sha256_tree(block));
  }
  return hex(sum.finish());
}

// Nothing unless it is, before and after, the file of this stamp.
std::optional<std::string> contents_sum(const std::string& path, const std::string& stamp) {
  const Opened file(path, O_NONBLOCK);
  struct stat s {};
  std::optional<std::string> sum;
  if (file && ::fstat(file.fd, &s) == 0 && stamp_of(s) == stamp)
    sum = contents_sum(file.fd, static_cast<size_t>(s.st_size));
  return stamp_of(path) == stamp ? sum : std::nullopt;
}

std::string record_path(const std::string& folder, const std::string& weights) {
  std::error_code ignored;
  return str_cat(folder, "/", sha256(fs::absolute(weights, ignored).string()).substr(0, 32), ".sum");
}

std::optional<std::string> recorded_sum(const std::string& path, const std::string& stamp) {
  constexpr size_t kMost = 512, kDigits = 64;
  const Opened file(path, O_NONBLOCK);
  if (!file) return {};
  std::string text(kMost, '\0');
  const ssize_t n = trusted_file(file.fd) ? ::read(file.fd, text.data(), text.size()) : 0;
  text.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  const std::string start = stamp + "\n";
  if (!text.starts_with(start) || text.size() != start.size() + kDigits + 1 || text.back() != '\n') return {};
  return text.substr(start.size(), kDigits);
}

void record_sum(const std::string& path, const std::string& stamp, const std::string& sum) {
  const std::string temporary = str_cat(path, ".", static_cast<int64_t>(::getpid()), ".tmp");
  const std::string text = str_cat(stamp, "\n", sum, "\n");
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) ::unlink(temporary.c_str());
}

bool any_with(const std::string& folder, const std::string& prefix) {
  const std::vector<std::string> names = names_in(folder);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return name.starts_with(prefix); });
}

std::string end_of_name(const std::string& sum) { return str_cat("-", sum, ".plan"); }

// Of the sessions of the same weights that stand by themselves, the one that holds most of this one's constants; none
// where too little would be saved.
std::optional<Session> base_for(const Session& session, const std::string& folder, const std::string& own,
                                const std::string& sum) {
  std::optional<Session> best;
  int64_t most = session.constant_bytes() / 4;
  for (const std::string& name : names_in(folder)) {
    const std::string path = str_cat(folder, "/", name);
    if (path == own || !name.ends_with(end_of_name(sum))) continue;
    std::optional<Session> found = load_base(path);
    const int64_t bytes = found ? bytes_in_base(session, *found) : 0;
    if (bytes <= most) continue;
    most = bytes;
    best = std::move(found);
  }
  return best;
}

// When it was last used is kept as the time of the last access: that of the last change says whether it is intact.
void mark_used(const std::string& path) {
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
}

// Those that were not used for longest go, until all together are small enough; what interrupted writers left goes too.
void make_room(const std::string& folder, int64_t most_bytes) {
  struct File {
    std::string path;
    timespec used;
    int64_t bytes;
  };
  std::vector<File> files;
  int64_t all = 0;
  for (const std::string& name : names_in(folder)) {
    std::string path = str_cat(folder, "/", name);
    struct stat s {};
    if (::lstat(path.c_str(), &s) != 0 || !S_ISREG(s.st_mode)) continue;
    constexpr time_t kHour = 3600;
    if (name.ends_with(".tmp") && ::time(nullptr) - s.st_mtim.tv_sec > kHour) ::unlink(path.c_str());
    if (!name.ends_with(".plan")) continue;
    files.push_back({std::move(path), s.st_atim, static_cast<int64_t>(s.st_size)});
    all += files.back().bytes;
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return std::tuple(a.used.tv_sec, a.used.tv_nsec) < std::tuple(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const File& f : files) {
    if (all <= most_bytes) return;
    ::unlink(f.path.c_str());
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
  // Relative ones would be another folder wherever a program stands.
  if (const std::string xdg = set("XDG_CACHE_HOME"); xdg.starts_with('/')) return xdg + "/fovea/plans";
  if (const std::string home = set("HOME"); home.starts_with('/')) return home + "/.cache/fovea/plans";
  return {};
}

PlanCache::PlanCache(const ImageModel& model, const ModelOptions& made_with, const Graph& traced, std::string weights,
                     const Target& target, std::string where)
    : folder_(std::move(where)),
      weights_(std::move(weights)),
      stamp_(stamp_of(weights_, &settled_)),
      what_(description(model, made_with, traced, target)),
      prefix_(sha256(str_cat(what_, build_identity(), processor_identity())).substr(0, 32)) {
  if (folder_.empty() || stamp_.empty()) return;
  const bool ours = owned_folder(folder_);
  if (ours) sum_ = recorded_sum(record_path(folder_, weights_), stamp_);
  // Without any candidate the first start need not wait for the sum, unless it could not be told later that the file is
  // still the same.
  if (!sum_ && (!settled_ || (ours && any_with(folder_, prefix_)))) sum_ = summed();
}

std::optional<std::string> PlanCache::summed() const {
  const std::optional<std::string> sum = contents_sum(weights_, stamp_);
  if (sum && settled_ && make_folder(folder_)) record_sum(record_path(folder_, weights_), stamp_, *sum);
  return sum;
}

std::string PlanCache::path_for(const std::string& sum) const {
  return str_cat(folder_, "/", prefix_, end_of_name(sum));
}
std::string PlanCache::key_for(const std::string& sum) const { return str_cat(what_, " weights ", sum); }

std::optional<Session> PlanCache::load() const {
  if (!sum_ || !owned_folder(folder_)) return {};
  std::optional<Session> found = load_session(path_for(*sum_), key_for(*sum_));
  if (found)
    for (const std::string& path : files_of(*found)) mark_used(path);
  return found;
}

bool PlanCache::store(const Session& session, int64_t most_bytes) const noexcept {
  try {
    if (folder_.empty() || stamp_.empty() || stamp_of(weights_) != stamp_) return false;
    if (session.constant_bytes() > most_bytes || !make_folder(folder_)) return false;
    // A stamp that was settled when it was taken says all; else the contents must be what they were.
    const std::optional<std::string> sum = sum_ && settled_ ? sum_ : summed();
    if (!sum || (sum_ && *sum != *sum_)) return false;
    const std::string path = path_for(*sum);
    const std::optional<Session> base = base_for(session, folder_, path, *sum);
    save_session(session, path, key_for(*sum), base ? &*base : nullptr);
    if (base) mark_used(files_of(*base)[0]);
    make_room(folder_, most_bytes);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool fill_traced(Graph& traced, const ImageModel& model) {
  const StateDict now = model.state_dict();
  for (Value& v : traced.values) {
    if (!v.constant) continue;
    const Tensor* const t = now.find(v.name);
    const bool fits = t && t->meta() == v.meta && t->has_bytes();
    if (fits) v.constant = t->detach();            // also a buffer that had values of its own before
    else if (!v.constant.has_bytes()) return false;
  }
  return true;
}

}  // namespace fovea::zoo
