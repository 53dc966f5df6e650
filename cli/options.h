// SPDX-License-Identifier: Apache-2.0
// cli/options.h — commands, their options, and what these may be given; CLI11 is behind it, in options.cpp alone.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
class Option;
class Validator;
}

namespace fovea::cli {

/// What a value must be, or becomes.
class Validator {
 public:
  explicit Validator(std::shared_ptr<const CLI::Validator> it) : it_(std::move(it)) {}
  const CLI::Validator& get() const { return *it_; }

 private:
  std::shared_ptr<const CLI::Validator> it_;
};
Validator in_range(int least, int most);
Validator in_range(int64_t least, int64_t most);
Validator in_range(double least, double most);
Validator not_negative();
Validator one_of(std::initializer_list<std::string_view> texts);
Validator one_of(const std::vector<std::string>& texts);
Validator one_of(std::initializer_list<int> numbers);
Validator size_value();                            // "20GB" becomes bytes; units are powers of 1024

/// An option or a flag of a command, which owns it.
class Option {
 public:
  explicit Option(CLI::Option* it) : it_(it) {}

  Option required();
  Option check(const Validator& v);
  Option transform(const Validator& v);            // before all checks
  Option needs(Option other);
  Option needs(std::string_view name);             // of an option that is there
  Option excludes(Option other);
  Option excludes(std::string_view name);          // likewise
  Option expected(int count);                      // values
  Option expected(int least, int most);            // -1: as many as follow
  Option delimiter(char between);                  // of values in one argument
  Option group(std::string_view title);            // of --help; "": it is not listed
  Option take_all();                               // given twice: both count
  Option take_last();                              // given twice: the last one counts

  bool is_flag() const;
  bool is_positional() const;
  bool takes_any_number() const;
  const std::vector<std::string>& long_names() const;                  // without --
  size_t count() const;                            // how many values it was given
  const std::vector<std::string>& values() const;  // as they were given
  void give(const std::vector<std::string>& values);

 private:
  CLI::Option* it_;
};

/// The types that options have.
template <class T>
concept OptionValue =
    std::same_as<T, std::string> || std::same_as<T, int> || std::same_as<T, int64_t> || std::same_as<T, uint64_t> ||
    std::same_as<T, double> || std::same_as<T, std::optional<std::string>> || std::same_as<T, std::optional<int>> ||
    std::same_as<T, std::optional<int64_t>> || std::same_as<T, std::optional<double>> ||
    std::same_as<T, std::vector<std::string>> || std::same_as<T, std::vector<int>> ||
    std::same_as<T, std::vector<int64_t>> || std::same_as<T, std::vector<double>>;

/// The tool or a sub-command of it; copies are the same command, which the Parser owns.
class Command {
 public:
  explicit Command(CLI::App* it) : it_(it) {}

  Command add_subcommand(std::string_view name, std::string_view what);
  Command alias(std::string_view name);
  Command require_subcommand();                    // one
  void callback(std::function<void()> run);        // once everything is parsed

  /// `value` stays as it is where the option is not given. `names`: "--long,-s", or "name" for a positional one.
  template <OptionValue T>
  Option add_option(std::string_view names, T& value, std::string_view what);
  template <OptionValue T>
  Option add_option_function(std::string_view names, const std::function<void(const T&)>& take,
                             std::string_view what = {});
  /// "--yes,!--no": the latter means false.
  Option add_flag(std::string_view names, bool& value, std::string_view what);
  Option add_flag_callback(std::string_view names, std::function<void()> take, std::string_view what);
  /// Gives how often it was there, less how often its negation was.
  Option add_flag_function(std::string_view names, std::function<void(int64_t)> take, std::string_view what = {});

  std::vector<std::string> subcommand_names() const;                   // and their aliases
  std::vector<Option> options() const;
  std::optional<Option> find_option(std::string_view name) const;
  size_t count(std::string_view name) const;       // of an option that is there

 private:
  CLI::App* it_;
};

/// A callback throws it to end the tool with this code, once it has said why.
struct ExitCode {
  int code;
};
/// What a callback of an option says of a value.
[[noreturn]] void bad_value(std::string_view option, const std::string& why);

/// The command line as a whole.
class Parser {
 public:
  Parser(std::string_view what, std::string_view name, std::string_view version);
  ~Parser();
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  Command command();                               // the tool itself
  /// Runs the callbacks of the command that was named; returns the exit code. Wrong arguments are told on stderr.
  int parse(int argc, const char* const* argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace fovea::cli
