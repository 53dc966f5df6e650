// SPDX-License-Identifier: Apache-2.0
#include "api/runner.h"

#include <algorithm>
#include <chrono>

#include "api/status.h"
#include "engine/core/finite.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"

namespace fovea::capi {
namespace {

using Outputs = RunnerOptions::Outputs;
using Clock = std::chrono::steady_clock;

struct OfSize final : LoadedModel::Wanted {
  OfSize(const RunnerOptions& o, int64_t h, int64_t w) : options(o), height(h), width(w) {
    target = o.target;
    classifies = o.outputs == Outputs::logits;
    release = o.release;
  }
  Graph trace(zoo::ImageModel& model) const override {
    if (options.outputs == Outputs::logits)
      return zoo::trace(model,
                        {.height = static_cast<int>(height), .width = static_cast<int>(width), .target = target});
    const auto [channels, own_height, own_width] = model.input_size();
    const StateDict names = model.state_dict();
    return fovea::trace([&](const Tensor& x) { return features(model, x); },
                        {make_meta(DType::f32, {1, channels, height ? height : own_height, width ? width : own_width})},
                        {.state = {}, .input_names = {"image"}, .names = &names});
  }
  Tensors features(zoo::ImageModel& model, const Tensor& x) const {
    if (options.outputs == Outputs::features) return {model.forward_head(model.forward_features(x), true)};
    return model.forward_intermediates(x, {.indices = options.levels, .stop_early = true}).features;
  }
  const RunnerOptions& options;
  int64_t height, width;
};

}  // namespace

Runner::Runner(std::shared_ptr<LoadedModel> model, RunnerOptions o) : model_(std::move(model)), options_(std::move(o)) {
  sizes_.push_back(compiled(options_.height, options_.width));
}

std::unique_ptr<Runner::Size> Runner::compiled(int64_t height, int64_t width) {
  const Clock::time_point began = Clock::now();
  auto out = std::make_unique<Size>();
  std::vector<const Session*> others;
  for (const std::unique_ptr<Size>& s : sizes_) others.push_back(&s->one);
  LoadedModel::Compiled made = model_->compile(OfSize(options_, height, width), others);
  out->one = std::move(made.session);
  out->from_cache = made.from_cache;
  const Meta in = out->one.inputs()[0];
  out->height = in.dim(2);
  out->width = in.dim(3);
  seconds_compiling_ += std::chrono::duration<double>(Clock::now() - began).count();
  return out;
}

Runner Runner::fork() const {
  Runner out;
  out.model_ = model_;
  out.options_ = options_;
  for (const std::unique_ptr<Size>& s : sizes_) {
    auto mine = std::make_unique<Size>();
    mine->height = s->height;
    mine->width = s->width;
    mine->from_cache = s->from_cache;
    mine->one = s->one.fork();
    out.sizes_.push_back(std::move(mine));
  }
  return out;
}

Runner::Size& Runner::size_of(const Tensor& images) {
  const Meta want = input();
  if (images.rank() != 4 || images.dim(1) != want.dim(1) || images.dim(0) < 1)
    throw Error(Error::Kind::shape, str_cat("images are ", images.meta(), ", the model takes [n, ", want.dim(1), ", ",
                                        want.dim(2), ", ", want.dim(3), "]"));
  for (const std::unique_ptr<Size>& s : sizes_)
    if (s->height == images.dim(2) && s->width == images.dim(3)) return *s;
  if (options_.more_sizes == 0)
    throw Error(Error::Kind::shape,
                str_cat("images are ", images.meta(), ", the session is for ", want.dim(2), " x ", want.dim(3)),
                "fovea_session_options.more_sizes lets it take others");
  std::unique_ptr<Size> made = compiled(images.dim(2), images.dim(3));
  if (sizes_.size() <= options_.more_sizes) {
    sizes_.push_back(std::move(made));
    return *sizes_.back();
  }
  const auto oldest = std::min_element(sizes_.begin() + 1, sizes_.end(),
                                       [](const auto& a, const auto& b) { return a->used < b->used; });
  *oldest = std::move(made);
  return **oldest;
}

std::span<const Tensor> Runner::compute(Size& size, const Tensor& images) {
  const int64_t n = images.dim(0);
  if (n == 1) return size.one.run_borrowed(images);
  if (n >= options_.target.threads) {
    if (!size.forked) size.many = BatchSession(size.one.fork(), options_.target.threads);
    size.forked = true;
    const Meta& m = images.meta();
    return size.many.run_borrowed(m.is_contiguous() || m.is_channels_last() ? images : contiguous(images));
  }
  std::vector<Tensors> each;                       // by result
  for (int64_t i = 0; i < n; ++i) {
    const Tensors out = size.one.run({slice(images, 0, i, i + 1)});
    each.resize(out.size());
    for (size_t k = 0; k < out.size(); ++k) each[k].push_back(out[k]);
  }
  size.rows.clear();
  for (const Tensors& rows : each) size.rows.push_back(cat(rows, 0));
  return size.rows;
}

std::span<const Tensor> Runner::run(const Tensor& images) {
  Size& size = size_of(images);
  size.used = ++runs_;
  const std::span<const Tensor> out = compute(size, images);
  if (options_.allow_nan || std::all_of(out.begin(), out.end(), all_finite))
    return out;
  throw NotFinite(model_->why_not_finite(images).value_or("the results are not finite"));
}

std::vector<double> Runner::profile() {
  const Meta in = input();
  const Tensor image = zeros(in.shape);
  return sizes_[0]->one.profile(std::span(&image, 1));
}

std::vector<Meta> Runner::results() const {
  std::vector<Meta> out;
  const Graph& g = sizes_[0]->one.graph();
  for (const int v : g.outputs) out.push_back(g.meta(v));
  return out;
}

int64_t Runner::working_bytes() const {
  int64_t bytes = 0;
  for (const std::unique_ptr<Size>& s : sizes_) bytes += s->one.arena_bytes() + s->many.arena_bytes();
  return bytes;
}

int64_t Runner::constant_bytes() const {
  int64_t bytes = sizes_[0]->one.shared_bytes();   // the other sizes share with this one
  for (const std::unique_ptr<Size>& s : sizes_) bytes += s->one.constant_bytes() - s->one.shared_bytes();
  return bytes;
}

}  // namespace fovea::capi
