// SPDX-License-Identifier: Apache-2.0
#include "hub/exchange.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "hub/progress.h"

namespace fovea::hub {
namespace {

// Of redirects nobody wants the page.
class AfterRedirects final : public Body {
 public:
  explicit AfterRedirects(Body& to) : to_(to) {}
  bool take(const Reply& head, Bytes piece) override { return is_redirect(head.status) || to_.take(head, piece); }

 private:
  Body& to_;
};

// Seconds: "Retry-After: 30", or t=30 of "RateLimit: \"api\";r=0;t=30"; negative: nothing is said.
double asked_pause(const Reply& reply) {
  if (const std::string_view after = reply.header("retry-after"); !after.empty()) {
    char* end = nullptr;
    const std::string text(after);
    const double seconds = std::strtod(text.c_str(), &end);
    if (*end == '\0' && seconds >= 0) return seconds;
  }
  const std::string_view rate = reply.header("ratelimit");
  if (const size_t t = rate.find("t="); t != rate.npos) return std::atof(std::string(rate.substr(t + 2)).c_str());
  return -1;
}

}  // namespace

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_passing(const Reply& reply) {
  constexpr int kPassing[] = {0, 408, 429, 500, 502, 503, 504};
  return std::find(std::begin(kPassing), std::end(kPassing), reply.status) != std::end(kPassing);
}

Reply Exchange::once(Request request, Body& body, bool near) const {
  constexpr int kMostRedirects = 10;
  request.connect_ms = settings.connect_ms;
  request.stall_ms = settings.stall_ms;
  request.headers.push_back("User-Agent: " + settings.agent);
  request.headers.emplace_back("Accept-Encoding: identity");
  std::string at = origin_of(request.url);
  bool trusted = !home.empty() && at == home && !settings.token.empty();
  if (trusted) request.headers.push_back("Authorization: Bearer " + settings.token);
  AfterRedirects after(body);
  for (int redirects = 0;; ++redirects) {
    Reply reply = transport.run(request, after);
    const std::string_view location = reply.header("location");
    if (!is_redirect(reply.status) || location.empty()) return reply;
    const std::string next = resolved(request.url, location), to = origin_of(next);
    if (near && to != at) return reply;
    if (redirects == kMostRedirects) return {.problem = cat("more than ", kMostRedirects, " redirects")};
    if (to.empty() || (at.starts_with("https:") && !to.starts_with("https:")))
      return {.problem = cat("a redirect to ", shown(next))};
    if (to != at && trusted) request.headers.pop_back();  // and it does not come back
    trusted = trusted && to == at;
    at = to;
    request.url = next;
  }
}

void pause(const Settings& settings, int n, const Reply* reply) {
  const double asked = reply ? asked_pause(*reply) * 1000 : -1;
  constexpr int kMostDoublings = 16;
  double ms = asked >= 0 ? asked : settings.first_pause_ms * static_cast<double>(1 << std::min(n - 1, kMostDoublings));
  ms = std::min(ms, static_cast<double>(settings.longest_pause_ms));
  constexpr double kWorthTelling = 2'000;
  if (Progress* p = listening(); p && ms >= kWorthTelling)
    p->note(cat("waiting ", static_cast<int64_t>(ms / 1000 + 0.5), " s before the next attempt",
                reply && reply->status ? cat(" (status ", reply->status, ")") : ""));
  std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int64_t>(ms * 1000)));
}

Error no_network(const std::string& url, const std::string& why) {
  return {Error::Kind::io, cat("cannot fetch ", shown(url), ": ", why),
          "fetch it with another program or machine, and name the file (--weights FILE); HF_ENDPOINT names a mirror, "
          "https_proxy a proxy"};
}

Error refused(const Reply& reply, const std::string& url, const Settings& settings, const Repo* repo,
              std::string_view file) {
  const std::string_view code = reply.header("x-error-code");
  const std::string account = settings.token.empty() ? "set HF_TOKEN to a token of your account, or run `hf auth login`"
                                                     : "the token that is set has no access";
  if (repo && code == "GatedRepo")
    return {Error::Kind::io, cat(repo->id, " is gated: its owners grant access on request"),
            cat("ask at ", settings.endpoint, "/", repo->id, "; then ", account)};
  if (repo && code == "RevisionNotFound")
    return {Error::Kind::not_found, cat(repo->id, " has no revision '", repo->revision, "'"),
            cat(settings.endpoint, "/", repo->id, "/tree/main shows its branches")};
  if (repo && (code == "RepoNotFound" || reply.status == 401))
    return {Error::Kind::not_found,
            cat("there is no repository ", repo->id, " at ", settings.endpoint, ", or it is private"),
            cat("if it is private, ", account)};
  if (reply.status == 404)
    return {Error::Kind::not_found,
            repo ? cat(repo->text(), " has no file ", file) : cat("there is nothing at ", shown(url)), ""};
  std::string why = cat("the server answers with status ", reply.status);
  if (const std::string_view said = reply.header("x-error-message"); !said.empty()) why += cat(" (", said, ")");
  if (reply.status == 401 || reply.status == 403)
    return {Error::Kind::io, cat("cannot fetch ", shown(url), ": ", why), account};
  return no_network(url, why);
}

}  // namespace fovea::hub
