// SPDX-License-Identifier: Apache-2.0
// test/meta/docs.cpp — what the pages show is true: code compiles, quotations are of the sources, commands are there.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "engine/core/text.h"
#include "test/cli/tool.h"
#include "test/meta/compiler.h"
#include "test/meta/tree.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using fovea::meta::lines_of;
namespace fs = std::filesystem;

namespace {

struct Block {
  std::string page, language;
  std::vector<std::string> lines;
};

// What stands between ``` and ``` in README.md, CONTRIBUTING.md and docs/.
std::vector<Block> blocks() {
  const fs::path root = FOVEA_SOURCE_DIR;
  std::vector<std::string> pages{"README.md", "CONTRIBUTING.md"};
  for (const auto& e : fs::directory_iterator(root / "docs"))
    if (e.path().extension() == ".md") pages.push_back("docs/" + e.path().filename().string());
  std::sort(pages.begin(), pages.end());
  std::vector<Block> all;
  for (const std::string& page : pages) {
    bool inside = false;
    for (const std::string& line : lines_of(read_file((root / page).string()))) {
      if (line.starts_with("```")) {
        inside = !inside;
        if (inside) all.push_back({page, line.substr(3), {}});
      } else if (inside) {
        all.back().lines.push_back(line);
      }
    }
    INFO(page);
    REQUIRE_FALSE(inside);
  }
  return all;
}

std::string text_of(const Block& b) {
  std::string text;
  for (const std::string& l : b.lines) text += l + "\n";
  return text;
}

// Without comments and blanks, which a page may set in its own way.
std::string bare(std::string_view code) {
  std::string out;
  for (std::string line : lines_of(std::string(code))) {
    line = line.substr(0, line.find("//"));
    std::copy_if(line.begin(), line.end(), std::back_inserter(out), [](char c) { return c != ' '; });
  }
  return out;
}

// "// engine/ops/reduce.cpp: why" names the file that what follows is from.
std::string file_named(std::string_view line) {
  if (!line.starts_with("// ")) return {};
  const std::string name(line.substr(3, line.find_first_of(": ", 3) - 3));
  return name.find('/') != name.npos && fs::exists(fs::path(FOVEA_SOURCE_DIR) / name) ? name : std::string();
}

// Each part of the block is in the file that it names.
void want_quoted(const Block& b) {
  std::string file, part;
  const auto compare = [&] {
    INFO(b.page << " quotes " << file << ":\n" << part);
    const std::string source = file.empty() ? bare(part) : bare(read_file(str_cat(FOVEA_SOURCE_DIR "/", file)));
    CHECK(source.find(bare(part)) != std::string::npos);
    part.clear();
  };
  for (const std::string& line : b.lines) {
    const std::string named = file_named(line);
    const bool begins = !line.empty() && line[0] != ' ' && line[0] != '}';
    if (begins) compare();                         // what stands together here may be apart in the file
    if (named.empty()) part += line + "\n";
    else file = named;
  }
  compare();
}

// What stands around fragments, so that they compile. The README's program is built and run by headers.cpp.
struct Frame {
  std::string_view page, compiler, before, after;
};
constexpr Frame kFrames[] = {
    {"docs/embed.md", "cc -std=c99 -x c",
     "#include \"api/fovea.h\"\n"
     "void f(fovea_env* env, fovea_model* model, fovea_session* session, const fovea_model_options options,\n"
     "       const fovea_image image, fovea_class* best, size_t count);\n"
     "void f(fovea_env* env, fovea_model* model, fovea_session* session, const fovea_model_options options,\n"
     "       const fovea_image image, fovea_class* best, size_t count) {\n",
     "}\n"},
    {"docs/training.md", FOVEA_COMPILER " -std=c++20 -x c++",
     "#include \"train/optim/groups.h\"\n#include \"train/optim/rules.h\"\n#include \"train/step.h\"\n"
     "#include \"zoo/zoo.h\"\nusing namespace fovea;\ndouble f(const Tensor& images, const Tensor& classes) {\n",
     "return loss;\n}\n"},
};

std::set<std::string> words_after(const std::string& help, std::string_view start) {
  std::set<std::string> found;
  for (size_t at = 0; (at = help.find(start, at)) != help.npos;) {
    const size_t end = help.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", at + start.size());
    found.insert(help.substr(at + start.size(), end - at - start.size()));
    at = std::min(end, help.size());
  }
  return found;
}

std::vector<std::string> words_of(std::string line) {
  line = line.substr(0, line.find(" #"));
  for (char& c : line)
    if (c == '[' || c == ']' || c == '|') c = ' ';
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string w; in >> w;) words.push_back(w);
  return words;
}

}  // namespace

TEST_CASE("code in the pages is of the sources, or compiles", "[meta][slow]") {
  size_t seen = 0;
  const Scratch folder;
  for (const Block& b : blocks()) {
    if (b.language.empty() || b.language == "counts") continue;        // commands; the catalogue has a test of its own
    INFO(b.page << ":\n" << text_of(b));
    REQUIRE((b.language == "c" || b.language == "cpp"));
    ++seen;
    if (b.page == "README.md") continue;
    if (!file_named(b.lines.at(0)).empty()) {
      want_quoted(b);
      continue;
    }
    const auto* around =
        std::find_if(std::begin(kFrames), std::end(kFrames), [&](const Frame& f) { return f.page == b.page; });
    REQUIRE(around != std::end(kFrames));          // say above what stands around it
    const std::string source = folder.file("block", str_cat(around->before, text_of(b), around->after));
    const std::string command = str_cat(
        around->compiler, " -Wall -Wextra -fsyntax-only -I" FOVEA_SOURCE_DIR " -I" FOVEA_BUILD_DIR " ", source);
    CHECK(std::system(command.c_str()) == 0);
  }
  CHECK(seen >= 5);
}

TEST_CASE("commands in the pages have the names and options that are shown", "[meta][slow]") {
  const std::string commands = run_tool("", {"--help"}).out, dev = read_file(FOVEA_SOURCE_DIR "/dev");
  const std::set<std::string> known = words_after(commands.substr(commands.find("Subcommands:")), "\n  "),
                              of_dev = words_after(dev, "\n./dev ");
  std::map<std::string, std::set<std::string>> options;
  size_t checked = 0;
  for (const Block& b : blocks()) {
    if (!b.language.empty()) continue;
    for (const std::string& line : b.lines) {
      std::vector<std::string> words = words_of(line);
      if (words.size() > 1 && words[0] == "$") words.erase(words.begin());
      if (words.size() < 2) continue;
      INFO(b.page << ": " << line);
      if (words[0] == "./dev") CHECK(of_dev.contains(words[1]));
      if (words[0] != "build/fovea" && words[0] != "fovea") continue;
      const std::string command = words[1] == "inspect" ? "weights" : words[1];
      CHECK(known.contains(command));
      std::set<std::string>& there = options[command];
      if (there.empty()) there = words_after(run_tool("", {command, "--help"}).out, "--");
      for (const std::string& w : words)
        if (w.starts_with("--")) CHECK(there.contains(w.substr(2, w.find('=') - 2)));
      ++checked;
    }
  }
  CHECK(checked > 20);
}
