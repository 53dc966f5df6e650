// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <CLI/CLI.hpp>

#include "engine/core/text.h"

namespace fovea::cli {
namespace {

Validator made(CLI::Validator v) { return Validator(std::make_shared<const CLI::Validator>(std::move(v))); }

// Bad arguments are told as everything else is.
std::string explain(const CLI::App* app, const CLI::Error& e) {
  const std::vector<CLI::App*> commands = app->get_subcommands();
  return str_cat("fovea: ", e.what(), "\n  fovea ", commands.empty() ? "" : commands[0]->get_name() + " ",
                 "--help says what there is\n");
}

}  // namespace

Validator in_range(int least, int most) { return made(CLI::Range(least, most)); }
Validator in_range(int64_t least, int64_t most) { return made(CLI::Range(least, most)); }
Validator in_range(double least, double most) { return made(CLI::Range(least, most)); }
Validator not_negative() { return made(CLI::NonNegativeNumber); }
Validator one_of(std::initializer_list<std::string_view> texts) {
  return one_of(std::vector<std::string>(texts.begin(), texts.end()));
}
Validator one_of(const std::vector<std::string>& texts) { return made(CLI::IsMember(texts)); }
Validator one_of(std::initializer_list<int> numbers) { return made(CLI::IsMember(std::vector<int>(numbers))); }
Validator size_value() { return made(CLI::AsSizeValue(false)); }

Option Option::required() { return Option(it_->required()); }
Option Option::check(const Validator& v) { return Option(it_->check(v.get())); }
Option Option::transform(const Validator& v) { return Option(it_->transform(v.get())); }
Option Option::needs(Option other) { return Option(it_->needs(other.it_)); }
Option Option::needs(std::string_view name) { return Option(it_->needs(std::string(name))); }
Option Option::excludes(Option other) { return Option(it_->excludes(other.it_)); }
Option Option::excludes(std::string_view name) { return Option(it_->excludes(std::string(name))); }
Option Option::expected(int count) { return Option(it_->expected(count)); }
Option Option::expected(int least, int most) { return Option(it_->expected(least, most)); }
Option Option::delimiter(char between) { return Option(it_->delimiter(between)); }
Option Option::group(std::string_view title) { return Option(it_->group(std::string(title))); }
Option Option::take_all() { return Option(it_->take_all()); }
Option Option::take_last() { return Option(it_->take_last()); }

bool Option::is_flag() const { return it_->get_expected_max() == 0; }
bool Option::is_positional() const { return it_->get_positional(); }
bool Option::takes_any_number() const {
  constexpr int kEndless = 1 << 20;                // CLI11 has a number that is no less for it
  return it_->get_items_expected_max() >= kEndless;
}
const std::vector<std::string>& Option::long_names() const { return it_->get_lnames(); }
size_t Option::count() const { return it_->count(); }
const std::vector<std::string>& Option::values() const { return it_->results(); }
void Option::give(const std::vector<std::string>& values) {
  it_->add_result(values);
  it_->run_callback();
}

Command Command::add_subcommand(std::string_view name, std::string_view what) {
  return Command(it_->add_subcommand(std::string(name), std::string(what)));
}
Command Command::alias(std::string_view name) { return Command(it_->alias(std::string(name))); }
Command Command::require_subcommand() { return Command(it_->require_subcommand(1)); }
void Command::callback(std::function<void()> run) { it_->callback(std::move(run)); }

template <OptionValue T>
Option Command::add_option(std::string_view names, T& value, std::string_view what) {
  return Option(it_->add_option(std::string(names), value, std::string(what)));
}
template <OptionValue T>
Option Command::add_option_function(std::string_view names, const std::function<void(const T&)>& take,
                                    std::string_view what) {
  return Option(it_->add_option_function<T>(std::string(names), take, std::string(what)));
}

template Option Command::add_option(std::string_view, std::string&, std::string_view);
template Option Command::add_option(std::string_view, int&, std::string_view);
template Option Command::add_option(std::string_view, int64_t&, std::string_view);
template Option Command::add_option(std::string_view, uint64_t&, std::string_view);
template Option Command::add_option(std::string_view, double&, std::string_view);
template Option Command::add_option(std::string_view, std::optional<std::string>&, std::string_view);
template Option Command::add_option(std::string_view, std::optional<int>&, std::string_view);
template Option Command::add_option(std::string_view, std::optional<int64_t>&, std::string_view);
template Option Command::add_option(std::string_view, std::optional<double>&, std::string_view);
template Option Command::add_option(std::string_view, std::vector<std::string>&, std::string_view);
template Option Command::add_option(std::string_view, std::vector<int>&, std::string_view);
template Option Command::add_option(std::string_view, std::vector<int64_t>&, std::string_view);
template Option Command::add_option(std::string_view, std::vector<double>&, std::string_view);
template Option Command::add_option_function(std::string_view, const std::function<void(const int&)>&,
                                             std::string_view);
template Option Command::add_option_function(std::string_view, const std::function<void(const std::string&)>&,
                                             std::string_view);
template Option Command::add_option_function(std::string_view,
                                             const std::function<void(const std::vector<std::string>&)>&,
                                             std::string_view);

Option Command::add_flag(std::string_view names, bool& value, std::string_view what) {
  return Option(it_->add_flag(std::string(names), value, std::string(what)));
}
Option Command::add_flag_callback(std::string_view names, std::function<void()> take, std::string_view what) {
  return Option(it_->add_flag_callback(std::string(names), std::move(take), std::string(what)));
}
Option Command::add_flag_function(std::string_view names, std::function<void(int64_t)> take, std::string_view what) {
  return Option(it_->add_flag_function(std::string(names), std::move(take), std::string(what)));
}

std::vector<std::string> Command::subcommand_names() const {
  std::vector<std::string> names;
  for (const CLI::App* command : it_->get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
    names.insert(names.end(), command->get_aliases().begin(), command->get_aliases().end());
  }
  return names;
}
std::vector<Option> Command::options() const {
  std::vector<Option> all;
  for (CLI::Option* o : it_->get_options([](CLI::Option*) { return true; })) all.emplace_back(o);
  return all;
}
std::optional<Option> Command::find_option(std::string_view name) const {
  CLI::Option* option = it_->get_option_no_throw(std::string(name));
  return option ? std::optional(Option(option)) : std::nullopt;
}
size_t Command::count(std::string_view name) const { return it_->get_option(std::string(name))->count(); }

void bad_value(std::string_view option, const std::string& why) {
  throw CLI::ValidationError(std::string(option), why);
}

Parser::Parser(std::string_view what, std::string_view name, std::string_view version)
    : app_(std::make_unique<CLI::App>(std::string(what), std::string(name))) {
  app_->set_version_flag("--version", std::string(version));
  app_->failure_message(explain);
}
Parser::~Parser() = default;

Command Parser::command() { return Command(app_.get()); }

int Parser::parse(int argc, const char* const* argv) {
  try {
    app_->parse(argc, argv);
    return 0;
  } catch (const ExitCode& e) {
    return e.code;
  } catch (const CLI::ParseError& e) {
    return app_->exit(e) ? 1 : 0;
  }
}

}  // namespace fovea::cli
