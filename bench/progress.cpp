// SPDX-License-Identifier: Apache-2.0
#include "bench/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "engine/core/text.h"

namespace fovea::bench {
namespace {

std::string fixed(double v, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

// Three digits at least, where there are so many.
std::string rounded(double v) { return fixed(v, v >= 100 ? 0 : v >= 1 ? 1 : 2); }

std::string time_text(double seconds) {
  const auto s = static_cast<int64_t>(std::ceil(seconds));
  if (s < 60) return str_cat(s, " s");
  if (s < 3600) return str_cat(s / 60, " min ", s % 60, " s");
  return str_cat(s / 3600, " h ", s / 60 % 60, " min");
}

struct Scale {
  double one;
  std::string_view unit;
};
Scale scale_for(double bytes) {
  if (bytes >= 1e9) return {1e9, "GB"};
  return bytes >= 1e6 ? Scale{1e6, "MB"} : Scale{1e3, "kB"};
}

}  // namespace

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::show(std::string_view what) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\x1b[K%.*s", static_cast<int>(what.size()), what.data());
  visible_ = true;
  shown_ = now();
}

bool Progress::due() const { return terminal_ && now() > shown_ + 0.2; }

void Progress::clear() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
  visible_ = false;
}

std::string how_far(int64_t done, int64_t total, std::string_view unit, double seconds) {
  const bool bytes = unit == "bytes";
  const auto d = static_cast<double>(done), t = static_cast<double>(total);
  const Scale scale = scale_for(t);
  std::string s = bytes ? str_cat(rounded(d / scale.one), " of ", rounded(t / scale.one), " ", scale.unit)
                        : str_cat(done, " of ", total, " ", unit);
  if (done < 1 || seconds <= 0) return s;
  const double rate = d / seconds;
  const Scale per_second = scale_for(rate);
  s += bytes ? str_cat(", ", rounded(rate / per_second.one), " ", per_second.unit, "/s")
             : str_cat(", ", rounded(rate), "/s");
  if (done < total) s += str_cat(", ", time_text((t - d) / rate), " left");
  return s;
}

bool Pace::due(double seconds) {
  if (seconds < next_) return false;
  next_ = seconds + std::min(seconds, 60.0);
  return true;
}

Counter::Counter(std::string what, int64_t total, std::string unit, bool quiet)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      quiet_(quiet || total < 2) {
  reach(0);
}

void Counter::reach(int64_t done) {
  done_ = done;
  if (quiet_) return;
  const double seconds = now() - began_;
  if (line_.on_terminal()) {
    if (line_.due()) line_.show(str_cat(what_, ": ", how_far(done_, total_, unit_, seconds)));
  } else if (done_ < total_ && pace_.due(seconds)) {
    std::fprintf(stderr, "fovea: %s: %s\n", what_.c_str(), how_far(done_, total_, unit_, seconds).c_str());
  }
}

}  // namespace fovea::bench
