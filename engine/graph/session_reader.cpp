// SPDX-License-Identifier: Apache-2.0
// engine/graph/session_reader.cpp — load_session(): nothing of the file is believed that is not checked.
#include <algorithm>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include "engine/core/checksum.h"
#include "engine/core/scope.h"
#include "engine/core/threads.h"
#include "engine/graph/passes/passes.h"
#include "engine/graph/plan_file.h"
#include "engine/graph/program.h"
#include "engine/graph/session_cache.h"
#include "engine/graph/session_file.h"
#include "engine/ops/table.h"

namespace fovea {
namespace {

using session_file::damaged;
using session_file::Header;
using session_file::Kind;
using session_file::Reader;
using session_file::Where;

std::shared_ptr<Storage> part_of(const std::shared_ptr<Storage>& file, uint64_t at, uint64_t bytes) {
  return std::make_shared<Storage>(Storage{file->data + at, static_cast<size_t>(bytes), cpu(), file, nullptr});
}

std::shared_ptr<Storage> brought_to(Device d, const std::shared_ptr<Storage>& part) {
  if (is_host(d)) return part;
  std::shared_ptr<Storage> there = allocate(d, part->bytes);
  runtime_of(d).upload(there->data, part->data, part->bytes, {d, there->stream});
  return there;
}

// Where the session was compiled for, if that is here.
Device read_device(Reader& r) {
  Device d;
  d.kind = static_cast<Device::Kind>(r.number(0, static_cast<int64_t>(last_of(Device::Kind{}))));
  d.index = static_cast<int8_t>(r.number(0, 127));
  runtime_of(d);
  return d;
}

constexpr int64_t kMost = int64_t{1} << 47;        // bytes, and products of sizes: what processors can address

bool multiplies(int64_t& product, int64_t by) {
  return !__builtin_mul_overflow(product, by, &product) && product <= kMost;
}

Strides read_strides(Reader& r) {
  Strides d;
  for (int64_t n = r.number(0, Dims::kMax); n > 0; --n) d.push_back(r.number(0, kMost));
  return d;
}

Dims read_dims(Reader& r) {
  Dims d;
  const int64_t n = r.number(0, Dims::kMax);
  int64_t product = 1;
  for (int64_t i = 0; i < n; ++i) {
    d.push_back(r.number(-kMost, kMost));
    if (!multiplies(product, std::max<int64_t>(std::abs(d.back()), 1))) damaged("sizes that no memory has");
  }
  return d;
}

// Bytes from the first element to the last, both included; sizes and strides are such that nothing overflows.
int64_t span_bytes(const Meta& m) {
  int64_t last = 0;
  for (int i = 0; i < m.rank(); ++i) {
    int64_t step = m.strides[i];
    if (m.shape[i] < 0 || step < 0 || !multiplies(step, std::max<int64_t>(m.shape[i] - 1, 0))) damaged("odd strides");
    last += step;
  }
  if (last > kMost / 8) damaged("odd strides");
  return m.numel() == 0 ? 0 : (last + 1) * static_cast<int64_t>(size_of(m.dtype));
}

Meta read_meta(Reader& r, Device d) {
  Meta m;
  m.device = d;
  m.dtype = static_cast<DType>(r.number(static_cast<int64_t>(DType::f32), static_cast<int64_t>(last_of(DType{}))));
  m.shape = read_dims(r);
  m.strides = read_strides(r);
  if (m.shape.size() != m.strides.size()) damaged("strides of another rank");
  span_bytes(m);
  return m;
}

std::vector<int> read_values(Reader& r, size_t values, int least) {
  std::vector<int> numbers(r.count());
  for (int& v : numbers) v = static_cast<int>(r.number(least, static_cast<int64_t>(values) - 1));
  return numbers;
}

struct Fields final : FieldSource {
  explicit Fields(Reader& from) : r(from) {}
  int64_t integer(int64_t least, int64_t most) override { return r.number(least, most); }
  double real() override { return r.real(); }
  Dims dims() override { return read_dims(r); }
  Reader& r;
};

// A file's header, and where its constants lie.
class Constants {
 public:
  explicit Constants(std::shared_ptr<const PlanFile> f) : file(std::move(f)) {
    const Storage& all = *file->bytes();
    std::memcpy(&h, all.data, sizeof h);
    if (std::memcmp(h.magic, session_file::kMagic, sizeof h.magic) != 0) damaged("another format");
    if (h.file_bytes != all.bytes || h.description_bytes > h.file_bytes - sizeof h ||
        h.constants_at != session_file::rounded(sizeof h + h.description_bytes, session_file::kPage) ||
        h.constants_at > h.file_bytes || h.constants_bytes != h.file_bytes - h.constants_at ||
        h.packed_bytes > h.constants_bytes)
      damaged("sizes that do not fit together");
  }

  void check_sum() const {
    if (file->sound) return;
    const Storage& s = *file->bytes();
    const std::span<const std::byte> all(s.data, s.bytes);
    std::string front(reinterpret_cast<const char*>(s.data), h.constants_at);
    Header zero = h;
    zero.checksum = 0;
    std::memcpy(front.data(), &zero, sizeof zero);
    uint64_t sum = checksum(std::as_bytes(std::span(front)));
    sum = checksum(all.subspan(h.constants_at, h.packed_bytes), sum);
    if (checksum(all.subspan(h.constants_at + h.packed_bytes), sum) != h.checksum) damaged("its checksum is wrong");
    file->sound = true;
  }

  std::shared_ptr<Storage> part(uint64_t at, uint64_t bytes) const {
    if (at % 64 != 0 || at > h.constants_bytes || bytes > h.constants_bytes - at) damaged("a constant outside it");
    return part_of(file->bytes(), h.constants_at + at, bytes);
  }

  std::shared_ptr<const PlanFile> file;
  Header h;
};

}  // namespace

class SessionReader {
 public:
  // `key`: null for any.
  SessionReader(const std::shared_ptr<const PlanFile>& file, const std::string_view* key)
      : own_(file), program_(std::make_shared<Session::Program>()), g_(program_->graph), key_(key) {
    program_->files = {file};
  }

  Session read() {
    Reader r(std::span(own_.file->bytes()->data + sizeof own_.h, own_.h.description_bytes));
    // The cheap questions first: most files that do not fit are merely old.
    if (r.text() != build_identity() || r.text() != processor_identity()) damaged("of another build");
    if (const std::string_view key = r.text(); key_ && key != *key_) damaged("of another key");
    if (!key_ && own_.h.base) damaged("with a base of its own");
    own_.check_sum();
    Target& t = program_->target;
    t.device = read_device(r);
    t.threads = static_cast<int>(r.number(1, 4096));
    t.dtype = static_cast<DType>(r.number(0, static_cast<int64_t>(last_of(DType{}))));
    const UseThreads use(t.threads);
    read_base(r);
    read_packs(r);
    const size_t values = r.count();
    for (size_t v = 0; v < values; ++v) read_value(r);
    const size_t steps = r.count();
    for (size_t i = 0; i < steps; ++i) read_step(r);
    g_.inputs = read_values(r, values, 0);
    g_.outputs = read_values(r, values, 0);
    for (size_t i = 0; i < g_.inputs.size(); ++i) program_->inputs.push_back(read_meta(r, t.device));
    g_.arena_bytes = r.number(0, kMost);
    if (!r.done()) damaged("more behind its end");
    check_graph();
    plan();
    for (const auto& file : program_->files) file->check();  // what was read after it was summed is what was summed
    if (!is_host(t.device)) program_->files.clear();
    return Session(std::move(program_), {});
  }

  static std::vector<std::string> files_of(const Session& s) {
    std::vector<std::string> paths;
    for (const auto& file : s.program().files) paths.push_back(file->path());
    return paths;
  }

 private:
  void read_base(Reader& r) {
    if (!own_.h.base) return;
    const std::string_view name = r.text();
    if (name.find('/') != name.npos) damaged("a base elsewhere");
    const std::string& path = own_.file->path();
    std::shared_ptr<const PlanFile> file =
        PlanFile::open(path.substr(0, path.rfind('/') + 1).append(name), sizeof(Header));
    if (!file) damaged("its base is gone");
    base_.emplace(file);
    if (base_->h.checksum != own_.h.base) damaged("another base");
    base_->check_sum();
    program_->files.push_back(std::move(file));
  }

  const Constants& constants(Where w) const {
    if (w == Where::base && !base_) damaged("a constant in no base");
    return w == Where::base ? *base_ : own_;
  }

  void read_packs(Reader& r) {
    const Device d = program_->target.device;
    std::shared_ptr<Storage> whole[2];             // all that was packed, of either file
    for (size_t n = r.count(3 * sizeof(int64_t)); n > 0; --n) {
      const auto where = static_cast<Where>(r.number(0, static_cast<int64_t>(Where::base)));
      PackedConstant c;
      c.at = r.number(0, kMost);
      c.bytes = r.number(1, kMost);
      const Constants& in = constants(where);
      in.part(static_cast<uint64_t>(c.at), static_cast<uint64_t>(c.bytes));
      std::shared_ptr<Storage>& all = whole[static_cast<size_t>(where)];
      if (!all) all = brought_to(d, in.part(0, in.h.packed_bytes));
      if (static_cast<uint64_t>(c.at) > in.h.packed_bytes ||
          static_cast<uint64_t>(c.bytes) > in.h.packed_bytes - static_cast<uint64_t>(c.at))
        damaged("a packed constant outside it");
      c.memory = all;
      program_->constant_bytes += c.room();
      if (where == Where::base) program_->shared_bytes += c.room();
      program_->packs.push_back(std::move(c));
    }
  }

  void read_value(Reader& r) {
    Value v{read_meta(r, program_->target.device), {}, std::string(r.text())};
    Place p;
    p.kind = static_cast<Place::Kind>(r.number(0, static_cast<int64_t>(Place::Kind::constant)));
    p.index = static_cast<int>(r.number(0, INT32_MAX));
    p.offset = r.number(0, kMost);
    const auto kind = static_cast<Kind>(r.number(0, static_cast<int64_t>(Kind::plain_in_base)));
    if (kind == Kind::packed_only) v.constant = meta_tensor(v.meta);
    if (kind == Kind::plain || kind == Kind::plain_in_base) {
      const auto at = static_cast<uint64_t>(r.number(0, kMost)), bytes = static_cast<uint64_t>(span_bytes(v.meta));
      auto impl = std::make_shared<TensorImpl>();
      impl->meta = v.meta;
      impl->storage = constants(kind == Kind::plain ? Where::here : Where::base).part(at, bytes);
      program_->constant_bytes += v.meta.bytes();
      if (kind == Kind::plain_in_base) program_->shared_bytes += v.meta.bytes();
      if (v.meta.dtype == DType::boolean) check_booleans(impl->storage);
      impl->storage = brought_to(v.meta.device, impl->storage);
      v.constant = Tensor(std::move(impl));
    }
    g_.values.push_back(std::move(v));
    g_.places.push_back(p);
  }

  static void check_booleans(const std::shared_ptr<Storage>& s) {
    for (size_t i = 0; i < s->bytes; ++i)
      if (s->data[i] > std::byte{1}) damaged("a boolean that is neither");
  }

  void read_step(Reader& r) {
    Step s;
    const OpRow* row = find_op(r.text());
    if (!row) damaged("an unknown op");
    s.op = row->op;
    Fields fields(r);
    if (row->attrs) s.attrs = Attrs(*row->attrs, fields);
    s.in = read_values(r, g_.values.size(), -1);
    s.out = read_values(r, g_.values.size(), 0);
    s.scope = r.text();
    if (!s.op->traits.view) {
      Packed p{std::string(r.text()), {}};
      const auto packs = static_cast<int64_t>(program_->packs.size());
      for (size_t i = 0; i < s.in.size(); ++i) p.at.push_back(static_cast<int>(r.number(-1, packs - 1)));
      packed_.push_back(std::move(p));
    }
    g_.steps.push_back(std::move(s));
  }

  void check_graph() const {
    for (const Step& s : g_.steps)
      if (s.out.empty() || s.in.size() > 32) damaged("a step without results");
    g_.verify();
    int64_t apart = 0;                             // the arena if nothing shared it
    for (const Value& v : g_.values) apart = std::min(kMost, apart + v.meta.bytes() + 63);
    if (g_.arena_bytes % 64 != 0) damaged("working memory that ends oddly");
    if (g_.arena_bytes > apart) damaged("more working memory than its values take");
    for (size_t i = 0; i < g_.inputs.size(); ++i) {
      const Meta &now = g_.meta(g_.inputs[i]), &traced = program_->inputs[i];
      if (now.shape != traced.shape || now.dtype != traced.dtype || !(now.is_contiguous() || now.is_channels_last()))
        damaged("an input that lies oddly");
    }
    for (size_t v = 0; v < g_.values.size(); ++v) check_place(static_cast<int>(v));
    for (int v : g_.outputs)
      if (g_.places[static_cast<size_t>(v)].kind != Place::Kind::arena) damaged("a result that is not its own");
    passes::check_places(g_);
  }

  // Every value lies within what its place names; constants that are only packed have no bytes to lie in.
  void check_place(int v) const {
    const Place& p = g_.places[static_cast<size_t>(v)];
    const Meta& m = g_.meta(v);
    int64_t room = 0;
    const auto index = static_cast<size_t>(p.index);
    switch (p.kind) {
      case Place::Kind::arena: room = g_.arena_bytes; break;
      case Place::Kind::input:
        if (index >= g_.inputs.size()) damaged("a place in no input");
        room = g_.meta(g_.inputs[index]).bytes();
        break;
      case Place::Kind::constant:
        if (index >= g_.values.size() || !g_.values[index].constant) damaged("a place in no constant");
        room = span_bytes(g_.meta(p.index));
        break;
      default: damaged("a value without place");
    }
    const bool input = std::find(g_.inputs.begin(), g_.inputs.end(), v) != g_.inputs.end();
    if (input && (p.kind != Place::Kind::input || p.offset != 0 || g_.inputs[index] != v)) damaged("a moved input");
    if (g_.is_constant(v) && (p.kind != Place::Kind::constant || p.index != v || p.offset != 0))
      damaged("a moved constant");
    if (p.offset % static_cast<int64_t>(size_of(m.dtype)) != 0 || p.offset > room || span_bytes(m) > room - p.offset)
      damaged("a value outside its place");
  }

  void plan() {
    size_t at = 0;
    for (const Step& s : g_.steps)
      if (!s.op->traits.view) plan(s, packed_[at++]);
  }

  struct Packed {
    std::string plan;
    std::vector<int> at;                           // among Program::packs, one an operand; -1: taken as it is
  };

  void plan(const Step& s, const Packed& packed) {
    const Scope scope(s.scope);
    const StepSite borrowed(g_, s);
    const Site site = borrowed.site();
    PlannedStep planned{cached_plan(site), {}, {}};
    if (planned.plan->name != packed.plan) damaged("another kernel");
    for (size_t i = 0; i < s.in.size(); ++i) {
      const int v = s.in[i];
      if (v < 0) {
        planned.in.push_back({});
        continue;
      }
      const int operand = static_cast<int>(i);
      const auto bytes = static_cast<int64_t>(site.is_constant(operand) ? planned.plan->packed_bytes(operand) : 0);
      const int at = packed.at[i];
      if ((at < 0) != (bytes == 0)) damaged("a constant in another form");
      if (bytes) {
        PackedConstant& c = program_->packs[static_cast<size_t>(at)];
        if (c.bytes != bytes) damaged("a packed constant of another size");
        c.name = g_.values[static_cast<size_t>(v)].name;
      }
      const Place& place = g_.places[static_cast<size_t>(v)];
      if (!bytes && place.kind == Place::Kind::constant &&
          !g_.values[static_cast<size_t>(place.index)].constant.has_bytes())
        damaged("a constant without bytes");
      planned.in.push_back({place, at});
    }
    for (int v : s.out) planned.out.push_back(g_.places[static_cast<size_t>(v)]);
    program_->add(s, site, std::move(planned));
  }

  Constants own_;
  std::optional<Constants> base_;
  std::shared_ptr<Session::Program> program_;
  Graph& g_;
  const std::string_view* key_;
  std::vector<Packed> packed_;                     // one a step that is no view
};

namespace {

std::optional<Session> load(const std::string& path, const std::string_view* key) {
  if (build_identity().empty()) return {};
  try {
    const std::shared_ptr<const PlanFile> file = PlanFile::open(path, sizeof(Header));
    if (!file) return {};
    return SessionReader(file, key).read();
  } catch (const Error&) {
    return {};
  } catch (const std::bad_alloc&) {
    return {};
  } catch (const std::length_error&) {
    return {};
  }
}

}  // namespace

std::optional<Session> load_session(const std::string& path, std::string_view key) { return load(path, &key); }
std::optional<Session> load_base(const std::string& path) { return load(path, nullptr); }
std::vector<std::string> files_of(const Session& session) { return SessionReader::files_of(session); }

}  // namespace fovea
