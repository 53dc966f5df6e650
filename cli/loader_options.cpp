// SPDX-License-Identifier: Apache-2.0
// cli/loader_options.cpp — the loader of `fovea train`, as its flags have it.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "cli/training.h"
#include "engine/core/error.h"
#include "zoo/sequence_model.h"

namespace fovea::cli {
namespace {

data::TrainConfig train_config(const data::EvalConfig& eval, const TrainingOptions& o) {
  data::TrainConfig c{.input_size = eval.input_size, .augment = !o.no_aug, .mean = eval.mean, .std = eval.std};
  c.crop = data::parse_train_crop(o.train_crop_mode);
  if (!o.scale.empty()) c.scale = std::array{o.scale[0], o.scale[1]};
  if (!o.ratio.empty()) c.ratio = std::array{o.ratio[0], o.ratio[1]};
  c.color_jitter = o.color_jitter;
  c.color_jitter_prob = o.color_jitter_prob;
  c.grayscale_prob = o.grayscale_prob;
  c.blur_prob = o.blur_prob;
  c.erasing = {.prob = o.reprob, .fill = data::parse_fill(o.remode), .most = o.recount};
  c.hflip = o.hflip;
  c.vflip = o.vflip;
  if (o.no_aug || o.train_interpolation.empty()) c.interpolation = eval.interpolation;
  else if (o.train_interpolation != "random") c.interpolation = data::parse_filter(o.train_interpolation);
  if (o.aa.empty() || o.no_aug) return c;
  // timm's AugMix moves images less far. Where there is a policy, colours change by it alone, but for 3-Augment.
  c.policy = std::make_shared<data::Policy>(
      o.aa, data::AugmentSettings{.fill = data::mean_colour(c.mean),
                                  .interpolation = c.interpolation,
                                  .translate_share = o.aa.starts_with("augmix") ? 0.3 : 0.45});
  if (o.aa.find("3a") == o.aa.npos) c.color_jitter = 0;
  return c;
}

std::optional<data::MixConfig> mix_config(const TrainingOptions& o, int64_t classes) {
  if (!o.mixes()) return {};
  data::MixConfig c{.mixup = o.mixup, .cutmix = o.cutmix, .prob = o.mixup_prob, .switch_prob = o.mixup_switch_prob};
  if (!o.cutmix_minmax.empty()) c.cutmix_minmax = std::array{o.cutmix_minmax[0], o.cutmix_minmax[1]};
  c.mode = data::parse_mix_mode(o.mixup_mode);
  c.smoothing = o.smoothing;
  c.classes = classes;
  c.off_epoch = o.mixup_off_epoch;
  return c;
}

std::optional<data::SizeConfig> size_config(const TrainingOptions& o) {
  if (o.img_sizes.empty()) return {};
  data::SizeConfig c{.sizes = o.img_sizes, .batches = o.batch_sizes, .weights = o.size_probs};
  if (c.batches.empty()) c.batches.assign(c.sizes.size(), o.batch);
  c.progressive = o.size_schedule == "progressive";
  c.epochs = o.schedule.epochs;
  c.spread = o.size_spread;
  c.random_mix = o.size_random_mix;
  c.batches_an_epoch = o.batches_an_epoch;
  return c;
}

std::optional<data::SequenceConfig> sequence_config(const TrainingOptions& o, zoo::ImageModel& model) {
  if (!o.sequences()) return {};
  const zoo::SequenceModel& takes = zoo::sequences_of(model);
  const Size2 own = takes.sequence_patch();
  data::SequenceConfig c{.lengths = o.sequence_lengths,
                         .images = o.batch,
                         .patches = {{own.h, own.w}},
                         .weights = o.patch_size_probs,
                         .whole_patches = !o.patch_sizes.empty(),
                         .channels_last = takes.sequence_channels_last()};
  if (o.patches_channels_first && c.channels_last)
    throw Error(Error::Kind::argument, str_cat("--naflex-patchify-channels-first: patches of ", model.full_name(),
                                               " are rows of pixels"),
                "without it patches are as the model wants them");
  if (c.whole_patches) c.patches.clear();
  for (const int size : o.patch_sizes) {
    if (!takes.takes_patches_of(Size2(size, size)))
      throw Error(Error::Kind::unsupported,
                  str_cat(model.full_name(), " takes no patches of ", size, " x ", size, " pixels"));
    c.patches.push_back({size, size});
  }
  return c;
}

}  // namespace

double usual_batch(const TrainingOptions& o, int64_t images) {
  const std::optional<data::SizeConfig> sizes = size_config(o);
  return sizes ? data::SizeSchedule(*sizes, images, static_cast<uint64_t>(o.seed)).average_batch()
               : static_cast<double>(o.batch);
}

data::LoaderOptions loader_options(const TrainingOptions& o, const data::EvalConfig& eval,
                                   zoo::ImageModel& model, int classes, const data::Shard& shard) {
  return {.batch = o.batch * o.accumulate,
          .workers = o.workers,
          .seed = static_cast<uint64_t>(o.seed),
          .train = train_config(eval, o),
          .mix = mix_config(o, classes),
          .sizes = size_config(o),
          .sequences = sequence_config(o, model),
          .views = std::max(1, o.aug_splits),
          .repeats = o.aug_repeats,
          .spare_first = o.resplit,
          .fast_decode = o.input.fast_decode,
          .classes = classes,
          .most_bad = o.most_bad,
          .shard = shard};
}

}  // namespace fovea::cli
