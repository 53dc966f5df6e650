// SPDX-License-Identifier: Apache-2.0
// engine/graph/session_writer.cpp — save_session().
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
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
using session_file::Where;
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
    temporary_ = str_cat(path, ".", static_cast<int64_t>(::getpid()), ".", counter.fetch_add(1), ".tmp");
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
    throw Error(Error::Kind::io, str_cat("cannot write ", path_, ": ", std::strerror(errno)));
  }
  std::string path_, temporary_;
  std::optional<Temporary> unfinished_;
  int fd_ = -1;
};

}  // namespace

class SessionWriter {
 public:
  SessionWriter(const Session& s, const Session* base)
      : p_(s.program()), g_(p_.graph), packs_(p_.packs.size()), plain_(g_.values.size()) {
    if (!g_.state.empty()) throw Error(Error::Kind::unsupported, "a session with state cannot be saved");
    if (build_identity().empty()) throw Error(Error::Kind::unsupported, "this build has no identity to save under");
    if (base) find_in(base->program());
    lay_out();
  }

  int64_t in_base() const { return in_base_; }

  void save(const std::string& path, std::string_view key) {
    describe(key);
    Header h;
    std::memcpy(h.magic, session_file::kMagic, sizeof h.magic);
    h.description_bytes = w_.bytes().size();
    h.constants_at = session_file::rounded(sizeof h + h.description_bytes, session_file::kPage);
    h.packed_bytes = packed_end_;
    h.base = in_base_ > 0 ? base_.checksum : 0;
    h.constants_bytes = plain_end_;
    h.file_bytes = h.constants_at + h.constants_bytes;
    std::string front(h.constants_at, '\0');
    std::memcpy(front.data(), &h, sizeof h);
    std::memcpy(front.data() + sizeof h, w_.bytes().data(), w_.bytes().size());
    const std::string behind = plain_constants();
    const std::shared_ptr<Storage> packed = packed_constants();
    h.checksum = checksum(std::as_bytes(std::span(front)));
    h.checksum = checksum(std::span<const std::byte>(packed->data, packed_end_), h.checksum);
    h.checksum = checksum(std::as_bytes(std::span(behind)), h.checksum);
    std::memcpy(front.data(), &h, sizeof h);
    File file(path);
    file.write(front.data(), front.size());
    file.write(packed->data, packed_end_);
    file.write(behind.data(), behind.size());
    file.commit();
  }

 private:
  struct Found {
    Where where = Where::here;
    uint64_t at = 0;                               // among the constants of that file
  };

  // What the base's file holds: constants of its session that are the same, and lie in it.
  void find_in(const Session::Program& base) {
    if (base.files.size() != 1 || base.target.device != p_.target.device) return;
    const PlanFile& file = *base.files[0];
    std::memcpy(&base_, file.bytes()->data, sizeof base_);
    base_name_ = file.path().substr(file.path().rfind('/') + 1);
    const auto found = [&](const std::byte* bytes, Found& f, int64_t size) {
      const auto at = reinterpret_cast<uintptr_t>(bytes) - reinterpret_cast<uintptr_t>(file.bytes()->data);
      if (at < base_.constants_at || at >= file.bytes()->bytes) return;         // also where it lies before the file
      f = {Where::base, at - base_.constants_at};
      in_base_ += size;
    };
    for (size_t i = 0; i < packs_.size(); ++i)
      if (const PackedConstant* const same = base.find(p_.packs[i]))
        found(same->memory->data + same->at, packs_[i], same->bytes);
    for (size_t v = 0; v < plain_.size(); ++v)
      if (is_plain(g_.values[v]) && g_.values[v].meta.numel() > 0)
        if (const Tensor* const same = base.find(g_.values[v]))
          found(same->bytes(), plain_[v], same->meta().bytes());
  }

  static bool is_plain(const Value& v) { return v.constant && v.constant.has_bytes(); }

  // The others, one behind the other.
  void lay_out() {
    for (size_t i = 0; i < packs_.size(); ++i) {
      if (packs_[i].where == Where::base) continue;
      packs_[i].at = packed_end_;
      packed_end_ += static_cast<uint64_t>(p_.packs[i].room());
    }
    plain_end_ = packed_end_;
    for (size_t v = 0; v < plain_.size(); ++v) {
      if (!is_plain(g_.values[v]) || plain_[v].where == Where::base) continue;
      plain_[v].at = plain_end_;
      plain_end_ += session_file::rounded(static_cast<uint64_t>(span_bytes(g_.values[v].meta)), 64);
    }
  }

  void describe(std::string_view key) {
    w_.text(build_identity());
    w_.text(processor_identity());
    w_.text(key);
    w_.number(static_cast<int64_t>(p_.target.device.kind));
    w_.number(p_.target.device.index);
    w_.number(p_.target.threads);
    w_.number(static_cast<int64_t>(p_.target.dtype));
    if (in_base_ > 0) w_.text(base_name_);
    w_.number(static_cast<int64_t>(packs_.size()));
    for (size_t i = 0; i < packs_.size(); ++i) {
      w_.number(static_cast<int64_t>(packs_[i].where));
      w_.number(static_cast<int64_t>(packs_[i].at));
      w_.number(p_.packs[i].bytes);
    }
    w_.number(static_cast<int64_t>(g_.values.size()));
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
    const Kind kind = !value.constant                    ? Kind::none
                      : !value.constant.has_bytes()      ? Kind::packed_only
                      : plain_[v].where == Where::base ? Kind::plain_in_base
                                                         : Kind::plain;
    w_.number(static_cast<int64_t>(kind));
    if (is_plain(value)) w_.number(static_cast<int64_t>(plain_[v].at));
  }

  void describe_step(const Step& s, const PlannedStep* planned) {
    const OpRow* row = find_op(s.op->name());
    if (!row || row->op != s.op || row->attrs != s.attrs.ref().type)
      throw Error(Error::Kind::unsupported, str_cat("a session with ", s.op->name(), " cannot be saved"));
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

  // On the host. All that one compile() packed is there in this order already.
  std::shared_ptr<Storage> packed_constants() const {
    if (packed_end_ == 0) return std::make_shared<Storage>();
    const std::shared_ptr<Storage>& first = p_.packs[0].memory;
    bool whole = is_host(first->device);
    for (size_t i = 0; i < packs_.size(); ++i)
      whole = whole && p_.packs[i].memory == first && static_cast<uint64_t>(p_.packs[i].at) == packs_[i].at;
    if (whole && first->bytes >= packed_end_) return first;
    std::shared_ptr<Storage> all = allocate(cpu(), packed_end_);
    std::memset(all->data, 0, packed_end_);
    for (size_t i = 0; i < packs_.size(); ++i)
      if (packs_[i].where == Where::here) {
        const Tensor here = on_host(p_.packs[i].tensor());
        std::memcpy(all->data + packs_[i].at, here.bytes(), static_cast<size_t>(p_.packs[i].bytes));
      }
    return all;
  }

  std::string plain_constants() const {
    std::string bytes(plain_end_ - packed_end_, '\0');
    for (size_t v = 0; v < plain_.size(); ++v) {
      const auto size = static_cast<size_t>(span_bytes(g_.values[v].meta));
      if (is_plain(g_.values[v]) && plain_[v].where == Where::here && size)
        std::memcpy(bytes.data() + (plain_[v].at - packed_end_), on_host(g_.values[v].constant).bytes(), size);
    }
    return bytes;
  }

  const Session::Program& p_;
  const Graph& g_;
  std::vector<Found> packs_, plain_;               // of Program::packs, and of constants by value
  Writer w_;
  uint64_t packed_end_ = 0, plain_end_ = 0;
  Header base_;
  std::string base_name_;
  int64_t in_base_ = 0;
};

void save_session(const Session& session, const std::string& path, std::string_view key, const Session* base) {
  SessionWriter(session, base).save(path, key);
}

int64_t bytes_in_base(const Session& session, const Session& base) { return SessionWriter(session, &base).in_base(); }

}  // namespace fovea
