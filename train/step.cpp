// SPDX-License-Identifier: Apache-2.0
#include "train/step.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/autograd/autograd.h"
#include "engine/core/runtime.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "engine/ops/random.h"
#include "train/exchange.h"
#include "train/together.h"

namespace fovea::train {
namespace {

struct Classification final : Objective {
  explicit Classification(std::shared_ptr<const Loss> l) : loss(std::move(l)) {}
  Tensor operator()(Module& model, std::span<const Tensor> batch) const override {
    const Tensor logits = model(batch[0]);
    return loss ? (*loss)(logits, batch[1]) : cross_entropy(logits, batch[1]);
  }
  std::shared_ptr<const Loss> loss;
};

void copy_into(const Tensor& to, const Tensor& from) {
  const Tensor ordered = contiguous(from, to.meta().memory());
  const TensorImpl &source = *ordered.impl(), &target = *to.impl();
  ordered.bytes();                                 // values that are still to be made are made now
  const auto size = static_cast<int64_t>(size_of(to.dtype()));
  copy_bytes(*source.storage, source.offset * size, *target.storage, target.offset * size, to.meta().bytes());
}

std::vector<Slot> buffers_of(Module& model) {
  std::vector<Slot> out;
  for (const NamedParameter& b : model.named_buffers()) out.push_back({b.name, &b.tensor()});
  return out;
}

}  // namespace

std::shared_ptr<const Objective> classification(std::shared_ptr<const Loss> loss) {
  return std::make_shared<Classification>(std::move(loss));
}

struct Step::Compiled {
  Metas batch;
  Session session;
  Tensors memory;                                  // the session's state, as slots() lists it
};

Step::Step(Module& model, Optimizer& optimizer, StepOptions options)
    : model_(model), optimizer_(optimizer), options_(std::move(options)) {
  if (options_.accumulate < 1)
    throw Error(Error::Kind::argument, str_cat("a step over ", options_.accumulate, " parts of a batch"));
}
Step::~Step() = default;

// Gradients of the loss, of all processes and all parts of the batch, and along random signs the curvature, where a
// rule wants it.
Gradients Step::learn(std::span<const Tensor> batch, const Tensor& random, Gradients& curvature, Tensor& loss) {
  const Tensors leaves = optimizer_.leaves();
  const bool bends = !curvature.empty();
  const int64_t parts = options_.accumulate;
  const double shares = static_cast<double>(parts) * (alone() ? 1 : options_.peers->size());
  Tensors signs;
  Gradients sum(leaves.size());
  Exchange exchange(sum, options_.bucket_bytes);
  for (int64_t i = 0; i < parts; ++i) {
    const UseRandomStep use(random + static_cast<double>(i));
    model_.seed(options_.seed);
    Tensors part;
    for (const Tensor& t : batch) {
      const int64_t size = t.dim(0) / parts;
      part.push_back(parts == 1 ? t : slice(t, 0, i * size, (i + 1) * size));
    }
    const Tensor one = (*options_.objective)(model_, part);
    const Tensor share = shares == 1 ? one : one / shares;
    loss = loss ? loss + share.detach() : share.detach();
    const bool sends = !alone() && i + 1 == parts;
    if (sends) exchange.add(loss);
    if (bends && signs.empty()) {
      const UseRandomStep first(random);
      signs = optimizer_.signs();
    }
    const double weight = options_.objective->weight(part);
    const Tensor pulls = weight == 1 ? share : share * weight;
    if (sends && !bends) {
      backward(pulls, leaves, exchange);
      continue;
    }
    const Gradients g = bends ? grad(std::span(&pulls, 1), leaves, {}, true) : backward(pulls, leaves);
    if (bends) {
      const Tensors turned = grad(g, leaves, signs);
      for (size_t k = 0; k < turned.size(); ++k) {
        const Tensor along = turned[k] * signs[k];
        curvature[k] = curvature[k] ? curvature[k] + along : along;
        if (sends) exchange.add(curvature[k]);
      }
    }
    for (size_t k = 0; k < g.size(); ++k) {
      if (!g[k]) continue;
      if (sends) exchange.complete(k, g[k]);
      else sum[k] = sum[k] ? sum[k] + g[k].detach() : g[k].detach();
    }
  }
  exchange.finish();
  return sum;
}

Tensors Step::run(std::span<const Tensor> batch, const Tensor& hyper, const Tensor& random) {
  Tensors before;
  if (options_.skip_not_finite)
    for (const Slot& s : slots()) before.push_back(*s.tensor);
  for (const Tensor& t : batch)
    if (t.dim(0) % options_.accumulate != 0)
      throw Error(Error::Kind::shape, str_cat("a batch of ", t.dim(0), " in ", options_.accumulate, " equal parts"));
  const Tensors leaves = optimizer_.leaves();
  Gradients curvature(optimizer_.rule().wants_curvature() ? leaves.size() : 0);
  Tensor loss;
  Gradients sum = learn(batch, random, curvature, loss);
  const bool clips = options_.clip != Clip::none;
  const Tensor norm = clips || options_.skip_not_finite ? common_norm(sum) : scalar(0, hyper);
  if (clips) {
    std::vector<bool> spared;
    for (const std::string& name : optimizer_.names())
      spared.push_back(std::ranges::find(options_.clip_spared, name) != options_.clip_spared.end());
    clip(sum, leaves, options_.clip, options_.clip_bound, norm, spared);
  }
  const int64_t groups = hyper.dim(0) - 1;         // the last number is the average's decay
  {
    const UseRandomStep use(random);
    optimizer_.step(sum, slice(hyper, 0, 0, groups), curvature);
  }
  if (options_.ema) options_.ema->update(Number(select(hyper, 0, groups)));
  if (options_.skip_not_finite) {
    const double most = std::numeric_limits<double>::infinity();
    take_back(before, logical_and(less(abs(cast(loss, DType::f64)), most), less(norm, most)));
  }
  return {loss, norm};
}

// Unless all is well, everything is what it was.
void Step::take_back(const Tensors& before, const Tensor& ok) {
  const NoGrad no_grad;
  const std::vector<Slot> now = slots();
  for (size_t i = 0; i < now.size(); ++i) {
    Tensor& slot = *now[i].tensor;
    if (slot.same(before[i])) continue;
    const bool trained = slot.requires_grad();
    slot = where(ok, slot.detach(), before[i].detach());
    if (trained) slot.set_requires_grad();
  }
}

std::vector<Slot> Step::slots() {
  std::vector<Slot> out;
  for (const NamedParameter& p : model_.named_parameters()) out.push_back({p.name, &p.tensor()});
  for (const Slot& b : buffers_of(model_)) out.push_back(b);
  for (const Slot& s : optimizer_.state()) out.push_back({str_cat("optimizer.", s.name), s.tensor});
  if (options_.ema)
    for (const Slot& s : options_.ema->state()) out.push_back({str_cat("ema.", s.name), s.tensor});
  return out;
}

void Step::compile(const Target& target) {
  compiled_.clear();
  target_ = std::make_unique<Target>(target);
}

Step::Compiled& Step::compiled(std::span<const Tensor> batch) {
  Metas metas;
  for (const Tensor& t : batch) metas.push_back(dense_like(t.meta(), t.shape()));
  for (const std::unique_ptr<Compiled>& c : compiled_)
    if (c->batch == metas) return *c;
  const std::vector<Slot> all = slots();
  TraceOptions options{.state = all, .input_names = {}};
  for (size_t i = 0; i < metas.size(); ++i) options.input_names.push_back(str_cat("batch", i));
  options.input_names.insert(options.input_names.end(), {"hyper", "random_step"});
  const Tensor hyper = optimizer_.hyper();
  Metas in = metas;
  in.push_back(make_meta(DType::f64, {hyper.dim(0) + 1}, Memory::contiguous, hyper.device()));
  in.push_back(make_meta(DType::i64, {}, Memory::contiguous, hyper.device()));
  const auto step = [&](std::span<const Tensor> x) { return run(x.first(metas.size()), x[x.size() - 2], x.back()); };
  auto made = std::make_unique<Compiled>();
  made->batch = metas;
  made->session = fovea::compile(trace(step, in, options), *target_);
  for (const Slot& s : all) made->memory.push_back(*made->session.state().find(s.name));
  return *compiled_.emplace_back(std::move(made));
}

// What slots hold goes into the session, and the session's memory into the slots.
void Step::take_over(Compiled& c) {
  const std::vector<Slot> all = slots();
  for (size_t i = 0; i < all.size(); ++i) {
    Tensor& slot = *all[i].tensor;
    if (slot.impl()->storage == c.memory[i].impl()->storage) continue;
    const bool trained = slot.requires_grad();
    copy_into(c.memory[i], slot.detach());
    slot = c.memory[i].detach();
    if (trained) slot.set_requires_grad();
  }
}

Session& Step::session(std::span<const Tensor> batch) {
  const UsePeers use(alone() ? nullptr : options_.peers, options_.sync_batch_norm);
  return compiled(batch).session;
}

// The batch, the rates and decays, and the random step, which goes on.
Tensors Step::operands(std::span<const Tensor> batch) {
  Tensors in(batch.begin(), batch.end());
  const Tensor hyper = optimizer_.hyper();
  const double decay = options_.ema ? options_.ema->decay(optimizer_.steps() + 1) : 0;
  in.push_back(cat({hyper, full({1}, decay, DType::f64, hyper.device())}, 0));
  in.push_back(scalar(static_cast<double>(drawn_), DType::i64, hyper.device()));
  drawn_ += options_.accumulate;
  return in;
}

StepResult Step::take(std::span<const Tensor> batch) {
  if (!alone() && options_.share_statistics && !options_.sync_batch_norm)
    share(*options_.peers, statistics(buffers_of(model_)));
  const UsePeers use(alone() ? nullptr : options_.peers, options_.sync_batch_norm);
  const Tensors in = operands(batch);
  Tensors out;
  if (target_) {
    Compiled& c = compiled(batch);
    take_over(c);
    const std::span<const Tensor> results = c.session.run_borrowed(in);
    out.assign(results.begin(), results.end());
  } else {
    out = run(batch, in[batch.size()], in.back());
  }
  const double loss = out[0].item(), norm = out[1].item();
  return {loss, norm, options_.skip_not_finite && !(std::isfinite(loss) && std::isfinite(norm))};
}

std::vector<double> Step::profile(std::span<const Tensor> batch) {
  const UsePeers use(alone() ? nullptr : options_.peers, options_.sync_batch_norm);
  Compiled& c = compiled(batch);
  take_over(c);
  return c.session.profile(operands(batch));
}

}  // namespace fovea::train
