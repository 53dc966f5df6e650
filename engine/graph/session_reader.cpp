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

}  // namespace

class SessionReader {
 public:
  SessionReader(const std::shared_ptr<const PlanFile>& file, std::string_view key)
      : file_(file->bytes()), program_(std::make_shared<Session::Program>()), g_(program_->graph), key_(key) {
    program_->file = file;
  }

  Session read() {
    check_header();
    Reader r(std::span(file_->data + sizeof h_, h_.description_bytes));
    // The cheap questions first: most files that do not fit are merely old.
    if (r.text() != build_identity() || r.text() != processor_identity() || r.text() != key_) damaged("of another key");
    check_sum();
    Target& t = program_->target;
    t.device = read_device(r);
    t.threads = static_cast<int>(r.number(1, 4096));
    t.dtype = static_cast<DType>(r.number(0, static_cast<int64_t>(last_of(DType{}))));
    const UseThreads use(t.threads);
    if (h_.packed_bytes) program_->packed = brought_to(t.device, part_of(file_, h_.constants_at, h_.packed_bytes));
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
    program_->file->check();                       // what was read after it was summed is what was summed
    if (!is_host(t.device)) program_->file.reset();
    return Session(std::move(program_), {});
  }

 private:
  void check_header() {
    std::memcpy(&h_, file_->data, sizeof h_);
    if (std::memcmp(h_.magic, session_file::kMagic, sizeof h_.magic) != 0) damaged("another format");
    if (h_.file_bytes != file_->bytes || h_.description_bytes > h_.file_bytes - sizeof h_ ||
        h_.constants_at != session_file::rounded(sizeof h_ + h_.description_bytes, session_file::kPage) ||
        h_.constants_at > h_.file_bytes || h_.constants_bytes != h_.file_bytes - h_.constants_at ||
        h_.packed_bytes > h_.constants_bytes || h_.reserved != 0)
      damaged("sizes that do not fit together");
  }

  void check_sum() const {
    const std::span<const std::byte> all(file_->data, file_->bytes);
    std::string front(reinterpret_cast<const char*>(file_->data), h_.constants_at);
    Header zero = h_;
    zero.checksum = 0;
    std::memcpy(front.data(), &zero, sizeof zero);
    uint64_t sum = checksum(std::as_bytes(std::span(front)));
    sum = checksum(all.subspan(h_.constants_at, h_.packed_bytes), sum);
    if (checksum(all.subspan(h_.constants_at + h_.packed_bytes), sum) != h_.checksum) damaged("its checksum is wrong");
  }

  void read_value(Reader& r) {
    Value v{read_meta(r, program_->target.device), {}, std::string(r.text())};
    Place p;
    p.kind = static_cast<Place::Kind>(r.number(0, static_cast<int64_t>(Place::Kind::constant)));
    p.index = static_cast<int>(r.number(0, INT32_MAX));
    p.offset = r.number(0, kMost);
    const auto kind = static_cast<Kind>(r.number(0, static_cast<int64_t>(Kind::packed_only)));
    if (kind == Kind::packed_only) v.constant = meta_tensor(v.meta);
    if (kind == Kind::plain) {
      const auto at = static_cast<uint64_t>(r.number(0, kMost)), bytes = static_cast<uint64_t>(span_bytes(v.meta));
      if (at % 64 != 0 || at > h_.constants_bytes || bytes > h_.constants_bytes - at) damaged("a constant outside it");
      auto impl = std::make_shared<TensorImpl>();
      impl->meta = v.meta;
      impl->storage = part_of(file_, h_.constants_at + at, bytes);
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
      for (size_t i = 0; i < s.in.size(); ++i) p.at.push_back(r.number(-1, kMost));
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
    int64_t all = 0;
    for (const Value& v : g_.values)
      if (v.constant && v.constant.has_bytes()) all += v.meta.bytes();
    program_->constant_bytes = all + static_cast<int64_t>(h_.packed_bytes);
  }

  struct Packed {
    std::string plan;
    std::vector<int64_t> at;                       // one an operand; -1: taken as it is
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
      const auto bytes = static_cast<uint64_t>(site.is_constant(operand) ? planned.plan->packed_bytes(operand) : 0);
      const int64_t at = packed.at[i];
      if ((at < 0) != (bytes == 0)) damaged("a constant in another form");
      if (bytes && (at % 64 != 0 || static_cast<uint64_t>(at) > h_.packed_bytes ||
                    bytes > h_.packed_bytes - static_cast<uint64_t>(at)))
        damaged("a packed constant outside it");
      const Place& place = g_.places[static_cast<size_t>(v)];
      if (!bytes && place.kind == Place::Kind::constant &&
          !g_.values[static_cast<size_t>(place.index)].constant.has_bytes())
        damaged("a constant without bytes");
      planned.in.push_back({place, at});
    }
    for (int v : s.out) planned.out.push_back(g_.places[static_cast<size_t>(v)]);
    program_->add(s, site, std::move(planned));
  }

  std::shared_ptr<Storage> file_;
  std::shared_ptr<Session::Program> program_;
  Graph& g_;
  std::string_view key_;
  Header h_;
  std::vector<Packed> packed_;                     // one a step that is no view
};

std::optional<Session> load_session(const std::string& path, std::string_view key) {
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

}  // namespace fovea
