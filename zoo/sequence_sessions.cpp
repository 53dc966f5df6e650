// SPDX-License-Identifier: Apache-2.0
#include "zoo/sequence_sessions.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"

namespace fovea::zoo {
namespace {

// Behind the last valid patch of one sequence [1, L, ...].
int64_t valid_length(const Tensor& valid) {
  const Tensor row = contiguous(valid).to(cpu());
  const std::span<const bool> v = row.data<bool>();
  int64_t n = static_cast<int64_t>(v.size());
  while (n > 0 && !v[static_cast<size_t>(n - 1)]) --n;
  return n;
}

Tensor fitted(const Tensor& x, int64_t length) {
  if (x.dim(1) >= length) return contiguous(slice(x, 1, 0, length));
  Shape more = x.shape();
  more[1] = length - x.dim(1);
  return cat({x, zeros(more, x.dtype(), x.device())}, 1);
}

}  // namespace

SequenceModel& sequences_of(ImageModel& model) {
  auto* takes = dynamic_cast<SequenceModel*>(&model);
  if (takes && takes->takes_sequences()) return *takes;
  throw Error(Error::Kind::unsupported, str_cat(model.full_name(), " takes no sequences of patches"),
              takes ? "it does with the setting use_naflex" : "models of naflexvit do");
}

namespace {

// Patches as the model wants them: flat where they are of its own size.
Shape patches_shape(ImageModel& model, int64_t batch, int64_t length, std::optional<Size2> patch) {
  const SequenceModel& takes = sequences_of(model);
  const Size2 own = takes.sequence_patch();
  const int64_t c = model.input_size()[0];
  if (!patch || *patch == own) return {batch, length, own.h * own.w * c};
  if (!takes.takes_patches_of(*patch))
    throw Error(Error::Kind::unsupported,
                str_cat(model.full_name(), " takes patches of ", own.h, " x ", own.w, ", not of ", patch->h, " x ",
                        patch->w),
                "NaFlex models do with the setting enable_patch_interpolator");
  if (takes.sequence_channels_last()) return {batch, length, patch->h, patch->w, c};
  return {batch, length, c, patch->h, patch->w};
}

}  // namespace

Tensors run_sequence(ImageModel& model, const PatchSequence& s, const SequenceWants& wants) {
  SequenceModel& takes = sequences_of(model);
  PatchSequence own = s;
  if (s.patches.rank() == 3 || wants.patch)
    own.patches = reshape(s.patches, patches_shape(model, s.valid.dim(0), s.valid.dim(1), wants.patch));
  if (!wants.levels) return {takes.sequence_head(takes.sequence_features(own), wants.pre_logits)};
  FeatureOptions o = *wants.levels;
  o.intermediates_only = o.stop_early = true;
  Intermediates found = model.sequence_intermediates(own, o);
  for (Tensor& t : found.features) t = t * unsqueeze(cast(found.valid, t.dtype()), -1);
  for (Tensor& t : found.prefix) found.features.push_back(std::move(t));
  return std::move(found.features);
}

Tensor run_sequence(ImageModel& model, const PatchSequence& s, bool pre_logits) {
  return run_sequence(model, s, SequenceWants{.pre_logits = pre_logits})[0];
}

Graph trace_sequence(ImageModel& model, const SequenceGraphOptions& o) {
  const EvalMode eval(model);
  const NoGrad no_grad;
  const StateDict names = model.state_dict();
  const auto meta = [&](DType t, const Shape& s) { return make_meta(t, s, Memory::contiguous, o.device); };
  const Metas in{meta(DType::f32, patches_shape(model, o.batch, o.length, o.wants.patch)),
                 meta(DType::i64, {o.batch, o.length, 2}),
                 meta(DType::boolean, {o.batch, o.length})};
  return fovea::trace(
      [&](std::span<const Tensor> x) -> Tensors {
        return run_sequence(model, {.patches = x[0], .coords = x[1], .valid = x[2]}, o.wants);
      },
      in, {.state = {}, .input_names = {"patches", "coords", "valid"}, .names = &names});
}

SequenceSessions::SequenceSessions(ImageModel& model, const SequenceSessionOptions& o) : model_(model), options_(o) {
  sequences_of(model);
  if (o.most < 1) throw Error(Error::Kind::argument, "there is at least one session at a time");
}

int64_t SequenceSessions::length_for(int64_t patches) {
  const int64_t step = patches <= 256 ? 64 : patches <= 1024 ? 128 : 256;
  return std::max<int64_t>(1, (patches + step - 1) / step) * step;
}

std::vector<int64_t> SequenceSessions::lengths() const {
  std::vector<int64_t> out;
  for (const One& one : all_) out.push_back(one.length);
  std::sort(out.begin(), out.end());
  return out;
}

SequenceSessions::One& SequenceSessions::of(int64_t length) {
  auto found = all_.end();  // the shortest that is long enough
  for (auto one = all_.begin(); one != all_.end(); ++one)
    if (one->length >= length && (found == all_.end() || one->length < found->length)) found = one;
  if (found == all_.end() || (found->length > length && all_.size() < options_.most)) {
    Graph graph =
        trace_sequence(model_, {.length = length, .wants = options_.wants, .device = options_.target.device});
    std::vector<const Session*> others;
    for (const One& one : all_) others.push_back(&one.session);
    Session made = compile(std::move(graph), options_.target, others);
    if (all_.size() < options_.most) found = all_.emplace(all_.end());
    else found = std::min_element(all_.begin(), all_.end(), [](const One& a, const One& b) { return a.used < b.used; });
    found->length = length;
    found->session = std::move(made);
  }
  found->used = ++runs_;
  return *found;
}

Tensors SequenceSessions::run_all(const PatchSequence& s) {
  const NoGrad no_grad;
  const Tensor patches =
      reshape(s.patches, patches_shape(model_, s.valid.dim(0), s.valid.dim(1), options_.wants.patch));
  std::vector<Tensors> each;  // by result
  for (int64_t i = 0; i < s.valid.dim(0); ++i) {
    const auto row = [&](const Tensor& t) { return slice(t, 0, i, i + 1); };
    One& one = of(length_for(valid_length(row(s.valid))));
    const int64_t length = one.length;
    Tensors out =
        one.session.run({fitted(row(patches), length), fitted(row(s.coords), length), fitted(row(s.valid), length)});
    each.resize(out.size());
    for (size_t k = 0; k < out.size(); ++k) {
      const bool of_patches = options_.wants.levels && out[k].dim(1) == length;  // a prefix is never so long
      each[k].push_back(of_patches ? fitted(out[k], s.valid.dim(1)) : out[k]);
    }
  }
  if (each.empty()) throw Error(Error::Kind::shape, "there is no sequence");
  Tensors out;
  for (const Tensors& rows : each) out.push_back(rows.size() == 1 ? rows[0] : cat(rows, 0));
  return out;
}

}  // namespace fovea::zoo
