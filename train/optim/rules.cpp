// SPDX-License-Identifier: Apache-2.0
// train/optim/rules.cpp — the table of names: which rule, and which of its settings make the difference.
#include "train/optim/rules.h"

#include <algorithm>

#include "engine/core/text.h"
#include "train/optim/rules/common.h"

namespace fovea::train {
namespace {

struct Flag {
  const char* name = nullptr;
  double value = 1;
};
constexpr Flag kCaution{"caution"}, kCorrected{"corrected_weight_decay"}, kNesterov{"nesterov"};
constexpr Flag kDecoupled{"decoupled_decay"}, kClip{"trust_clip"};

struct Row {
  std::string_view name;
  RulePtr (*make)(Settings&);
  Flag flags[3]{};
};

constexpr Row kRows[] = {
    {"adabelief", make_adabelief, {{"rectify", 0}}},
    {"adadelta", make_adadelta},
    {"adafactor", make_adafactor},
    {"adafactorbv", make_adafactor_big_vision},
    {"adafactorbvc", make_adafactor_big_vision, {kCorrected}},
    {"adagrad", make_adagrad},
    {"adam", make_adam},
    {"adamax", make_adamax},
    {"adamc", make_adamw, {kCorrected}},
    {"adamp", make_adamp, {{"wd_ratio", 0.01}, kNesterov}},
    {"adamuon", make_muon, {{"adamuon"}}},
    {"adamw", make_adamw},
    {"adamwlegacy", make_adamw},
    {"adan", make_adan},
    {"adanw", make_adan, {{"no_prox"}}},
    {"adopt", make_adopt},
    {"adoptc", make_adopt, {{"decoupled"}, kCorrected}},
    {"adoptw", make_adopt, {{"decoupled"}}},
    {"cadafactor", make_adafactor, {kCaution, {"beta1", 0.9}, {"beta2", 0.999}}},
    {"cadafactorbv", make_adafactor_big_vision, {kCaution}},
    {"cadafactorbvc", make_adafactor_big_vision, {kCaution, kCorrected}},
    {"cadamc", make_adamw, {kCaution, kCorrected}},
    {"cadamp", make_adamp, {{"wd_ratio", 0.01}, kNesterov, kCaution}},
    {"cadamw", make_adamw, {kCaution}},
    {"cadan", make_adan, {kCaution}},
    {"cadanw", make_adan, {kCaution, {"no_prox"}}},
    {"cadopt", make_adopt, {kCaution}},
    {"cadoptc", make_adopt, {{"decoupled"}, kCaution, kCorrected}},
    {"cadoptw", make_adopt, {{"decoupled"}, kCaution}},
    {"clamb", make_lamb, {kCaution}},
    {"clambw", make_lamb, {kCaution, kDecoupled}},
    {"claprop", make_laprop, {kCaution}},
    {"clion", make_lion, {kCaution}},
    {"clionc", make_lion, {kCaution, kCorrected}},
    {"cmars", make_mars, {kCaution}},
    {"cnadamc", make_nadamw, {kCaution, kCorrected}},
    {"cnadamw", make_nadamw, {kCaution}},
    {"crmsproptf", make_rmsprop_tf, {kCaution}},
    {"csgdc", make_sgdw, {kNesterov, kCaution, kCorrected}},
    {"csgdp", make_sgdp, {kNesterov, kCaution}},
    {"csgdw", make_sgdw, {kNesterov, kCaution}},
    {"lamb", make_lamb},
    {"lambc", make_lamb, {kClip}},
    {"lambcd", make_lamb, {kDecoupled, kCorrected}},
    {"lambcw", make_lamb, {kClip, kDecoupled}},
    {"lambw", make_lamb, {kDecoupled}},
    {"laprop", make_laprop},
    {"lapropc", make_laprop, {kCorrected}},
    {"larc", make_lars, {kClip}},
    {"lars", make_lars},
    {"lion", make_lion},
    {"lionc", make_lion, {kCorrected}},
    {"madgrad", make_madgrad},
    {"madgradw", make_madgrad, {kDecoupled}},
    {"mars", make_mars},
    {"momentum", make_sgd},
    {"muon", make_muon},
    {"nadam", make_nadam},
    {"nadamc", make_nadamw, {kCorrected}},
    {"nadamlegacy", make_nadam},
    {"nadamuon", make_muon, {{"adamuon"}, kNesterov}},
    {"nadamw", make_nadamw},
    {"nesterov", make_sgd, {kNesterov}},
    {"nesterovw", make_sgdw, {kNesterov}},
    {"nlarc", make_lars, {kNesterov, kClip}},
    {"nlars", make_lars, {kNesterov}},
    {"nmuon", make_muon, {kNesterov}},
    {"novograd", make_novograd},
    {"novogradc", make_novograd, {kDecoupled, kCorrected}},
    {"novogradw", make_novograd, {kDecoupled}},
    {"radabelief", make_adabelief},
    {"radam", make_radam},
    {"radamlegacy", make_radam, {{"decoupled_weight_decay"}}},
    {"radamw", make_radam, {{"decoupled_weight_decay"}}},
    {"rmsprop", make_rmsprop},
    {"rmsproptf", make_rmsprop_tf},
    {"rmsproptfc", make_rmsprop_tf, {kDecoupled, kCorrected}},
    {"rmsproptfw", make_rmsprop_tf, {kDecoupled}},
    {"sgd", make_sgd, {kNesterov}},
    {"sgdc", make_sgdw, {kNesterov, kCorrected}},
    {"sgdp", make_sgdp, {kNesterov}},
    {"sgdw", make_sgdw, {kNesterov}},
};

constexpr std::string_view kLookahead = "lookahead_";

const Row& row_of(std::string_view name) {
  if (name.starts_with(kLookahead)) name.remove_prefix(kLookahead.size());
  for (const Row& r : kRows)
    if (r.name == name) return r;
  throw Error(Error::Kind::not_found, cat("no optimizer '", name, "'"),
              cat("closest: ", join(closest(name, rule_names(), 3), ", ")));
}

RuleSettings completed(const Row& row, RuleSettings settings) {
  for (const Flag& f : row.flags)
    if (f.name) settings.try_emplace(f.name, f.value);
  return settings;
}

}  // namespace

std::vector<std::string> rule_names() {
  std::vector<std::string> out;
  for (const Row& r : kRows) out.emplace_back(r.name);
  return out;
}

RulePtr rule(std::string_view name, const RuleSettings& settings) {
  const Row& row = row_of(name);
  const RuleSettings all = completed(row, settings);
  Settings s(all);
  RulePtr made = row.make(s);
  for (const auto& [key, value] : settings)
    if (!s.known().contains(key))
      throw Error(Error::Kind::argument, cat("optimizer '", name, "' has no setting '", key, "'"),
                  cat("it has: ", join(std::vector<std::string>(s.known().begin(), s.known().end()), ", ")));
  return name.starts_with(kLookahead) ? lookahead(std::move(made)) : made;
}

RuleSettings settings_of(std::string_view name, const RuleSettings& wanted) {
  const Row& row = row_of(name);
  const RuleSettings none = completed(row, {});
  Settings s(none);
  row.make(s);
  RuleSettings out;
  for (const auto& [key, value] : wanted) {
    const bool common = key == "eps" || key == "momentum" || key.starts_with("beta");
    if (!common || s.known().contains(key)) out.emplace(key, value);
  }
  return out;
}

}  // namespace fovea::train
