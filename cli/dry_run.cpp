// SPDX-License-Identifier: Apache-2.0
#include "cli/dry_run.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "cli/signals.h"
#include "data/contact_sheet.h"
#include "data/encode_png.h"
#include "data/sequence.h"
#include "engine/core/text.h"
#include "engine/ops/ops.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

void line(const std::string& text) { std::printf("  %s\n", text.c_str()); }
void title(const char* text) { std::printf("%s\n", text); }

std::string short_text(double v) {                 // six digits are enough for people
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.6g", v);
  return text.data();
}

std::string range(const std::optional<std::array<double, 2>>& given, double lo, double hi) {
  const std::array<double, 2> v = given.value_or(std::array{lo, hi});
  return str_cat(short_text(v[0]), " to ", short_text(v[1]));
}

std::string numbers_text(const std::vector<float>& values) {
  std::string out;
  for (const float v : values) out += str_cat(out.empty() ? "" : ", ", short_text(static_cast<double>(v)));
  return out;
}

std::string filter_text(const std::optional<data::Filter>& filter) {
  return filter ? std::string(data::name_of(*filter)) : "bilinear or bicubic, by chance";
}

std::string crop_text(const data::TrainConfig& c) {
  const std::string size = str_cat(c.input_size[2], "x", c.input_size[1]), filter = filter_text(c.interpolation);
  if (!c.augment) return str_cat("the shorter edge fits and the centre is cut, ", size, ", ", filter);
  if (c.crop == data::TrainCrop::rrc)
    return str_cat("random resized crop, ", size, ": area ", range(c.scale, 0.08, 1), ", shape ",
                   range(c.ratio, 3.0 / 4, 4.0 / 3), ", ", filter);
  return str_cat("resized to fit, ", size, ": area ", range(c.scale, 0.8, 1), ", shape ", range(c.ratio, 0.9, 1 / 0.9),
                 ", ", filter, "; ", c.crop == data::TrainCrop::rkrr ? "any part" : "the centre");
}

std::string fill_text(data::Erasing::Fill fill) {
  if (fill == data::Erasing::Fill::zero) return "the mean colour";
  return fill == data::Erasing::Fill::colour ? "a random colour" : "noise";
}

std::string mix_text(const data::MixConfig& m) {
  constexpr std::string_view modes[] = {"batch", "pair", "elem", "half"};
  std::string out = str_cat("by ", modes[static_cast<size_t>(m.mode)], ", with probability ", m.prob, ":");
  if (m.mixup > 0) out += str_cat(" Mixup, alpha ", m.mixup);
  if (m.mixup > 0 && (m.cutmix > 0 || m.cutmix_minmax)) out += str_cat(" or, with probability ", m.switch_prob, ",");
  if (m.cutmix_minmax) out += str_cat(" CutMix, sides ", (*m.cutmix_minmax)[0], " to ", (*m.cutmix_minmax)[1]);
  else if (m.cutmix > 0) out += str_cat(" CutMix, alpha ", m.cutmix);
  if (m.off_epoch > 0) out += str_cat("; up to epoch ", m.off_epoch);
  return out;
}

std::string sequence_crop_text(const data::TrainConfig& c) {
  if (!c.augment) return str_cat("resized to the sequence, ", filter_text(c.interpolation));
  return str_cat("random part, resized to the sequence: area ", range(c.scale, 0.08, 1), ", shape ",
                 range(c.ratio, 3.0 / 4, 4.0 / 3), " of the image's, ", filter_text(c.interpolation));
}

// What a batch of each kind is.
void print_sequences(const data::SequenceConfig& s) {
  const int longest = *std::ranges::max_element(s.lengths);
  for (const int length : s.lengths)
    line(str_cat("sequences of ", length, " patches: ",
                 data::sequences_in_batch(s.images * longest, length, s.images * longest), " images a batch"));
  std::string sizes;
  for (size_t i = 0; i < s.patches.size(); ++i)
    sizes += str_cat(i > 0 ? ", " : "", s.patches[i][0], "x", s.patches[i][1],
                     s.weights.empty() ? "" : str_cat(" (", short_text(s.weights[i]), ")"));
  line(str_cat("patches of ", sizes, s.patches.size() > 1 ? ", one of these a batch" : ""));
}

void print_transforms(const data::LoaderOptions& l) {
  const data::TrainConfig& c = *l.train;
  title("transforms of training");
  if (l.sequences) print_sequences(*l.sequences);
  if (l.repeats > 0) line(str_cat("each image ", l.repeats, " times in an epoch, of fewer images"));
  line(l.sequences ? sequence_crop_text(c) : crop_text(c));
  if (c.augment) {
    if (c.hflip > 0) line(str_cat("mirrored with probability ", c.hflip));
    if (c.vflip > 0) line(str_cat("upside down with probability ", c.vflip));
    if (l.views > 1) line(str_cat(l.views, " views of the crop; what follows is for all but the first"));
    if (c.policy) line(c.policy->describe());
    if (c.color_jitter > 0)
      line(str_cat("brightness, contrast and saturation by up to ", c.color_jitter, " with probability ",
                   c.color_jitter_prob));
    if (c.grayscale_prob > 0) line(str_cat("grey with probability ", c.grayscale_prob));
    if (c.blur_prob > 0) line(str_cat("blurred with probability ", c.blur_prob));
  }
  line(str_cat("mean ", numbers_text(c.mean), ", std ", numbers_text(c.std)));
  if (l.mix) line(str_cat("mixed ", mix_text(*l.mix)));
  if (c.erasing.prob > 0)
    line(str_cat("erased with probability ", c.erasing.prob, ": up to ", c.erasing.most, " rectangles of ",
                 l.sequences ? "patches: " : "", fill_text(c.erasing.fill),
                 l.spare_first ? "; not the first views, or the first half" : ""));
}

void print_evaluation(const data::EvalConfig& c, int max_seq_len) {
  title("transform of evaluation");
  if (max_seq_len > 0)
    return line(str_cat("resized to sequences of at most ", max_seq_len, " patches, ", data::name_of(c.interpolation)));
  line(str_cat(data::name_of(c.crop_mode), " crop, ", c.input_size[2], "x", c.input_size[1], ", crop_pct ",
               short_text(static_cast<double>(c.crop_pct)), ", ", data::name_of(c.interpolation)));
}

void print_groups(const std::vector<train::ParameterGroup>& groups) {
  title("groups of parameters");
  for (const train::ParameterGroup& g : groups) {
    int64_t numbers = 0;
    for (const train::SharedParameter& p : g.parameters) numbers += p.tensor().numel();
    line(str_cat(g.name, ": ", g.parameters.size(), " tensors, ", numbers, " numbers, weight decay ",
                 short_text(g.weight_decay), ", rate x ", short_text(g.lr_scale),
                 g.fallback ? ", by the fall-back" : ""));
  }
}

void print_recipe(const Prepared& p) {
  const TrainingOptions& o = p.options;
  title("recipe");
  line(str_cat("model ", p.model.full_name(), ", ", p.model.parameter_count(), " parameters, ", p.model.num_classes(),
               " classes"));
  line(str_cat("images ", p.images.size(), " of ", p.images.classes().size(), " classes to train on, ",
               p.validation, " to evaluate"));
  line(str_cat("steps ", p.batches, " an epoch of ", o.batch * o.accumulate, " images",
               o.sequences() ? " of the longest sequences" : "",
               o.accumulate > 1 ? str_cat(" in ", o.accumulate, " parts") : "", ", ", p.schedule.epochs(), " epochs"));
  line(str_cat("optimizer ", o.opt, ", learning rate ", short_text(p.optimizer.lr()), ", ", o.schedule.kind, " with ",
               o.schedule.warmup_epochs, " epochs of warm-up from ", o.schedule.warmup_lr));
  line(str_cat("loss ", p.loss));
  std::istringstream all(p.settings);
  std::string given;
  for (std::string l; std::getline(all, l);)
    if (!l.ends_with(": null") && !l.ends_with(": false") && !l.starts_with("dry_run"))
      given += (given.empty() ? "" : ", ") + l;
  line(str_cat("given: ", given));
}

// Of a batch of sequences.
std::array<int, 2> patch_of(const data::Batch& batch, const data::SequenceConfig& s) {
  if (batch.images.rank() == 3) return s.patches[0];
  const int at = s.channels_last ? 2 : 3;
  return {static_cast<int>(batch.images.dim(at)), static_cast<int>(batch.images.dim(at + 1))};
}

void draw_sheet(const Prepared& p) {
  constexpr int columns = 8;
  data::LoaderOptions l = p.loader;
  // A batch of the size of the sheet: who is mixed with whom depends on it.
  l.batch = std::min<int64_t>({l.batch, l.views > 1 ? columns : columns * columns,
                               static_cast<int64_t>(p.images.size())});
  if (l.mix) l.batch = std::max<int64_t>(2, l.batch / 2 * 2);
  l.sizes.reset();
  data::Loader loader(p.images, l);
  loader.begin(0);
  data::Batch batch;
  if (!loader.next(batch)) return;
  if (batch.coords) {
    const data::SequenceBatch s{.patches = batch.images, .coords = batch.coords, .valid = batch.valid};
    const Tensor all = data::unpatchify(s, patch_of(batch, *l.sequences), l.sequences->channels_last);
    batch.images = contiguous(narrow(all, 0, 0, std::min<int64_t>(all.dim(0), columns * columns)));
  }
  const std::string& path = p.options.contact_sheet;
  AtomicFile file(path);
  file.write(data::encode_png(data::contact_sheet(batch.images, l.train->mean, l.train->std,
                                                  l.views > 1 ? static_cast<int>(l.batch) : columns)));
  file.commit();
  title("contact sheet");
  line(str_cat(path, ": ", batch.images.dim(0), " images of a first batch",
               l.views > 1 ? str_cat(", a row for each of ", l.views, " views") : ""));
}

}  // namespace

void dry_run(const Prepared& p) {
  print_recipe(p);
  print_groups(p.optimizer.groups());
  print_transforms(p.loader);
  print_evaluation(p.eval, p.options.sequences() ? p.options.max_seq_len : 0);
  draw_sheet(p);
  flush_output();
}

}  // namespace fovea::cli
