// SPDX-License-Identifier: Apache-2.0
// engine/graph/session_writer.cpp — save_session().
#include <atomic>
#include <cerrno>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "engine/core/checksum.h"
#include "engine/core/temporary.h"
#include "engine/graph/program.h"
#include "engine/graph/session_cache.h"
#include "engine/graph/session_file.h"
#include "engine/ops/table.h"

namespace fovea {
namespace {

using session_file::Header;
using session_file::Kind;
using session_file::Writer;

void put(Writer& w, const Dims& d) {
  w.number(d.size());
  for (int64_t v : d) w.number(v);
}
void put(Writer& w, const Meta& m) {
  w.number(static_cast<int64_t>(m.dtype));
  put(w, m.shape);
  put(w, m.strides);
}
void put(Writer& w, const std::vector<int>& numbers) {
  w.number(static_cast<int64_t>(numbers.size()));
  for (int v : numbers) w.number(v);
}

struct Fields final : FieldVisitor {
  explicit Fields(Writer& to) : w(to) {}
  void integer(const char*, int64_t v) override { w.number(v); }
  void real(const char*, double v) override { w.real(v); }
  void dims(const char*, const Dims& v) override { put(w, v); }
  Writer& w;
};

int64_t span_bytes(const Meta& m) { return span_of(m) * static_cast<int64_t>(size_of(m.dtype)); }

// A temporary sibling that takes the path's place when it is whole. Nothing waits for the disk: readers compare the
// checksum.
class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    static std::atomic<unsigned> counter{0};
    temporary_ = cat(path, ".", static_cast<int64_t>(::getpid()), ".", counter.fetch_add(1), ".tmp");
    unfinished_.emplace(temporary_);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ < 0) fail();
  }
  ~File() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(temporary_.c_str());
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  void write(const void* data, size_t bytes) {
    for (const char* p = static_cast<const char*>(data); bytes > 0;) {
      const ssize_t n = ::write(fd_, p, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail();
      p += n;
      bytes -= static_cast<size_t>(n);
    }
  }
  void commit() {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail();
    ::close(fd_);
    fd_ = -1;
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(Error::Kind::io, cat("cannot write ", path_, ": ", std::strerror(errno)));
  }
  std::string path_, temporary_;
  std::optional<Temporary> unfinished_;
  int fd_ = -1;
};

}  // namespace

class SessionWriter {
 public:
  explicit SessionWriter(const Session& s) : p_(s.program()), g_(p_.graph) {
    if (!g_.state.empty()) throw Error(Error::Kind::unsupported, "a session with state cannot be saved");
    if (p_.lender) throw Error(Error::Kind::unsupported, "a session that reads another one's constants cannot be saved");
    if (build_identity().empty()) throw Error(Error::Kind::unsupported, "this build has no identity to save under");
  }

  void save(const std::string& path, std::string_view key) {
    describe(key);
    Header h;
    std::memcpy(h.magic, session_file::kMagic, sizeof h.magic);
    h.description_bytes = w_.bytes().size();
    h.constants_at = session_file::rounded(sizeof h + h.description_bytes, session_file::kPage);
    h.packed_bytes = p_.packed ? p_.packed->bytes : 0;
    h.constants_bytes = plain_end_;
    h.file_bytes = h.constants_at + h.constants_bytes;
    std::string front(h.constants_at, '\0');
    std::memcpy(front.data(), &h, sizeof h);
    std::memcpy(front.data() + sizeof h, w_.bytes().data(), w_.bytes().size());
    const std::string behind = plain_constants(h.packed_bytes);
    const Tensor here = packed_constants();
    const std::span<const std::byte> packed(here ? here.bytes() : nullptr, h.packed_bytes);
    h.checksum = checksum(std::as_bytes(std::span(front)));
    h.checksum = checksum(packed, h.checksum);
    h.checksum = checksum(std::as_bytes(std::span(behind)), h.checksum);
    std::memcpy(front.data(), &h, sizeof h);
    File file(path);
    file.write(front.data(), front.size());
    file.write(packed.data(), packed.size());
    file.write(behind.data(), behind.size());
    file.commit();
  }

 private:
  void describe(std::string_view key) {
    w_.text(build_identity());
    w_.text(processor_identity());
    w_.text(key);
    w_.number(static_cast<int64_t>(p_.target.device.kind));
    w_.number(p_.target.device.index);
    w_.number(p_.target.threads);
    w_.number(static_cast<int64_t>(p_.target.dtype));
    w_.number(static_cast<int64_t>(g_.values.size()));
    plain_end_ = session_file::rounded(p_.packed ? p_.packed->bytes : 0, 64);
    for (size_t v = 0; v < g_.values.size(); ++v) describe_value(v);
    w_.number(static_cast<int64_t>(g_.steps.size()));
    size_t planned = 0;
    for (const Step& s : g_.steps) describe_step(s, s.op->traits.view ? nullptr : &p_.steps[planned++]);
    put(w_, g_.inputs);
    put(w_, g_.outputs);
    for (const Meta& m : p_.inputs) put(w_, m);
    w_.number(g_.arena_bytes);
  }

  void describe_value(size_t v) {
    const Value& value = g_.values[v];
    const Place& place = g_.places[v];
    put(w_, value.meta);
    w_.text(value.name);
    w_.number(static_cast<int64_t>(place.kind));
    w_.number(place.index);
    w_.number(place.offset);
    const Kind kind = !value.constant ? Kind::none : value.constant.has_bytes() ? Kind::plain : Kind::packed_only;
    w_.number(static_cast<int64_t>(kind));
    if (kind != Kind::plain) return;
    w_.number(static_cast<int64_t>(plain_end_));
    plain_end_ = session_file::rounded(plain_end_ + static_cast<uint64_t>(span_bytes(value.meta)), 64);
  }

  void describe_step(const Step& s, const PlannedStep* planned) {
    const OpRow* row = find_op(s.op->name());
    if (!row || row->op != s.op || row->attrs != s.attrs.ref().type)
      throw Error(Error::Kind::unsupported, cat("a session with ", s.op->name(), " cannot be saved"));
    w_.text(s.op->name());
    Fields fields(w_);
    if (row->attrs) row->attrs->visit(s.attrs.ref().data, fields);
    put(w_, s.in);
    put(w_, s.out);
    w_.text(s.scope);
    if (!planned) return;
    w_.text(planned->plan->name);
    for (size_t i = 0; i < s.in.size(); ++i) w_.number(planned->in[i].packed);
  }

  Tensor packed_constants() const {
    if (!p_.packed) return {};
    auto all = std::make_shared<TensorImpl>();
    all->meta = make_meta(DType::u8, {static_cast<int64_t>(p_.packed->bytes)}, Memory::contiguous, p_.packed->device);
    all->storage = p_.packed;
    return on_host(Tensor(std::move(all)));
  }

  std::string plain_constants(uint64_t from) const {
    std::string bytes(plain_end_ - from, '\0');
    uint64_t at = session_file::rounded(from, 64);
    for (const Value& v : g_.values) {
      if (!v.constant || !v.constant.has_bytes()) continue;
      const auto size = static_cast<uint64_t>(span_bytes(v.meta));
      if (size) std::memcpy(bytes.data() + (at - from), on_host(v.constant).bytes(), size);
      at = session_file::rounded(at + size, 64);
    }
    return bytes;
  }

  const Session::Program& p_;
  const Graph& g_;
  Writer w_;
  uint64_t plain_end_ = 0;
};

void save_session(const Session& session, const std::string& path, std::string_view key) {
  SessionWriter(session).save(path, key);
}

}  // namespace fovea
