// SPDX-License-Identifier: Apache-2.0
#include "cli/common.h"

#include <algorithm>
#include <cstdio>

#include "api/calibration.h"
#include "api/plain_integers.h"
#include "cli/images.h"
#include "cli/options.h"
#include "cli/processes.h"
#include "engine/autograd/autograd.h"
#include "engine/core/finite.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "weights_tools/sharded.h"
#include "zoo/finite.h"
#include "zoo/licenses.h"
#include "zoo/source.h"

namespace fovea::cli {

void add_weights_arguments(Command command, ModelArguments& a) {
  Option file = command.add_option(
      "--weights", a.weights,
      "safetensors, torch checkpoint (.pth, .bin), .npz or a folder; a URL, hf-hub:ORG/NAME, or a name with .tag");
  command
      .add_flag_callback(
          "--pretrained", [] {}, "the published ones, which are fetched where they are not here yet (the default)")
      .excludes(file);
  add_license_option(command, a.licenses).excludes(file);
}

Option add_license_option(Command command, std::vector<std::string>& licenses) {
  return command.add_option_function<std::string>(
      "--license", [&licenses](const std::string& v) { licenses = zoo::split_list(v); },
      "refuse published weights of other licenses: apache-2.0,mit");
}

void add_create_arguments(Command command, zoo::ModelOptions& o) {
  constexpr const char* kGroup = "Of the model";
  command.add_option("--num-classes", o.num_classes, "how many classes it tells apart; 0: no classifier").group(kGroup);
  command.add_option("--in-chans", o.in_chans, "channels of its images").group(kGroup);
  command.add_option("--global-pool", o.global_pool, "how features are pooled, such as avg, max or token")
      .group(kGroup);
  command.add_option("--output-stride", o.output_stride, "image size / map size at its end; dilation makes up for it")
      .group(kGroup);
  command
      .add_option_function<std::vector<std::string>>(
          "--set",
          [&o](const std::vector<std::string>& all) {
            for (const std::string& text : all) {
              const size_t equals = text.find('=');
              if (equals == text.npos || equals == 0)
                throw Error(Error::Kind::argument, str_cat("--set ", text),
                            "it is --set KEY=VALUE; fovea info lists the keys");
              o.set.emplace_back(text.substr(0, equals), text.substr(equals + 1));
            }
          },
          "KEY=VALUE: one of the settings that `fovea info` lists, or a field of timm's pretrained_cfg")
      .expected(1)
      .take_all()
      .group(kGroup);
  struct Field {
    const char *option, *field, *what;
  };
  constexpr Field kFields[] = {
      {"--img-size", "img_size", "height and width of its images: 256, or 224,320"},
      {"--input-size", "input_size", "channels, height and width: 3,256,256"},
      {"--crop-pct", "crop_pct", "which part of the resized image is seen"},
      {"--crop-mode", "crop_mode", "center, squash or border"},
      {"--mean", "mean", "taken from the channels, which lie in 0 to 1: 0.5,0.5,0.5"},
      {"--std", "std", "by which they are divided"},
      {"--interpolation", "interpolation", "bicubic, bilinear, nearest, lanczos, box or hamming"}};
  for (const Field& f : kFields)
    command
        .add_option_function<std::string>(
            f.option,
            [&o, field = str_cat("pretrained_cfg.", f.field)](const std::string& v) { o.set.emplace_back(field, v); },
            f.what)
        .group("Of how images are prepared");
}

void add_model_name(Command command, std::string& name) {
  command
      .add_option("model", name,
                  "a name of `fovea models`, with or without .tag; hf-hub:ORG/NAME[@REVISION]; local-dir:FOLDER")
      .required();
}

void add_model_arguments(Command command, ModelArguments& a) {
  add_model_name(command, a.name);
  add_weights_arguments(command, a);
  add_create_arguments(command, a.options);
  command
      .add_option("--threads", a.threads, "how many threads may compute (default: FOVEA_THREADS, else all processors)")
      .check(in_range(1, 4096));
  command.add_option("--dtype", a.dtype, "compute in f32 or bf16").check(one_of({"f32", "bf16"}));
  command.add_flag("--eager", a.eager, "run op by op instead of compiling first");
  command.add_flag("--no-cache", a.no_cache, "neither look for the compiled model in the plan cache nor keep it there");
  add_allow_nan(command, a);
}

void add_allow_nan(Command command, ModelArguments& a) {
  command.add_flag("--allow-nan", a.allow_nan, "go on where weights or results are not finite");
}

void add_sequence_arguments(Command command, ModelArguments& a) {
  add_sequence_options(command, a.max_seq_len, a.patch_size);
}

void add_sequence_options(Command command, int& max_seq_len, std::vector<int>& patch_size) {
  Option length =
      command
          .add_option("--max-seq-len,--naflex-max-seq-len", max_seq_len,
                      "images keep their aspect ratio and become sequences of at most so many patches: for models of "
                      "naflexvit, and ViTs with --set use_naflex=true")
          .check(in_range(1, 1 << 16));
  command
      .add_option("--patch-size", patch_size,
                  "height and width of these patches, where they are not the model's: its projection is resampled")
      .delimiter(',')
      .expected(1, 2)
      .check(in_range(1, 1024))
      .needs(length);
}

zoo::ModelOptions for_patches(zoo::ModelOptions o, const std::vector<int>& patch_size) {
  if (!patch_size.empty()) o.set.emplace_back("enable_patch_interpolator", "true");
  return o;
}

std::optional<Size2> other_patch(const std::vector<int>& patch_size) {
  if (patch_size.empty()) return {};
  return Size2(patch_size.front(), patch_size.back());
}

data::SequenceLimits sequence_limits(zoo::ImageModel& model, int max_seq_len, const std::vector<int>& patch_size) {
  const zoo::SequenceModel& takes = zoo::sequences_of(model);
  const Size2 patch = other_patch(patch_size).value_or(takes.sequence_patch());
  return {.patch = {patch.h, patch.w}, .max_seq_len = max_seq_len, .channels_last = takes.sequence_channels_last()};
}

void refuse_not_finite(const Error& why, bool allow_nan) {
  if (!allow_nan) throw Error(why.kind(), why.what(), "--allow-nan goes on nevertheless");
  std::fprintf(stderr, "not finite: %s\n", why.summary().c_str());
}

void add_decode_arguments(Command command, data::DecodeOptions& o) {
  command.add_flag("--allow-truncated", o.allow_truncated, "read what a cut-off JPEG or PNG still holds");
  command.add_option("--max-pixels", o.max_pixels, "refuse larger images")
      .check(in_range(int64_t{1}, int64_t{1} << 40));
}

void tell(const std::string& note) { say("note: " + note); }

void tell_of_integers(const Session& s) {
  if (const std::string note = note_of_plain_integers(s); !note.empty()) tell(note);
}

void tell_adapted(const LoadReport& report, const std::string& weights) {
  for (const std::string& line : report.adapted) tell(str_cat(weights, ": ", line));
}

void check_license(const zoo::PretrainedCfg& row, const std::vector<std::string>& licenses) {
  zoo::want_licensed(row, licenses);
  if (zoo::forbids_commercial_use(row.license))
    tell(str_cat("the license of these weights, ", row.license, ", forbids commercial use"));
}

void check_license(const std::string& model, const std::vector<std::string>& licenses) {
  const std::string_view today = zoo::replacement_for(model);
  const zoo::PretrainedCfg* row = zoo::find_pretrained(today.empty() ? model : today);
  if (row) check_license(*row, licenses);
}

std::unique_ptr<zoo::ImageModel> create_loaded(const std::string& name, const zoo::ModelOptions& o,
                                               const std::string& weights, const std::vector<std::string>& licenses,
                                               const OpenOptions& how) {
  std::unique_ptr<zoo::ImageModel> model = zoo::create(name, o);
  if (!weights.empty()) {
    zoo::load_weights(*model, zoo::open_weights(weights, how), weights);
  } else {
    check_license(model->pretrained_cfg(), licenses);
    zoo::load_pretrained(*model);
  }
  return model;
}

namespace {

struct NewModel {
  std::unique_ptr<zoo::ImageModel> model;
  std::string weights;
};

NewModel create_model(const ModelArguments& a) {
  if (a.threads > 0) set_threads(a.threads);
  NewModel made{.model = zoo::create(a.name, for_patches(a.options, a.patch_size)), .weights = {}};
  const zoo::PretrainedCfg& row = made.model->pretrained_cfg();
  if (a.weights.empty() && !row.has_weights())
    throw Error(Error::Kind::argument, str_cat("nobody published weights of ", made.model->full_name()),
                "give a file: --weights FILE (safetensors, torch checkpoint or npz)");
  if (a.weights.empty()) check_license(row, a.licenses);
  made.weights = a.weights.empty() ? zoo::weights_path(row) : zoo::weights_path(a.weights);
  made.model->eval();
  return made;
}

}  // namespace

std::unique_ptr<zoo::ImageModel> load_model(const ModelArguments& a) {
  NewModel made = create_model(a);
  tell_adapted(zoo::load_weights(*made.model, made.weights), made.weights);
  return std::move(made.model);
}

ReadyModel::ReadyModel(const ModelArguments& a, const Computation& what)
    : what_(what),
      dtype_(parse_dtype(a.dtype)),
      eager_(a.eager),
      allow_nan_(a.allow_nan) {
  NewModel made = create_model(a);
  model_ = std::move(made.model);
  weights_ = std::move(made.weights);
  if (a.max_seq_len > 0) {
    limits_ = sequence_limits(*model_, a.max_seq_len, a.patch_size);
    wants_ = {.pre_logits = !what_.needs_classifier(), .levels = what_.levels(), .patch = other_patch(a.patch_size)};
  } else if (!eager_) {
    compile(a);
    return;
  }
  load();
  if (limits_ && !eager_) {
    sequences_.emplace(*model_,
                       zoo::SequenceSessionOptions{.wants = wants_, .target = target()});
    return;
  }
  if (dtype_ != DType::f32) model_->to(dtype_);
}

// Other classes show in what a session gives; the rest of what is told is not said again by one from the cache.
void ReadyModel::load() {
  const int before = model_->num_classes();
  const LoadReport report = zoo::load_weights(*model_, weights_, {.headless = !what_.needs_classifier()});
  tell_adapted(report, weights_);
  may_keep_ = report.adapted.size() == (model_->num_classes() == before ? 0 : 1);
}

Target ReadyModel::target() const {
  Target out;
  if (dtype_ != DType::f32) out.dtype = dtype_;
  return out;
}

void ReadyModel::compile(const ModelArguments& a) {
  Target target = this->target();
  if (!a.calibration.empty()) target.calibration = read_calibration(a.calibration, model_->full_name());
  const NoGrad no_grad;
  // without a classifier of its own the model says nothing of how many classes the file has
  std::optional<Graph> graph;                            // traced without the weights
  const bool one_file = !is_shard_index_name(weights_);  // the cache would not see other files change
  if (!a.no_cache && one_file && (model_->num_classes() > 0 || !what_.needs_classifier())) {
    graph = what_.trace(*model_);
    cache_.emplace(*model_, a.options, *graph, weights_, target);
    if (std::optional<Session> found = cache_->load()) {
      session_ = std::move(*found);
      from_cache_ = true;
      tell_of_integers(session_);
      return;
    }
  }
  load();
  if (target.calibration) zoo::want_finite_weights(*model_);  // integers cannot say it later
  if (!graph || !zoo::fill_traced(*graph, *model_)) graph = what_.trace(*model_);
  zoo::give_up_tensors(*model_);
  session_ = fovea::compile(std::move(*graph), target);
  tell_of_integers(session_);
}

template <class Why>
void ReadyModel::want_finite(const Tensors& results, const Why& why) {
  if (told_ || std::all_of(results.begin(), results.end(), all_finite)) return;
  refuse_not_finite(why(), allow_nan_);
  told_ = true;
}

Tensors ReadyModel::operator()(const Tensor& images) {
  Tensors out = compute(images);
  want_finite(out, [&] { return why_not_finite(images); });
  return out;
}

Tensors ReadyModel::operator()(const zoo::PatchSequence& s) {
  const NoGrad no_grad;
  const zoo::PatchSequence own{
      .patches = eager_ ? cast(s.patches, dtype_) : s.patches, .coords = s.coords, .valid = s.valid};
  Tensors out = sequences_ ? sequences_->run_all(own) : zoo::run_sequence(*model_, own, wants_);
  want_finite(out, [] { return Error(Error::Kind::weights, "the results are not finite"); });
  for (Tensor& t : out) t = contiguous(cast(t, DType::f32));
  return out;
}

Error ReadyModel::why_not_finite(const Tensor& images) {
  if (!model_->has_bytes()) zoo::load_weights(*model_, weights_, {.headless = !what_.needs_classifier()});
  return zoo::why_not_finite(*model_, cast(images, eager_ ? dtype_ : DType::f32));
}

Tensors ReadyModel::compute(const Tensor& images) {
  if (!eager_) return images.dim(0) == 1 ? session_.run({images}) : run_batch(images);
  const NoGrad no_grad;
  Tensors out = what_.run(*model_, cast(contiguous(images, Memory::channels_last), dtype_));
  for (Tensor& t : out) t = contiguous(cast(t, DType::f32));
  return out;
}

Tensors ReadyModel::run_batch(const Tensor& images) {
  const int64_t n = images.dim(0);
  if (n >= threads()) {
    if (!forked_) side_by_side_ = BatchSession(session_.fork());
    forked_ = true;
    const std::span<const Tensor> out = side_by_side_.run_borrowed(images);
    return {out.begin(), out.end()};
  }
  std::vector<Tensors> each;  // by result
  for (int64_t i = 0; i < n; ++i) {
    const Tensors out = session_.run({slice(images, 0, i, i + 1)});
    each.resize(out.size());
    for (size_t k = 0; k < out.size(); ++k) each[k].push_back(out[k]);
  }
  Tensors out;
  for (const Tensors& rows : each) out.push_back(cat(rows, 0));
  return out;
}

void ReadyModel::keep() {
  if (cache_ && !from_cache_ && may_keep_) cache_->store(session_);
}

data::SequenceBatch collated(const std::vector<Sample>& samples, int64_t length) {
  std::vector<data::Patches> sequences;
  for (const Sample& s : samples)
    if (!s.error) sequences.push_back(s.sequence), length = std::max(length, s.sequence.patches.dim(0));
  return sequences.empty() ? data::SequenceBatch{} : data::collate(sequences, length);
}

Tensors run_samples(ReadyModel& model, const std::vector<Sample>& samples) {
  if (model.limits()) {
    const data::SequenceBatch batch = collated(samples);
    if (!batch.valid) return {};
    return model(zoo::PatchSequence{.patches = batch.patches, .coords = batch.coords, .valid = batch.valid});
  }
  Tensors inputs;
  for (const Sample& s : samples)
    if (!s.error) inputs.push_back(s.input);
  if (inputs.empty()) return {};
  return model(inputs.size() == 1 ? inputs[0] : cat(inputs, 0));
}

std::string duration(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, seconds < 1 ? "%.2f ms" : "%.2f s", seconds < 1 ? seconds * 1e3 : seconds);
  return text;
}

}  // namespace fovea::cli
