// SPDX-License-Identifier: Apache-2.0
#include "cli/recipe.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/common.h"
#include "cli/imbalance.h"
#include "cli/options.h"
#include "cli/processes.h"
#include "cli/settings_file.h"
#include "cli/training.h"
#include "data/decode.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "zoo/family.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

// Who says one of these has a recipe already.
constexpr const char* kDeciding[] = {"--opt", "--lr", "--lr-base", "--sched", "--epochs", "--batch-size",
                                     "--warmup-epochs", "--weight-decay", "--resume"};

int64_t power_of_two_upto(int64_t n) {
  int64_t p = 1;
  while (2 * p <= n) p *= 2;
  return p;
}

std::string short_number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", v);
  return text;
}

class Recipe {
 public:
  explicit Recipe(const DataFacts& facts) : f(facts) {}
  std::vector<Choice> make() {
    size();
    if (f.imbalance >= kImbalanced && !f.head_only)
      add("class-weights", "balanced", str_cat("there are ", short_number(f.imbalance),
                                               " times as many images of one class as of another"));
    if (f.head_only) return std::move(choices);
    length();
    steps();
    augmentation();
    return std::move(choices);
  }

 private:
  void add(const char* flag, const std::string& value, const std::string& why) {
    choices.push_back({flag, value, why});
  }

  void size() {
    if (f.side <= 0 || !f.any_size || f.side >= f.model_size) return;
    const int enough = std::max(96, (f.side * 3 / 2 + 31) / 32 * 32);
    if (enough >= f.model_size) return;
    const double cost = std::pow(static_cast<double>(f.model_size) / enough, 2);
    add("img-size", str_cat(enough), str_cat("images of ", f.side, " pixels show no more at ", f.model_size,
                                             ", and cost ", short_number(cost), " times as much"));
    add("crop-pct", "1", "small images show nothing but the object, so nothing is cut off");
  }

  void length() {
    const double shown = f.pretrained ? 20'000 : 60'000;
    const int64_t least = f.pretrained ? 5 : 20, most = f.pretrained ? 40 : 150;
    epochs = std::clamp(static_cast<int64_t>(std::llround(shown / static_cast<double>(f.images))), least, most);
    add("epochs", str_cat(epochs), f.pretrained ? "the weights know images already: about 20,000 are shown"
                                                : "everything is to be learnt: about 60,000 images are shown");
    batch = std::min(power_of_two_upto(std::clamp<int64_t>(f.images / 30, 8, 64)), power_of_two_upto(f.images));
    add("batch-size", str_cat(std::max<int64_t>(1, batch / f.processes)),
        str_cat(f.images, " images give ", f.images / batch, " steps an epoch",
                f.processes > 1 ? str_cat(", and ", f.processes, " processes share each") : ""));
    add("warmup-epochs", str_cat(std::max<int64_t>(1, epochs / 10)), "steps are small while the classifier is new");
    if (f.evaluated)
      add("patience", str_cat(std::max<int64_t>(5, epochs / 3)), "further epochs without a better result are in vain");
  }

  void steps() {
    add("opt", "adamw", "needs the least tuning");
    const double base = f.tokens ? (f.pretrained ? 2e-4 : 5e-4) : (f.pretrained ? 1e-3 : 2e-3);
    add("lr", short_number(base * std::sqrt(static_cast<double>(batch) / 32)),
        str_cat(f.tokens ? "transformers" : "convnets", f.pretrained ? " that were trained before" : " from scratch",
                " bear so much in batches of ", batch));
    add("weight-decay", "0.05", "usual beside adamw");
    if (f.tokens && f.pretrained) add("layer-decay", "0.75", "early layers of pretrained transformers change less");
  }

  void augmentation() {
    const int64_t each = f.images / std::max<int64_t>(1, f.classes);
    const double least = f.pretrained ? 0.5 : 0.35;
    if (each < 2000 || (f.side > 0 && f.side < 100))
      add("scale", str_cat(least), str_cat(each, " images a class: crops keep most of each"));
    if (f.grey) add("color-jitter", "0", "the images have no colours");
    else if (f.pretrained) add("color-jitter", "0.2", "half of timm's, as the weights know colours");
    if (each < 1000) add("reprob", "0.1", "few images a class: now and then a part is hidden");
  }

  const DataFacts& f;
  std::vector<Choice> choices;
  int64_t epochs = 0, batch = 0;
};

bool is_grey(const data::Image& image) {
  for (size_t i = 0; i + 2 < image.pixels.size(); i += 3)
    if (image.pixels[i] != image.pixels[i + 1] || image.pixels[i] != image.pixels[i + 2]) return false;
  return true;
}

// Of a few images, evenly spread; whatever cannot be read says nothing.
void look_at_images(const data::Reader& folder, DataFacts& f) {
  constexpr size_t kSizes = 64, kColours = 12;
  const auto spread = [&](size_t most, const auto& look) {
    const size_t n = folder.size(), k = std::min(n, most);
    for (size_t i = 0; i < k; ++i) {
      try {
        look(folder.read(i * n / k));
      } catch (const Error&) {}                    // reading it for training will say so
    }
  };
  std::vector<int> sides;
  spread(kSizes, [&](const data::Stored& s) {
    if (s.bytes.empty()) return sides.push_back(std::min(s.pixels.width, s.pixels.height));
    const data::ImageInfo info = data::probe(s.bytes);
    sides.push_back(std::min(info.width, info.height));
  });
  std::ranges::sort(sides);
  if (!sides.empty()) f.side = sides[sides.size() / 2];
  size_t looked = 0, grey = 0;
  spread(kColours, [&](const data::Stored& s) {
    ++looked;
    grey += is_grey(s.bytes.empty() ? data::to_rgb(s.pixels) : data::decode(s.bytes));
  });
  f.grey = looked > 0 && grey == looked;
}

DataFacts facts_of(const TrainingOptions& o, const data::Reader& folder) {
  DataFacts f{.images = static_cast<int64_t>(folder.size()),
              .classes = static_cast<int64_t>(folder.classes().size()),
              .imbalance = class_counts(folder).ratio(),
              .evaluated = !o.val_split.empty(),
              .pretrained = o.pretrained || !o.pretrained_path.empty() || !o.initial_checkpoint.empty(),
              .head_only = o.head_only};
  look_at_images(folder, f);
  const std::unique_ptr<zoo::ImageModel> model = zoo::create(o.model, model_options(o.input, o.model));
  f.model_size = model->input_size()[1];
  f.any_size = !model->family().accepts.img_size && !model->pretrained_cfg().fixed_input_size && !o.input.img_size &&
               o.input.input_size.empty();
  f.tokens = dynamic_cast<const zoo::TokenModel*>(model.get()) != nullptr;
  return f;
}

bool wanted(Command command, const TrainingOptions& o, const data::Reader& folder) {
  if (o.recipe == "timm" || folder.multi_label()) return false;
  if (o.recipe == "data") return true;
  return std::ranges::none_of(kDeciding, [&](const char* flag) { return command.count(flag) > 0; });
}

}  // namespace

std::vector<Choice> recipe(const DataFacts& f) { return Recipe(f).make(); }

std::vector<Choice> take_recipe(Command command, const TrainingOptions& o, const data::Reader& folder, int processes) {
  if (!wanted(command, o, folder)) return {};
  std::vector<Choice> taken;
  DataFacts facts = facts_of(o, folder);
  facts.processes = processes;
  for (const Choice& c : recipe(facts)) {
    if (command.count("--" + c.flag) > 0) continue;
    const bool pair = c.flag == "scale";
    give_setting(command, c.flag, pair ? std::vector<std::string>{c.value, "1"} : std::vector<std::string>{c.value});
    say(str_cat("recipe: --", c.flag, " ", c.value, pair ? " 1" : "", " (", c.why, ")"));
    taken.push_back(c);
  }
  if (!taken.empty()) say("recipe: other flags win, --recipe timm has timm's defaults");
  return taken;
}

}  // namespace fovea::cli
