// SPDX-License-Identifier: Apache-2.0
// zoo/create.cpp — create(): a name, the catalogue's row for it and the caller's options become a model.
#include <algorithm>

#include "zoo/overlay.h"
#include "zoo/registry.h"
#include "zoo/source.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

const PretrainedCfg& row_of(const ModelName& n) {
  static const PretrainedCfg nothing;
  const std::span<const PretrainedCfg> tags = tags_of(n.architecture);
  if (n.tag.empty()) return tags.empty() ? nothing : tags[0];
  std::vector<std::string> known;
  for (const PretrainedCfg& cfg : tags) {
    if (cfg.tag == n.tag) return cfg;
    if (!cfg.tag.empty()) known.emplace_back(cfg.tag);
  }
  const std::string what = str_cat("no weights '", n.tag, "' of ", n.architecture);
  if (known.empty()) throw Error(Error::Kind::not_found, what, "timm publishes none for it");
  const std::vector<std::string> near = closest(n.tag, known);
  throw Error(Error::Kind::not_found, what,
              str_cat(near.empty() ? "there are: " : "closest: ", join(near.empty() ? known : near, ", ")));
}

void want_stride(int stride, int least) {
  std::string known;
  for (int s = least; s <= 32; s *= 2) {
    if (s == stride) return;
    known += str_cat(known.empty() ? "" : s == 32 ? " or " : ", ", s);
  }
  throw Error(Error::Kind::argument, str_cat("output_stride is ", stride), str_cat("it is ", known));
}

void want_accepted(const Family& f, std::string_view name, const ModelOptions& o) {
  const auto refuse = [&](std::string_view option, std::string_view why) {
    throw Error(Error::Kind::argument, str_cat(name, " has no ", option), std::string(why));
  };
  if (o.output_stride && !f.accepts.output_stride)
    refuse("output_stride", "its family does not trade strides for dilation");
  if (o.output_stride) want_stride(*o.output_stride, f.accepts.least_output_stride);
  if (o.img_size && !f.accepts.img_size) refuse("img_size", "its family takes images of any size as they are");
  if (o.drop_path_rate && !f.accepts.drop_path_rate) refuse("drop_path_rate", "its family has no stochastic depth");
}

// What the weights of the tag were trained with stands for whatever the caller leaves open.
ModelOptions completed(const ModelOptions& given, const PretrainedCfg& row) {
  ModelOptions o = given;
  if (!o.num_classes) o.num_classes = row.num_classes;
  if (!o.in_chans) o.in_chans = row.input_size[0];
  if (!o.img_size && row.fixed_input_size) o.img_size = {row.input_size[1], row.input_size[2]};
  if (*o.num_classes < 0)
    throw Error(Error::Kind::argument, str_cat("num_classes is ", *o.num_classes), "0 leaves out the classifier");
  if (*o.in_chans < 1) throw Error(Error::Kind::argument, str_cat("in_chans is ", *o.in_chans));
  if (o.drop_rate && !(*o.drop_rate >= 0 && *o.drop_rate <= 1))
    throw Error(Error::Kind::argument, str_cat("drop_rate is ", *o.drop_rate), "it is between 0 and 1");
  return o;
}

}  // namespace

/// Fills in where a model comes from.
class Built {
 public:
  static void from(ImageModel& m, const Family& f, const ModelName& n, const PretrainedCfg& row,
                   const ModelOptions& asked, const ModelOptions& o) {
    m.family_ = &f;
    m.architecture_ = n.architecture;
    m.tag_ = row.tag;
    m.pretrained_ = row;
    if (!asked.num_classes) m.leave_classes_open();
    m.input_size_ = {*o.in_chans, o.img_size ? (*o.img_size)[0] : row.input_size[1],
                     o.img_size ? (*o.img_size)[1] : row.input_size[2]};
  }
};

namespace {

// What only a training step feels.
bool is_drop_rate(std::string_view argument) {
  return argument.ends_with("drop_rate") || argument.starts_with("drop_block") || argument == "drop_path";
}

// What the config's weights were made with stands for whatever the caller leaves open.
void take_model_args(const HubConfig& config, const Entry& entry, PretrainedCfg& row, ModelOptions& o) {
  const auto known = entry.family->settings(entry.index);
  std::vector<std::pair<std::string, std::string>> set;
  for (const auto& [name, value] : config.model_args) {
    if (name == "num_classes" || name == "in_chans" || name == "img_size") {
      change_field(row, name, value);
      if (name == "img_size" && entry.family->accepts.img_size && !o.img_size)
        o.img_size = {row.input_size[1], row.input_size[2]};
    } else if (name == "global_pool") {
      if (!o.global_pool) o.global_pool = value;
    } else if (name == "output_stride") {
      int stride = 0;
      if (read_setting(value, stride) && stride != 32 && !o.output_stride) o.output_stride = stride;
    } else if (name == "drop_path_rate") {
      float rate = 0;
      if (read_setting(value, rate) && entry.family->accepts.drop_path_rate && !o.drop_path_rate)
        o.drop_path_rate = rate;
    } else if (std::ranges::any_of(known, [&](const auto& k) { return k.first == name; })) {
      set.emplace_back(name, value);
    } else if (!is_drop_rate(name)) {
      throw Error(Error::Kind::unsupported, str_cat("the config asks for ", name, " = ", value, ", which ",
                                                row.architecture, " of fovea does not have"));
    }
  }
  o.set.insert(o.set.begin(), set.begin(), set.end());  // the caller's come later, and win
}

std::string_view current_name(std::string_view name) {
  const std::string_view now = replacement_for(split_name(name).architecture);
  return now.empty() ? name : now;
}

struct Asked {
  ModelName name;
  PretrainedCfg row;
  ModelOptions options;
};

Asked read(std::string_view name, const ModelOptions& options) {
  const ModelSource source = parse_source(name);
  Asked a{.options = options};
  if (source.kind == ModelSource::Kind::catalogue) {
    a.name = split_name(current_name(name));
    known_entry(a.name.architecture);
    a.row = row_of(a.name);
  } else {
    const HubConfig config = config_of(source);
    a.name = split_name(current_name(config.row.architecture));
    a.row = config.row;
    a.row.architecture = a.name.architecture;
    take_model_args(config, known_entry(a.name.architecture), a.row, a.options);
  }
  const Entry& entry = known_entry(a.name.architecture);
  overlay(a.row, a.options.set, entry.family->settings(entry.index));
  for (const TagSetting& s : entry.family->tag_settings)  // the caller's come later, and win
    if (s.tag == a.row.tag) a.options.set.insert(a.options.set.begin(), {s.name, s.value});
  return a;
}

}  // namespace

std::unique_ptr<ImageModel> create(std::string_view name, const ModelOptions& options) {
  const Asked asked = read(name, options);
  const Entry& entry = known_entry(asked.name.architecture);
  want_accepted(*entry.family, asked.name.architecture, asked.options);
  const ModelOptions o = completed(asked.options, asked.row);
  std::unique_ptr<ImageModel> model = entry.family->build(entry.index, o);
  Built::from(*model, *entry.family, asked.name, asked.row, options, o);
  if (!o.weights.empty()) load_weights(*model, o.weights, {.fine_tune = o.pretrained});
  else if (o.pretrained) load_pretrained(*model);
  model->set_grad_checkpointing(o.checkpointing);
  return model;
}

}  // namespace fovea::zoo
