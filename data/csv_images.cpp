// SPDX-License-Identifier: Apache-2.0
#include "data/csv_images.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>

#include "data/decode.h"
#include "data/regular_file.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

using Row = std::vector<std::string>;

std::vector<std::string> parts_of(std::string_view cell) {
  std::vector<std::string> out;
  while (!cell.empty()) {
    std::string_view one = cell.substr(0, cell.find(';'));
    cell.remove_prefix(std::min(cell.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (!one.empty()) out.emplace_back(one);
  }
  return out;
}

std::optional<double> number(const std::string& cell) {
  double v = 0;
  const auto [end, failed] = std::from_chars(cell.data(), cell.data() + cell.size(), v);
  if (cell.empty() || failed != std::errc() || end != cell.data() + cell.size()) return {};
  return v;
}

std::optional<int64_t> class_number(const std::string& cell) {
  int64_t v = -1;
  const auto [end, failed] = std::from_chars(cell.data(), cell.data() + cell.size(), v);
  if (cell.empty() || failed != std::errc() || end != cell.data() + cell.size() || v < 0) return {};
  return v;
}

// The table and where in it classes are.
class Table {
 public:
  Table(const std::string& path, const TargetOptions& target) : path_(path) {
    const std::vector<std::byte> bytes = RegularFile(path).all();
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    Row cells;
    size_t line = 0;
    while (next_csv_row(text, cells, line, path)) {
      if (cells.size() == 1 && cells[0].empty()) continue;
      if (rows_.empty() && head_.empty() && !has_image_suffix(cells[0])) {
        head_ = cells;
        continue;
      }
      rows_.push_back(cells);
      lines_.push_back(line);
    }
    const std::vector<std::string> keys = target_keys(target);
    for (const std::string& key : keys) columns_.push_back(column(key));
    if (keys.empty()) columns_ = {target.key.empty() ? 1 : column(target.key)};
  }

  const std::vector<Row>& rows() const { return rows_; }
  const std::string& cell(size_t row, size_t of) const {
    if (columns_[of] >= rows_[row].size())
      throw Error(Error::Kind::format, str_cat(where(row), " has ", rows_[row].size(), " cells"),
                  "a path, and in the second column, or the target's, the class");
    return rows_[row][columns_[of]];
  }
  std::string where(size_t row) const { return str_cat(path_, " line ", lines_[row]); }

 private:
  size_t column(const std::string& name) const {
    const auto found = std::find(head_.begin(), head_.end(), name);
    if (found == head_.end())
      throw Error(Error::Kind::argument, str_cat(path_, " has no column '", name, "'"),
                  head_.empty() ? "its first line names no columns" : "it has: " + join(head_, ", "));
    return static_cast<size_t>(found - head_.begin());
  }

  std::string path_;
  Row head_;
  std::vector<Row> rows_;
  std::vector<size_t> lines_, columns_;
};

// Classes of each row, as the cells say them.
struct Said {
  std::vector<std::vector<std::string>> of_each;
  bool several = false;
};

Said read_classes(const Table& table, const std::vector<std::string>& keys, bool multihot) {
  Said out{.of_each = {}, .several = multihot || !keys.empty()};
  for (size_t r = 0; r < table.rows().size(); ++r) {
    std::vector<std::string> names;
    if (!keys.empty()) {
      for (size_t k = 0; k < keys.size(); ++k) {
        const auto v = number(table.cell(r, k));
        if (!v) throw Error(Error::Kind::format, str_cat(table.where(r), ": '", table.cell(r, k), "' is no number"));
        if (*v > 0) names.push_back(keys[k]);
      }
    } else if (multihot) {
      std::vector<double> values;
      for (const std::string& part : parts_of(table.cell(r, 0))) values.push_back(number(part).value_or(-1));
      for (const int64_t c : from_multihot(values, table.where(r))) names.push_back(str_cat(c));
    } else {
      names = parts_of(table.cell(r, 0));
      out.several = out.several || names.size() != 1;
    }
    out.of_each.push_back(std::move(names));
  }
  return out;
}

// Keys in their order, numbers as they are, names sorted.
ClassMap numbers_of(const Said& said, const std::vector<std::string>& keys, const CsvOptions& options) {
  if (!options.class_map.empty()) return options.class_map;
  if (!keys.empty()) return ClassMap(keys);
  ClassMap counted;
  std::vector<std::string> all;
  bool numbers = true;
  for (const auto& names : said.of_each)
    for (const std::string& name : names) {
      const auto n = class_number(name);
      numbers = numbers && n;
      if (numbers) counted.add(name, *n);
      all.push_back(name);
    }
  return numbers ? counted : ClassMap::sorted(std::move(all));
}

}  // namespace

bool next_csv_row(std::string_view& text, std::vector<std::string>& cells, size_t& line, const std::string& path) {
  cells.clear();
  if (text.empty()) return false;
  ++line;
  std::string cell;
  bool quoted = false;
  const size_t began = line;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\n') ++line;
      if (c != '"') cell += c;
      else if (i + 1 < text.size() && text[i + 1] == '"') cell += text[++i];
      else quoted = false;
    } else if (c == '"' && cell.empty()) {
      quoted = true;
    } else if (c == ',') {
      cells.push_back(std::move(cell));
      cell.clear();
    } else if (c == '\n') {
      break;
    } else if (c != '\r' || i + 1 == text.size() || text[i + 1] != '\n') {
      cell += c;
    }
  }
  if (quoted) throw Error(Error::Kind::format, str_cat(path, " line ", began, ": a quote is not closed"));
  cells.push_back(std::move(cell));
  text.remove_prefix(std::min(text.size(), i + 1));
  return true;
}

CsvImages::CsvImages(const std::string& path, const CsvOptions& options) {
  const std::vector<std::string> keys = target_keys(options.target);
  const Table table(path, options.target);
  const Said said = read_classes(table, keys, options.target.multihot);
  const ClassMap map = numbers_of(said, keys, options);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (said.several) set_multi_label();
  for (size_t r = 0; r < said.of_each.size(); ++r) {
    std::vector<int64_t> labels;
    for (const std::string& name : said.of_each[r])
      if (const auto number = map.find(name)) labels.push_back(*number);
    if (labels.empty() && !said.several) continue;                     // of a class that the map leaves out
    add(labels);
    paths_.push_back((folder / table.rows()[r][0]).string());
  }
  set_classes(map.names());
  if (size() == 0)
    throw Error(Error::Kind::not_found, str_cat("no images in ", path),
                options.class_map.empty() ? "each line is a path, a comma and a class"
                                          : "the class map names none of their classes");
}

Stored CsvImages::read(size_t i) const { return {.bytes = RegularFile(paths_[i]).all()}; }

}  // namespace fovea::data
