// SPDX-License-Identifier: Apache-2.0
#include "hub/client.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include <sys/statvfs.h>

#include "engine/core/error.h"
#include "hub/cache.h"
#include "hub/exchange.h"
#include "hub/file_hash.h"
#include "hub/lock.h"
#include "hub/partial.h"
#include "hub/progress.h"

namespace fovea::hub {
namespace {
namespace fs = std::filesystem;

struct NoBody final : Body {
  bool take(const Reply&, Bytes) override { return true; }
};

bool read_size(std::string_view text, uint64_t& size) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// What the hub says of a file before it is fetched.
struct About {
  std::string commit, hash;
  uint64_t size = 0;
};

// W/"abc" -> abc
std::string_view bare(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

About about(const Reply& reply, const std::string& url) {
  About a{.commit = std::string(reply.header("x-repo-commit"))};
  const std::string_view linked = reply.header("x-linked-etag"), size = reply.header("x-linked-size");
  a.hash = bare(linked.empty() ? reply.header("etag") : linked);
  const auto bad = [&](const std::string& what) {
    throw Error(Error::Kind::io,
                str_cat(shown(url), ": ", what, ", so this is no hub, or something on the way changes its answers"),
                "HF_ENDPOINT names the hub or a mirror of it");
  };
  if (!is_commit(a.commit)) bad("no commit (X-Repo-Commit) is told");
  if (!FileHash::knows(a.hash)) bad("no hash to compare with (ETag) is told");
  if (!read_size(size.empty() && !is_redirect(reply.status) ? reply.header("content-length") : size, a.size))
    bad("no size is told");
  return a;
}

struct Wanted {
  std::string what;  // for people
  std::string url;
  std::string hash;  // may be the beginning of one, or ""
  uint64_t size = Partial::kUnknown;
  const Repo* repo = nullptr;
  std::string_view file{};
};

void want_room(const std::string& folder, const std::string& what, uint64_t size, uint64_t had) {
  struct statvfs info {};
  if (size == Partial::kUnknown || ::statvfs(folder.c_str(), &info) != 0) return;
  const auto free = static_cast<double>(info.f_bavail) * static_cast<double>(info.f_frsize);
  const auto needed = static_cast<double>(size - std::min(had, size));
  if (needed <= free) return;
  const auto mb = [](double bytes) { return static_cast<int64_t>(bytes / 1e6 + 0.5); };
  throw Error(Error::Kind::io,
              str_cat(what, " needs ", mb(needed), " MB, but in ", folder, " only ", mb(free), " MB are free"),
              "fovea cache gc removes what is left over; HF_HUB_CACHE and TORCH_HOME name other places");
}

// Bytes of answers into a partial file, if they are what was asked for.
class Filling final : public Body {
 public:
  Filling(Partial& to, const Wanted& wanted, const std::string& folder) : to_(to), wanted_(wanted), folder_(folder) {}
  bool take(const Reply& head, Bytes piece) override {
    if (head.status != 200 && head.status != 206) return true;  // the page of a refusal
    if (!begun_ && !begin(head)) return false;
    if (wanted_.size != Partial::kUnknown && piece.size() > wanted_.size - to_.size()) {
      problem_ = "more came than the file has";
      to_.restart();
      return false;
    }
    to_.write(piece);
    if (Progress* p = listening()) p->more(piece.size());
    return true;
  }
  const std::string& problem() const { return problem_; }

 private:
  bool begin(const Reply& head) {
    begun_ = true;
    const std::string_view encoding = head.header("content-encoding");
    if (!encoding.empty() && encoding != "identity") {
      problem_ = str_cat("the answer is encoded as ", encoding, " although that was not asked for");
      return false;
    }
    if (head.status == 200) {  // the whole, whatever was asked for
      if (to_.size() > 0) {
        to_.restart();
        if (Progress* p = listening()) p->again(0);
      }
      // Sizes that nobody knew before the answer.
      uint64_t size = 0;
      if (wanted_.size == Partial::kUnknown && read_size(head.header("content-length"), size))
        want_room(folder_, wanted_.what, size, 0);
      return true;
    }
    if (head.header("content-range").starts_with(str_cat("bytes ", to_.size(), "-"))) return true;
    problem_ = str_cat("another part came than was asked for: ", head.header("content-range"));
    return false;
  }
  Partial& to_;
  const Wanted& wanted_;
  const std::string& folder_;
  bool begun_ = false;
  std::string problem_;
};

// Tells the listener that it is over, whatever happens.
struct Told {
  ~Told() {
    if (Progress* p = listening()) p->end();
  }
};

// Fetches until the content is whole and right, and puts it to `place`.
void download(const Exchange& exchange, const Wanted& w, Partial& part, const std::string& place) {
  constexpr int kMostWrong = 2;
  const std::string folder = fs::path(place).parent_path().string();
  want_room(folder, w.what, w.size, part.size());
  if (Progress* p = listening()) p->begin(w.what, w.size == Partial::kUnknown ? 0 : w.size, part.size());
  const Told told;
  const bool may_resume = !w.hash.empty();
  uint64_t furthest = part.size();
  for (int failures = 0, wrong = 0;;) {
    const uint64_t before = part.size();
    Reply reply{.status = 200};
    if (w.size == Partial::kUnknown || before < w.size) {
      Request request{.url = w.url};
      if (before > 0) request.headers.push_back(str_cat("Range: bytes=", before, "-"));
      Filling filling(part, w, folder);
      reply = exchange.once(std::move(request), filling);
      if (!filling.problem().empty()) reply.problem = filling.problem();
    }
    const bool success = reply.status == 200 || reply.status == 206 || (reply.status == 416 && before > 0);
    if (!success && !is_passing(reply)) throw refused(reply, w.url, exchange.settings, w.repo, w.file);
    const bool whole = success && (w.size == Partial::kUnknown ? reply.problem.empty() : part.size() == w.size);
    if (whole) {
      if (part.finish(place)) return;
      if (++wrong == kMostWrong)
        throw Error(Error::Kind::format,
                    str_cat("what comes from ", shown(w.url), " is not the file: its hash is another"),
                    str_cat("it should be ", w.hash, "; nothing of it was kept"));
    } else {
      failures = part.size() > furthest ? 1 : failures + 1;
      furthest = std::max(furthest, part.size());
      if (!may_resume || reply.status == 416) part.restart();
      if (failures >= exchange.settings.attempts) {
        if (may_resume && part.size() > 0) part.keep();
        if (reply.status != 0 && !success) throw refused(reply, w.url, exchange.settings, w.repo, w.file);
        throw no_network(w.url, str_cat(reply.problem.empty() ? "it ended early" : reply.problem,
                                    part.size() > 0 ? str_cat(" after ", part.size(), " bytes") : ""));
      }
      pause(exchange.settings, failures, success ? nullptr : &reply);
    }
    if (Progress* p = listening()) p->again(part.size());
  }
}

// Of a HEAD request; a network that does not answer at all is asked once more only.
Reply ask_about(const Exchange& exchange, const std::string& url) {
  constexpr int kAttemptsWithoutAnswer = 2;
  NoBody nothing;
  for (int n = 1;; ++n) {
    Reply reply = exchange.once({.url = url, .head = true}, nothing, true);
    if (!is_passing(reply) || n >= (reply.status == 0 ? kAttemptsWithoutAnswer : exchange.settings.attempts))
      return reply;
    pause(exchange.settings, n, &reply);
  }
}

bool is_success(const Reply& reply) {
  return reply.problem.empty() && (reply.status == 200 || is_redirect(reply.status));
}

Error offline(const std::string& what) {
  return {Error::Kind::not_found, str_cat(what, " is not on this machine, and HF_HUB_OFFLINE forbids to fetch it"),
          "fetch it where there is a network (fovea download), and copy the cache or name the file (--weights FILE)"};
}

// "-5c106cde" of "resnet18-5c106cde.pth"; "" where the name promises nothing.
std::string promised_hash(std::string_view name) {
  constexpr size_t kLeast = 8, kMost = 64;
  const size_t dash = name.rfind('-');
  if (dash == name.npos) return "";
  const std::string_view digits = name.substr(dash + 1, name.find('.', dash) - dash - 1);
  const bool usable = digits.size() >= kLeast && digits.size() <= kMost && digits.size() != 40 && is_hex(digits);
  return usable ? std::string(digits) : "";
}

std::string url_name(const std::string& url) {
  const size_t start = url.find("://") + 3;
  const std::string path = url.substr(0, url.find_first_of("?#", start));
  const size_t slash = path.rfind('/');
  const std::string name = slash < start ? "" : path.substr(slash + 1);
  if (!is_url(url) || name.empty()) throw Error(Error::Kind::argument, str_cat(shown(url), " names no file"));
  want_file_name(name);
  return name;
}

Progress*& listener() {
  static Progress* one = nullptr;
  return one;
}

}  // namespace

void report_downloads_to(Progress* progress) { listener() = progress; }
Progress* listening() { return listener(); }

Transport& Client::transport() {
  if (!transport_) transport_ = network();
  return *transport_;
}

std::optional<std::string> Client::cached(const Repo& repo, std::string_view name) const {
  want_file_name(name);
  if (settings_.cache.empty()) return {};
  const RepoCache cache(settings_, repo.id);
  const std::optional<std::string> commit = cache.commit_of(repo.revision);
  return commit ? cache.find(*commit, name) : std::nullopt;
}

std::string Client::file(const Repo& repo, std::string_view name, Freshness how) {
  if (std::optional<std::string> path = find_file(repo, name, how)) return *path;
  throw Error(Error::Kind::not_found, str_cat(repo.text(), " has no file ", name),
              str_cat(settings_.endpoint, "/", repo.id, "/tree/", repo.revision, " lists its files"));
}

std::optional<std::string> Client::find_file(const Repo& repo, std::string_view name, Freshness how) {
  want_file_name(name);
  const RepoCache cache(settings_, repo.id);
  const std::optional<std::string> known = cache.commit_of(repo.revision);
  std::optional<std::string> there = known ? cache.find(*known, name) : std::nullopt;
  const bool settled = how == Freshness::cached || is_commit(repo.revision) || settings_.offline;
  if (there && settled) return there;
  if (known && settled && cache.known_absent(*known, name)) return {};
  const std::string what = str_cat(repo.text(), "/", name);
  if (settings_.offline) throw offline(what);

  const std::string url = file_url(settings_.endpoint, repo, name);
  const Exchange exchange{transport(), settings_, origin_of(settings_.endpoint)};
  const Reply reply = ask_about(exchange, url);
  if (!is_success(reply)) {
    const std::string commit(reply.header("x-repo-commit"));
    if (reply.status == 404 && (reply.header("x-error-code") == "EntryNotFound" || is_commit(commit))) {
      if (is_commit(commit)) cache.remember_absent(commit, name), cache.remember(repo.revision, commit);
      return {};
    }
    if (there && is_passing(reply)) return there;
    if (reply.status == 0) throw no_network(url, reply.problem);
    throw refused(reply, url, settings_, &repo, name);
  }
  const About a = about(reply, url);
  if (std::optional<std::string> same = cache.find(a.commit, name)) {
    cache.remember(repo.revision, a.commit);
    return same;
  }
  cache.prepare(a.commit, name);
  const std::string blob = cache.blob(a.hash), place = cache.place(a.commit, name);
  const DownloadLock lock(cache.lock(a.hash), blob, settings_.lock_patience_ms);
  std::error_code ignored;
  if (!cache.find(a.commit, name)) {  // somebody else may have fetched it meanwhile
    // a wrong one is not removed but replaced: meanwhile another process may have put the right one there
    if (hash_of_file(blob, a.hash, static_cast<int64_t>(a.size)) != a.hash) {
      Partial part(blob, a.hash, a.size);
      part.adopt();
      const Wanted wanted{.what = what, .url = url, .hash = a.hash, .size = a.size, .repo = &repo, .file = name};
      download(exchange, wanted, part, blob);
    }
    if (!cache.link(a.commit, name, a.hash)) {
      fs::rename(blob, place, ignored);
      if (ignored && !cache.find(a.commit, name))
        throw Error(Error::Kind::io, str_cat("cannot put ", what, " to ", place, ": ", ignored.message()));
    }
  }
  cache.remember(repo.revision, a.commit);
  return place;
}

std::optional<std::string> Client::cached_url(const std::string& url) const {
  if (settings_.checkpoints.empty()) return {};
  std::string path = str_cat(settings_.checkpoints, "/", url_name(url));
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  return path;
}

std::string Client::url(const std::string& url) {
  const std::string name = url_name(url);
  if (std::optional<std::string> path = cached_url(url)) return *path;
  if (settings_.offline) throw offline(shown(url));
  if (settings_.checkpoints.empty())
    throw Error(Error::Kind::io, "there is no home folder to keep downloads in", "TORCH_HOME names a place for them");
  std::error_code error;
  fs::create_directories(settings_.checkpoints, error);
  if (error)
    throw Error(Error::Kind::io, str_cat("cannot make the folder ", settings_.checkpoints, ": ", error.message()),
                "TORCH_HOME names another place");
  const std::string place = str_cat(settings_.checkpoints, "/", name), hash = promised_hash(name);
  Partial part(place, hash, Partial::kUnknown);
  part.adopt();
  const bool at_home = origin_of(url) == origin_of(settings_.endpoint);
  const Exchange exchange{transport(), settings_, at_home ? origin_of(url) : ""};
  download(exchange, {.what = name, .url = url, .hash = hash}, part, place);
  return place;
}

}  // namespace fovea::hub
