// SPDX-License-Identifier: Apache-2.0
#include "engine/core/backend.h"

#include <algorithm>
#include <array>
#include <list>
#include <mutex>
#include <unordered_map>

#include "engine/core/host_memory.h"
#include "engine/core/scope.h"
#include "engine/core/strided_copy.h"
#include "engine/core/threads.h"

namespace fovea {
namespace {

thread_local const Backend* only = nullptr;

std::vector<const Backend*>& all() {
  static std::vector<const Backend*> known(built_in_backends().begin(), built_in_backends().end());
  return known;
}

Device device_of(const Site& s) { return s.out.empty() ? (s.in.empty() ? cpu() : s.in[0].device) : s.out[0].device; }

bool serves(const Backend& b, Device d) { return (!only || &b == only) && b.device == d.kind; }
bool serves(const Backend& b, const Site& s) { return serves(b, device_of(s)); }

PlanPtr plan_on(const Backend& b, const Site& s) {
  for (const std::span<const Kernel>& table : b.kernels())
    for (const Kernel& k : table)
      if (k.op == &s.op)
        if (PlanPtr p = k.plan(s)) return p;
  return nullptr;
}

using Convert = decltype(Backend::convert);

void copy_on_host(const Meta& from, const std::byte* source, const Meta& to, std::byte* target, Stream&) {
  copy_strided(from, source, to, target);
}

// Null: there is none on that device.
Convert converter(Device d) {
  for (const Backend* b : backends())
    if (serves(*b, d) && b->convert) return b->convert;
  return is_host(d) ? copy_on_host : nullptr;
}

// Runs another plan on converted copies: dense where operands lie oddly, f32 where they are bf16 or f16.
class Adapted final : public Plan {
 public:
  Adapted(PlanPtr inner, const Site& outer, Metas in, Metas out, std::string_view how)
      : inner_(std::move(inner)),
        convert_(converter(device_of(outer))) {
    name = str_cat(inner_->name, " ", how);
    scratch = (inner_->scratch + 63) & ~size_t{63};
    constant_ = outer.constant;
    for (size_t i = 0; i < in.size(); ++i)
      in_.push_back(convert(outer.in[i], in[i], outer.is_constant(static_cast<int>(i))));
    for (size_t i = 0; i < out.size(); ++i) out_.push_back(convert(outer.out[i], out[i], false));
  }

  void run(const Args& a, Stream& s) const override {
    if (in_.size() <= kFew && out_.size() <= kFew) {
      std::array<const std::byte*, kFew> in;
      std::array<std::byte*, kFew> out;
      return run(a, s, in.data(), out.data());
    }
    std::vector<const std::byte*> in(in_.size());
    std::vector<std::byte*> out(out_.size());
    run(a, s, in.data(), out.data());
  }

  void run(const Args& a, Stream& s, const std::byte** in, std::byte** out) const {
    for (size_t i = 0; i < in_.size(); ++i) {
      in[i] = a.in[i];
      if (!in_[i].needed || is_constant(i) || !a.in[i]) continue;
      convert_(in_[i].outer, a.in[i], in_[i].inner, a.scratch + in_[i].at, s);
      in[i] = a.scratch + in_[i].at;
    }
    for (size_t i = 0; i < out_.size(); ++i) out[i] = out_[i].needed ? a.scratch + out_[i].at : a.out[i];
    inner_->run({in, out, a.scratch}, s);
    for (size_t i = 0; i < out_.size(); ++i)
      if (out_[i].needed) convert_(out_[i].inner, out[i], out_[i].outer, a.out[i], s);
  }

  size_t packed_bytes(int operand) const override {
    const size_t packed = inner_->packed_bytes(operand);
    const Conversion& c = in_[static_cast<size_t>(operand)];
    return packed || !c.needed ? packed : static_cast<size_t>(c.inner.bytes());
  }

  void pack(int operand, const std::byte* in, std::byte* out) const override {
    const Conversion& c = in_[static_cast<size_t>(operand)];
    if (!c.needed) return inner_->pack(operand, in, out);
    if (!inner_->packed_bytes(operand)) return convert_on_host(c, in, out);
    std::vector<std::byte> plain(static_cast<size_t>(c.inner.bytes()));
    convert_on_host(c, in, plain.data());
    inner_->pack(operand, plain.data(), out);
  }

 private:
  struct Conversion {
    Meta outer, inner;
    bool needed;
    size_t at;                                     // in scratch, behind the inner plan's own
  };
  static constexpr size_t kFew = 64;
  static void convert_on_host(const Conversion& c, const std::byte* in, std::byte* out) {
    Stream host;
    converter(cpu())(c.outer, in, c.inner, out, host);
  }
  bool is_constant(size_t i) const { return i < 32 && (constant_ >> i & 1u); }
  Conversion convert(const Meta& outer, const Meta& inner, bool packed) {
    const bool needed = outer.present() && outer != inner;
    const size_t at = scratch;
    if (needed && !packed) scratch += (static_cast<size_t>(inner.bytes()) + 63) & ~size_t{63};
    return {outer, inner, needed, at};
  }

  PlanPtr inner_;
  Convert convert_;
  uint32_t constant_ = 0;
  std::vector<Conversion> in_, out_;
};

Meta contiguous(Meta m) {
  m.strides = contiguous_strides(m.shape);
  return m;
}
bool is_dense(const Meta& m) { return !m.present() || m.is_contiguous() || m.is_channels_last(); }

PlanPtr plan_adapted(const Backend& b, const Site& s, Metas in, Metas out, std::string_view how) {
  if (std::equal(in.begin(), in.end(), s.in.begin(), s.in.end()) &&
      std::equal(out.begin(), out.end(), s.out.begin(), s.out.end()))
    return nullptr;
  PlanPtr inner = converter(device_of(s)) ? plan_on(b, {s.op, in, out, s.attrs_ref, s.constant}) : nullptr;
  return inner ? std::make_shared<Adapted>(std::move(inner), s, std::move(in), std::move(out), how) : nullptr;
}

PlanPtr plan_any_layout(const Backend& b, const Site& s) {
  if (PlanPtr p = plan_on(b, s)) return p;
  Metas in(s.in.begin(), s.in.end()), out(s.out.begin(), s.out.end());
  for (Meta& m : in)
    if (!is_dense(m)) m.strides = strides_for(m.shape, m.memory());
  if (PlanPtr p = plan_adapted(b, s, in, out, "on dense copies")) return p;
  for (Meta& m : in)
    if (m.present()) m = contiguous(m);
  for (Meta& m : out) m = contiguous(m);
  return plan_adapted(b, s, std::move(in), std::move(out), "on contiguous copies");
}

bool is_half(DType t) { return t == DType::bf16 || t == DType::f16; }

PlanPtr plan_by_f32(const Site& s) {
  Metas in(s.in.begin(), s.in.end()), out(s.out.begin(), s.out.end());
  bool any = false;
  for (Metas* metas : {&in, &out})
    for (Meta& m : *metas)
      if (is_half(m.dtype)) {
        m.dtype = DType::f32;
        m.strides = strides_for(m.shape, m.memory());
        any = true;
      }
  if (!any || !converter(device_of(s))) return nullptr;
  const Site f32{s.op, in, out, s.attrs_ref, s.constant};
  for (const Backend* b : backends())
    if (serves(*b, f32))
      if (PlanPtr inner = plan_any_layout(*b, f32))
        return std::make_shared<Adapted>(std::move(inner), s, in, out, "by f32");
  return nullptr;
}

}  // namespace

std::span<const Backend* const> backends() { return all(); }

void add_backend(const Backend& b) {
  std::vector<const Backend*>& known = all();
  known.push_back(&b);
  std::stable_sort(known.begin(), known.end(), [](const Backend* x, const Backend* y) { return x->rank < y->rank; });
}

std::shared_ptr<Storage> allocate(Device d, size_t bytes) {
  if (is_host(d))
    if (std::shared_ptr<Storage> ours = allocate_in_host_memory(bytes)) return ours;
  return runtime_of(d).allocate(bytes, current_stream(d));
}

void on_host_threads(int64_t n, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
  for (const Backend* b : backends())
    if (b->parallel && b->device == Device::Kind::cpu) return b->parallel(n, grain, body, context);
  if (n > 0) body(context, 0, n);
}

UseBackend::UseBackend(std::string_view name) : before_(only) {
  for (const Backend* b : backends())
    if (name == b->name) {
      only = b;
      return;
    }
  std::string known;
  for (const Backend* b : backends()) known += str_cat(known.empty() ? "" : " ", b->name);
  throw Error(Error::Kind::not_found, str_cat("no backend '", name, "'"), "built in: " + known);
}
UseBackend::~UseBackend() { only = before_; }

PlanPtr make_plan(const Site& s) {
  for (const Backend* b : backends())
    if (serves(*b, s))
      if (PlanPtr p = plan_any_layout(*b, s)) return p;
  if (PlanPtr p = plan_by_f32(s)) return p;
  std::string tried, operands;
  for (const Backend* b : backends())
    if (serves(*b, s)) tried += str_cat(tried.empty() ? "" : " ", b->name);
  for (const Meta& m : s.in)
    if (m.present()) operands += str_cat(operands.empty() ? "" : ", ", m);
  const std::string scope = current_scope();
  throw Error(Error::Kind::unsupported,
              str_cat(s.op.name(), ": no kernel for ", operands, scope.empty() ? "" : " at ", scope),
              str_cat("backends tried: ", tried, "   attributes: ", to_string(s.attrs_ref)));
}

namespace {

// The plans that eager runs and compile() asked for last, by what they were made for.
struct RecentPlans {
  static constexpr size_t kMost = 2048;
  struct Entry {
    std::string key;
    PlanPtr plan;
  };
  std::mutex mutex;
  std::list<Entry> entries;                        // most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> index;

  PlanPtr find(const std::string& key) {
    const std::lock_guard lock(mutex);
    const auto it = index.find(key);
    if (it == index.end()) return nullptr;
    entries.splice(entries.begin(), entries, it->second);
    return it->second->plan;
  }
  void put(std::string key, PlanPtr plan) {
    const std::lock_guard lock(mutex);
    if (index.contains(key)) return;
    entries.push_front({std::move(key), std::move(plan)});
    index.emplace(entries.front().key, entries.begin());
    if (entries.size() <= kMost) return;
    index.erase(entries.back().key);
    entries.pop_back();
  }
  void clear() {
    const std::lock_guard lock(mutex);
    index.clear();
    entries.clear();
  }
};

RecentPlans& recent_plans() {
  static RecentPlans* const one = new RecentPlans;  // outlives every thread that may still run ops at exit
  return *one;
}

void append_key(std::string& key, const Meta& m) {
  key += static_cast<char>(m.dtype);
  if (!m.present()) return;
  key += static_cast<char>(m.device.kind);
  key += static_cast<char>(m.device.index);
  key += static_cast<char>(m.rank());
  key.append(reinterpret_cast<const char*>(m.shape.begin()), sizeof(int64_t) * static_cast<size_t>(m.rank()));
  key.append(reinterpret_cast<const char*>(m.strides.begin()), sizeof(int64_t) * static_cast<size_t>(m.rank()));
}

}  // namespace

PlanPtr cached_plan(const Site& s) {
  thread_local std::string key;
  key.clear();
  const void* ids[] = {&s.op, only};
  key.append(reinterpret_cast<const char*>(ids), sizeof ids);
  const uint32_t numbers[] = {s.constant, static_cast<uint32_t>(threads())};
  key.append(reinterpret_cast<const char*>(numbers), sizeof numbers);
  append_key(key, s.attrs_ref);
  for (const Meta& m : s.in) append_key(key, m);
  key += '>';
  for (const Meta& m : s.out) append_key(key, m);
  if (PlanPtr p = recent_plans().find(key)) return p;
  PlanPtr p = make_plan(s);
  recent_plans().put(key, p);
  return p;
}

void clear_plan_cache() { recent_plans().clear(); }

bool accepts_epilogue(const Site& s, const Epilogue& e) {
  for (const Backend* b : backends()) {
    if (!serves(*b, s)) continue;
    for (const std::span<const Kernel>& table : b->kernels())
      for (const Kernel& k : table)
        if (k.op == &s.op && k.accepts && k.accepts(s, e)) return true;
  }
  return false;
}

}  // namespace fovea
