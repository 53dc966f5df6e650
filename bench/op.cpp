// SPDX-License-Identifier: Apache-2.0
#include "bench/op.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "bench/loops.h"
#include "engine/core/backend.h"
#include "engine/core/error.h"
#include "engine/core/isa.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"

namespace fovea::bench {
namespace {

// A use of an op, with bytes for its operands and results.
struct Use {
  const OpDef* op = nullptr;
  Attrs attrs;
  Tensors in, out;
  Metas in_metas, out_metas;
  uint32_t constant = 0;                           // as Site::constant

  Site site() const { return {*op, in_metas, out_metas, attrs.ref(), constant}; }
};

template <class E>
E named(std::string_view what, std::string_view name, E first, E last) {
  std::vector<std::string> names;
  for (auto i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
    if (name == name_of(static_cast<E>(i))) return static_cast<E>(i);
    names.emplace_back(name_of(static_cast<E>(i)));
  }
  throw Error(Error::Kind::argument, str_cat("--op: no ", what, " '", name, "'"), "there are: " + join(names, " "));
}

Dims or_filled(const Dims& given, int64_t otherwise, int n) {
  if (given.size() == n) return given;
  if (given.size() > 1) throw Error(Error::Kind::argument, str_cat("--op: ", given, " for ", n, " dimensions"));
  return Dims::filled(n, given.empty() ? otherwise : given[0]);
}

Tensor values(const Shape& s, int64_t key, DType t, Memory order) { return contiguous(cast(randn(s, key), t), order); }

void want(const Dims& d, const char* option, int least) {
  if (d.size() < least)
    throw Error(Error::Kind::argument, str_cat("--op: ", option, " ", d, " has ", d.size(), " dimensions"),
                str_cat(option, " takes at least ", least, ": ", option, " 1,64,56,56"));
}

Epilogue epilogue_of(const OpOptions& o) {
  Epilogue e;
  if (!o.act.empty()) e.act = named("activation", o.act, Unary::identity, last_of(Unary{}));
  e.residual = o.residual;
  return e;
}

// Weights, and what stands behind them: a bias, then what is added.
void add_weights(Use& u, const OpOptions& o, DType t) {
  want(o.w, "--w", 2);
  u.in.push_back(values(o.w, 2, t, Memory::contiguous));
  u.in.push_back(o.bias ? values({o.w[0]}, 3, t, Memory::contiguous) : Tensor());
  u.constant = 0b110;
}

Use conv_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 3);
  const int n = o.x.size() - 2;
  ConvAttrs a{.stride = or_filled(o.stride, 1, n),
              .dilation = or_filled(o.dilation, 1, n),
              .pad_lo = or_filled(o.pad, 0, n),
              .pad_hi = or_filled(o.pad, 0, n),
              .groups = o.groups,
              .size = {},
              .epilogue = epilogue_of(o)};
  Use u{.op = &ops::conv, .attrs = AttrsRef::of(a)};
  u.in.push_back(values(o.x, 1, t, Memory::channels_last));
  add_weights(u, o, t);
  return u;
}

Use linear_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 2);
  Use u{.op = &ops::linear, .attrs = AttrsRef::of(LinearAttrs{epilogue_of(o)})};
  u.in.push_back(values(o.x, 1, t, Memory::contiguous));
  add_weights(u, o, t);
  return u;
}

Use matmul_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 2);
  want(o.w, "--w", 2);
  Use u{.op = &ops::matmul, .attrs = AttrsRef::of(MatmulAttrs{})};
  u.in = {values(o.x, 1, t, Memory::contiguous), values(o.w, 2, t, Memory::contiguous)};
  return u;
}

Use attention_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 4);
  Use u{.op = &ops::sdpa, .attrs = AttrsRef::of(AttentionAttrs{.scale = 0.125f})};
  for (int i = 1; i <= 3; ++i) u.in.push_back(values(i > 1 && !o.w.empty() ? o.w : o.x, i, t, Memory::contiguous));
  return u;
}

Use layer_norm_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 2);
  Use u{.op = &ops::layer_norm, .attrs = AttrsRef::of(NormAttrs{})};
  const Shape last{o.x[o.x.size() - 1]};
  u.in = {values(o.x, 1, t, Memory::contiguous), values(last, 2, t, Memory::contiguous),
          values(last, 3, t, Memory::contiguous)};
  u.constant = 0b110;
  return u;
}

Use softmax_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 1);
  Use u{.op = &ops::softmax, .attrs = AttrsRef::of(AxisAttrs{.dim = o.x.size() - 1})};
  u.in = {values(o.x, 1, t, Memory::contiguous)};
  return u;
}

Memory order_of(const Dims& x) { return x.size() == 4 ? Memory::channels_last : Memory::contiguous; }

Use unary_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 1);
  const Unary fn = named("function", o.fn.empty() ? "silu" : o.fn, Unary::identity, last_of(Unary{}));
  Use u{.op = &ops::unary, .attrs = AttrsRef::of(UnaryAttrs{.fn = fn, .a = 1, .b = 1})};
  u.in = {values(o.x, 1, t, order_of(o.x))};
  return u;
}

Use binary_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 1);
  const Binary fn = named("function", o.fn.empty() ? "add" : o.fn, Binary::add, last_of(Binary{}));
  Use u{.op = &ops::binary, .attrs = AttrsRef::of(BinaryAttrs{fn})};
  u.in = {values(o.x, 1, t, order_of(o.x)), values(o.w.empty() ? o.x : o.w, 2, t, order_of(o.x))};
  return u;
}

Use pool_use(const OpOptions& o, DType t) {
  want(o.x, "--x", 3);
  const int n = o.x.size() - 2;
  const Dims kernel = or_filled(o.kernel, 2, n);
  PoolAttrs a{.kernel = kernel,
              .stride = o.stride.empty() ? kernel : or_filled(o.stride, 1, n),
              .pad_lo = or_filled(o.pad, 0, n),
              .pad_hi = or_filled(o.pad, 0, n),
              .dilation = or_filled(o.dilation, 1, n),
              .ceil_mode = false,
              .count_include_pad = true,
              .values_only = o.op == "max_pool",
              .divisor = 0,
              .size = {}};
  Use u{.op = o.op == "max_pool" ? &ops::max_pool : &ops::avg_pool, .attrs = AttrsRef::of(a)};
  u.in = {values(o.x, 1, t, Memory::channels_last)};
  return u;
}

struct Maker {
  std::string_view name;
  Use (*make)(const OpOptions& o, DType t);
};
constexpr Maker kMakers[] = {{"conv", conv_use},       {"linear", linear_use},         {"matmul", matmul_use},
                             {"sdpa", attention_use},  {"layer_norm", layer_norm_use}, {"softmax", softmax_use},
                             {"unary", unary_use},     {"binary", binary_use},         {"max_pool", pool_use},
                             {"avg_pool", pool_use}};

// With results, whose shapes the op's own rule gives.
Use use_of(const OpOptions& o) {
  const auto* maker =
      std::find_if(std::begin(kMakers), std::end(kMakers), [&](const Maker& m) { return m.name == o.op; });
  if (maker == std::end(kMakers))
    throw Error(Error::Kind::argument, str_cat("--op: no op '", o.op, "'"), "there are: " + join(op_names(), " "));
  Use u = maker->make(o, parse_dtype(o.dtype));
  const auto meta = [](const Tensor& t) { return t ? t.meta() : Meta{}; };
  for (const Tensor& t : u.in) u.in_metas.push_back(meta(t));
  if (o.residual) {                                // of the result's shape, which does not depend on it
    const Epilogue whole = u.op->epilogue_in(u.attrs.ref());
    Epilogue alone = whole;
    alone.residual = false;
    u.op->set_epilogue(u.attrs, alone);
    const Metas out = u.op->infer(u.site());
    u.op->set_epilogue(u.attrs, whole);
    u.in.push_back(values(out[0].shape, 4, out[0].dtype, out[0].memory()));
    u.in_metas.push_back(u.in.back().meta());
  }
  u.out_metas = u.op->infer(u.site());
  for (const Meta& m : u.out_metas) u.out.push_back(empty(m));
  return u;
}

// Every kernel of the processor's backends that takes the use; what a model would run comes first.
std::vector<PlanPtr> candidates(const Site& s) {
  std::vector<PlanPtr> plans{make_plan(s)};
  for (const Backend* b : backends()) {
    if (b->device != Device::Kind::cpu) continue;
    for (const std::span<const Kernel>& table : b->kernels())
      for (const Kernel& k : table) {
        PlanPtr p = k.op == &s.op ? k.plan(s) : nullptr;
        const auto same = [&](const PlanPtr& other) { return other->name == p->name; };
        if (p && std::none_of(plans.begin(), plans.end(), same)) plans.push_back(std::move(p));
      }
  }
  return plans;
}

// A plan with its operands packed as it wants them.
class Runner {
 public:
  Runner(const Use& u, PlanPtr plan) : plan_(std::move(plan)), scratch_(allocate(cpu(), plan_->scratch + 64)) {
    for (size_t i = 0; i < u.in.size(); ++i) {
      const size_t bytes = u.constant >> i & 1u ? plan_->packed_bytes(static_cast<int>(i)) : 0;
      if (bytes > 0 && u.in[i]) {
        packed_.push_back(allocate(cpu(), bytes));
        plan_->pack(static_cast<int>(i), u.in[i].bytes(), packed_.back()->data);
        in_.push_back(packed_.back()->data);
      } else {
        in_.push_back(u.in[i] ? u.in[i].bytes() : nullptr);
      }
    }
    for (const Tensor& t : u.out) out_.push_back(t.bytes());
  }
  double seconds() {
    Stream stream;
    const double start = now();
    plan_->run({in_.data(), out_.data(), scratch_->data}, stream);
    return now() - start;
  }
  const std::string& name() const { return plan_->name; }

 private:
  PlanPtr plan_;
  std::shared_ptr<Storage> scratch_;
  std::vector<std::shared_ptr<Storage>> packed_;
  std::vector<const std::byte*> in_;
  std::vector<std::byte*> out_;
};

// Leaves the caches as a model's run does, which touches so many bytes: all but the op's constants were read, then the
// arena, where results and operands lie, was written.
class RestOfModel {
 public:
  RestOfModel(const Use& u, int64_t bytes) {
    for (size_t i = 0; i < u.in.size(); ++i)
      if (u.in[i] && (u.constant >> i & 1u)) bytes -= u.in[i].meta().bytes();
    bytes_ = std::max<int64_t>(bytes / kPart, 1) * kPart;
    memory_ = allocate(cpu(), static_cast<size_t>(bytes_));
    std::memset(memory_->data, 1, static_cast<size_t>(bytes_));
    for (const Tensor& t : u.out) add(t);
    for (size_t i = 0; i < u.in.size(); ++i)
      if (u.in[i] && !(u.constant >> i & 1u)) add(u.in[i]);
  }
  void run() {
    on_host_threads(bytes_ / kPart, 1, [&](int64_t first, int64_t last) {
      sink_ = read_all(memory_->data + first * kPart, static_cast<size_t>((last - first) * kPart));
    });
    for (const Written& w : written_) write(w);
  }

 private:
  static constexpr int64_t kPart = 1 << 16;
  static inline thread_local volatile uint64_t sink_ = 0;
  struct Written {
    Tensor to;
    std::vector<std::byte> bytes;
  };
  void add(const Tensor& t) { written_.push_back({t, {t.bytes(), t.bytes() + t.meta().bytes()}}); }
  // By all threads, as kernels write.
  static void write(const Written& w) {
    on_host_threads(static_cast<int64_t>(w.bytes.size()), 4096, [&](int64_t first, int64_t last) {
      std::memcpy(w.to.bytes() + first, w.bytes.data() + first, static_cast<size_t>(last - first));
    });
  }
  int64_t bytes_ = 0;
  std::shared_ptr<Storage> memory_;
  std::vector<Written> written_;
};

StepInfo step_of(const Use& u, const std::string& kernel) {
  const Site site = u.site();
  StepInfo s{.scope = {},
             .op = u.op->name(),
             .role = u.op->role,
             .plan = kernel,
             .attrs = to_string(u.attrs.ref()),
             .in = u.in_metas,
             .out = u.out_metas,
             .bytes = 0,
             .flops = u.op->work ? 2 * u.op->work(site) : 0};
  for (const Metas* metas : {&s.in, &s.out})
    for (const Meta& m : *metas) s.bytes += m.present() ? m.bytes() : 0;
  return s;
}

}  // namespace

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const Maker& m : kMakers) names.emplace_back(m.name);
  return names;
}

StepInfo op_step(const OpOptions& o) { return step_of(use_of(o), {}); }

OpTimes time_op(const OpOptions& o) {
  const Use u = use_of(o);
  std::vector<Runner> runners;
  for (const PlanPtr& p : candidates(u.site())) runners.emplace_back(u, p);
  RestOfModel rest(u, o.between);
  std::vector<std::vector<double>> at_hand(runners.size()), in_model(runners.size());
  for (Runner& r : runners) r.seconds();           // what is made at a first run is there from now on
  OpTimes out{.step = step_of(u, runners[0].name()), .kernels = {}, .noise = {}};
  const std::vector<size_t> count = run_calmly(static_cast<size_t>(o.repeat), out.noise, [&](size_t) {
    for (size_t i = 0; i < runners.size(); ++i) {
      rest.run();
      in_model[i].push_back(runners[i].seconds());
      at_hand[i].push_back(runners[i].seconds());
    }
  });
  const auto counted = [&](const std::vector<double>& all) {
    std::vector<double> v;
    for (const size_t i : count) v.push_back(all[i]);
    std::sort(v.begin(), v.end());
    return v;
  };
  for (size_t i = 0; i < runners.size(); ++i) {
    const std::vector<double> far = counted(in_model[i]);
    out.kernels.push_back({.kernel = runners[i].name(),
                           .isa = std::string(name_of(isa_limit())),
                           .chosen = i == 0,
                           .at_hand = median(counted(at_hand[i])),
                           .in_model = quantile(far, 0.5),
                           .low = quantile(far, 0.1),
                           .high = quantile(far, 0.9)});
  }
  return out;
}

}  // namespace fovea::bench
