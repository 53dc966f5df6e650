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

Tensor run_sequence(ImageModel& model, const PatchSequence& s, bool pre_logits) {
  SequenceModel& takes = sequences_of(model);
  return takes.sequence_head(takes.sequence_features(s), s.valid, pre_logits);
}

Graph trace_sequence(ImageModel& model, const SequenceGraphOptions& o) {
  const Size2 patch = sequences_of(model).sequence_patch();
  const int64_t values = int64_t{patch.h} * patch.w * model.input_size()[0];
  const EvalMode eval(model);
  const NoGrad no_grad;
  const StateDict names = model.state_dict();
  const auto meta = [&](DType t, const Shape& s) { return make_meta(t, s, Memory::contiguous, o.device); };
  const Metas in{meta(DType::f32, {o.batch, o.length, values}), meta(DType::i64, {o.batch, o.length, 2}),
                 meta(DType::boolean, {o.batch, o.length})};
  return fovea::trace(
      [&](std::span<const Tensor> x) -> Tensors {
        return {run_sequence(model, {.patches = x[0], .coords = x[1], .valid = x[2]}, o.pre_logits)};
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
        trace_sequence(model_, {.length = length, .pre_logits = options_.pre_logits, .device = options_.target.device});
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

Tensor SequenceSessions::run(const PatchSequence& s) {
  const NoGrad no_grad;
  Tensors rows;
  for (int64_t i = 0; i < s.valid.dim(0); ++i) {
    const auto row = [&](const Tensor& t) { return slice(t, 0, i, i + 1); };
    One& one = of(length_for(valid_length(row(s.valid))));
    const int64_t length = one.length;
    const Tensor patches = s.patches.rank() > 3 ? flatten(row(s.patches), 2) : row(s.patches);
    rows.push_back(
        one.session.run({fitted(patches, length), fitted(row(s.coords), length), fitted(row(s.valid), length)})[0]);
  }
  if (rows.empty()) throw Error(Error::Kind::shape, "there is no sequence");
  return rows.size() == 1 ? rows[0] : cat(rows, 0);
}

}  // namespace fovea::zoo
