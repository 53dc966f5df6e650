// SPDX-License-Identifier: Apache-2.0
#include "train/summary.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>

#include "engine/core/error.h"
#include "weights_tools/atomic_file.h"
#include "weights_tools/bytes.h"

namespace fovea::train {
namespace {

// Protocol buffers by hand: a tag is the field's number and how its value is written.
enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void append_varint(std::string& s, uint64_t v) {
  for (; v >= 0x80; v >>= 7) s += static_cast<char>(v | 0x80);
  s += static_cast<char>(v);
}
void append_tag(std::string& s, uint32_t field, Wire w) { append_varint(s, field << 3 | static_cast<uint32_t>(w)); }
void append_text(std::string& s, uint32_t field, std::string_view text) {
  append_tag(s, field, Wire::bytes);
  append_varint(s, text.size());
  s += text;
}
template <class T, class Bits>
void append_fixed(std::string& s, uint32_t field, Wire w, T v) {
  append_tag(s, field, w);
  Bits bits;
  std::memcpy(&bits, &v, sizeof v);
  append_le(s, bits);
}

std::string event_at(double wall_time) {
  std::string s;
  append_fixed<double, uint64_t>(s, 1, Wire::fixed64, wall_time);
  return s;
}
double wall_clock() {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

uint32_t masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }

std::string file_name() {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  return cat("events.out.tfevents.", static_cast<int64_t>(std::time(nullptr)), ".", static_cast<const char*>(host), ".",
             ::getpid());
}

}  // namespace

SummaryCsv::SummaryCsv(std::string path, int64_t first_epoch) : path_(std::move(path)) {
  std::ifstream before(path_);
  std::string line;
  for (bool header = true; std::getline(before, line); header = false) {
    int64_t epoch = -1;
    std::from_chars(line.data(), line.data() + line.size(), epoch);
    if (first_epoch > 0 && (header || epoch < first_epoch)) text_ += line + "\n";
  }
}

void SummaryCsv::add(int64_t epoch, const Numbers& values) {
  if (text_.empty()) {
    text_ = "epoch";
    for (const auto& [name, value] : values) text_ += "," + name;
    text_ += "\n";
  }
  text_ += cat(epoch);
  for (const auto& [name, value] : values) text_ += cat(',', value);
  text_ += "\n";
  AtomicFile file(path_);
  file.write(text_);
  file.commit();
}

EventFile::EventFile(const std::string& folder) : path_(cat(folder, "/", file_name())) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) throw Error(Error::Kind::io, cat("cannot write ", path_, ": ", std::strerror(errno)));
  std::string version = event_at(wall_clock());
  append_text(version, 3, "brain.Event:2");
  write(version);
}
EventFile::~EventFile() { ::close(fd_); }

void EventFile::add(int64_t step, const Numbers& values) {
  std::string summary;
  for (const auto& [name, value] : values) {
    std::string one;
    append_text(one, 1, name);
    append_fixed<float, uint32_t>(one, 2, Wire::fixed32, static_cast<float>(value));
    append_text(summary, 1, one);
  }
  std::string event = event_at(wall_clock());
  append_tag(event, 2, Wire::varint);
  append_varint(event, static_cast<uint64_t>(step));
  append_text(event, 5, summary);
  write(event);
}

// A record: length, its sum, the event, its sum.
void EventFile::write(std::string_view event) {
  std::string record;
  append_le(record, static_cast<uint64_t>(event.size()));
  append_le(record, masked(crc32c(record)));
  record += event;
  append_le(record, masked(crc32c(event)));
  for (size_t done = 0; done < record.size();) {
    const ssize_t n = ::write(fd_, record.data() + done, record.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error(Error::Kind::io, cat("cannot write ", path_, ": ", std::strerror(errno)));
    done += static_cast<size_t>(n);
  }
}

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t v = i;
      for (int bit = 0; bit < 8; ++bit) v = v & 1 ? v >> 1 ^ 0x82F63B78u : v >> 1;
      t[i] = v;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = table[(crc ^ static_cast<uint8_t>(c)) & 0xFF] ^ crc >> 8;
  return ~crc;
}

std::string json_line(const Numbers& values) {
  std::string s = "{";
  for (const auto& [name, value] : values)
    s += cat(s.size() > 1 ? ", " : "", '"', name, "\": ", std::isfinite(value) ? cat(value) : std::string("null"));
  return s + "}";
}

}  // namespace fovea::train
