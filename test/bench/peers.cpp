// SPDX-License-Identifier: Apache-2.0
// test/bench/peers.cpp — the tables of the comparison with other runtimes, from lines whose ratios are known.
#include <sys/wait.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/core/text.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

// The lines of one model; ms[engine][round].
struct Lines {
  std::string text;
  json key(const std::string& kind, const std::string& model) const {
    return {{"kind", kind}, {"model", model}, {"dtype", "f32"}, {"batch", 1}, {"train", false}};
  }
  void add(json line, const json& more) {
    line.update(more);
    text += line.dump() + "\n";
  }
  void engine(const std::string& model, const std::string& name, bool differs = false) {
    add(key("engine", model), {{"engine", name},
                               {"out", {1, differs ? 2.01 : 2}},
                               {"load_s", 0.5},
                               {"first_ms", 20},
                               {"rss_mb", 99},
                               {"version", name + " 1.0"}});
  }
  void round(const std::string& model, int number, const std::string& name, double ms, double canary = 1) {
    add(key("round", model), {{"engine", name}, {"round", number}, {"canary_s", canary}, {"ms", {ms, ms, ms + 50}}});
  }
};

std::string example() {
  Lines l;
  l.text = json{{"kind", "machine"}, {"time", "now"},     {"cpu", "Known"},    {"flags", {"avx2"}},
                {"processors", 2},   {"memory_mb", 2048}, {"system", "Linux"}, {"python", "3"},
                {"threads", 2},      {"rounds", 4},       {"fovea", "0"},      {"commit", "abc"}}
               .dump() +
           "\n";
  for (const char* model : {"ahead", "behind", "void", "ended"})
    for (const char* name : {"fovea", "torch", "openvino"})
      l.engine(model, name, std::string(model) + name == "voidfovea");
  for (int i = 0; i < 4; ++i) {
    const bool busy = i == 3;                      // somebody else had the machine: this round does not count
    const double canary = busy ? 1.2 : 1 + 0.01 * i;
    l.round("ahead", i, "fovea", busy ? 90 : 10, canary);
    l.round("ahead", i, "torch", 20 + i, canary);
    l.round("ahead", i, "openvino", 40, canary);
    for (const char* model : {"behind", "void", "ended"}) {
      l.round(model, i, "fovea", 10);
      l.round(model, i, "torch", 8);
      l.round(model, i, "openvino", 9);
    }
  }
  l.add(l.key("failed", "ended"), {{"engine", "fovea"}, {"error", "it broke"}});
  l.add(l.key("absent", "other"), json::object());
  return l.text;
}

std::string python(const std::string& arguments) {
  const std::string command = str_cat("cd " FOVEA_SOURCE_DIR "/bench/peers && python3 -B ", arguments);
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe);
  std::string out;
  for (int c; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  const int status = pclose(pipe);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  return out;
}

std::string report(const std::string& arguments) { return python("report.py " + arguments); }

// The line that begins with these words.
std::string line_of(const std::string& text, const std::string& start) {
  const size_t at = text.find("\n" + start);
  REQUIRE(at != std::string::npos);
  return text.substr(at + 1, text.find('\n', at + 1) - at - 1);
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the comparison's tables pair rounds, void other answers and hide no loser", "[bench]") {
  const Scratch scratch;
  const std::string results = scratch.file("r.jsonl", example()), page = scratch / "page.md";
  const std::string text = report(str_cat(results, " --page ", page)), markdown = read_file(page);
  const std::string ahead = line_of(text, "ahead"), behind = line_of(text, "behind");
  CHECK(says(ahead, "2.10 (2.00 to 2.20)"));       // the calm rounds: 20, 21 and 22 to 10
  CHECK(says(ahead, "10.00"));
  CHECK(says(behind, "0.80 (0.80 to 0.80)"));
  CHECK(says(line_of(text, "void"), "other answer"));
  CHECK(says(line_of(text, "void"), "0.50 (void)"));
  CHECK(says(line_of(text, "ended"), "failed"));
  CHECK(says(line_of(text, "ended"), "0.50 (void)"));
  CHECK(says(line_of(text, "other"), "not in fovea"));
  // (2.1 * 0.8 * 0.5 * 0.5) ^ (1/4)
  CHECK(says(line_of(text, "Best peer"), "geometric mean 0.805, worst 0.500 (void), over 4 models."));
  CHECK(says(line_of(markdown, "| ahead"), "**10.00**"));
  CHECK(says(line_of(markdown, "| behind"), "**8.00**"));
  CHECK(says(markdown, "`behind` 0.80 (behind PyTorch)"));
  CHECK(says(markdown, "`void` 0.50 (void: other answer)"));
  CHECK(says(markdown, "fovea: it broke"));
  CHECK(says(markdown, "Known, 2 processors, 2 GiB"));
  CHECK(says(line_of(markdown, "| ahead"), "| Known |"));  // each row names its processor
  CHECK(says(markdown, "openvino 1.0, torch 1.0"));
  CHECK(says(markdown, "520 ms, 99 MB"));
}

TEST_CASE("answers in bf16 are compared with those in f32", "[bench]") {
  Lines l;
  const auto add = [&](const char* dtype, const char* name, double second) {
    l.engine("m", name);
    json line = json::parse(l.text.substr(l.text.rfind('\n', l.text.size() - 2) + 1));
    l.text.erase(l.text.rfind('\n', l.text.size() - 2) + 1);
    line["dtype"] = dtype;
    line["out"] = {1, second};
    l.text += line.dump() + "\n";
    for (int i = 0; i < 4; ++i) {
      json round = l.key("round", "m");
      round["dtype"] = dtype;
      l.add(round, {{"engine", name}, {"round", i}, {"canary_s", 1}, {"ms", {10, 10, 10}}});
    }
  };
  for (const char* name : {"fovea", "torch", "openvino"}) add("f32", name, 2);
  add("bf16", "torch", 2.2);                       // a tenth off: 0.15 are allowed
  add("bf16", "fovea", 1.75);                      // 0.125 off, to the other side
  add("bf16", "openvino", 2.4);                    // 0.2 off
  const Scratch scratch;
  const std::string text = report(scratch.file("r.jsonl", l.text));
  const std::string row = line_of(text.substr(text.find("bf16, batch 1")), "m ");
  CHECK(says(row, "1.00 (1.00 to 1.00)"));
  CHECK(says(row, "other answer"));
}

TEST_CASE("a row whose rounds were mostly disturbed says so", "[bench]") {
  Lines l;
  l.engine("m", "fovea");
  l.engine("m", "torch");
  for (int i = 0; i < 4; ++i) {
    l.round("m", i, "fovea", 10, 1 + i);
    l.round("m", i, "torch", 30, 1 + i);
  }
  const Scratch scratch;
  CHECK(says(report(scratch.file("r.jsonl", l.text)), "3.00 (3.00 to 3.00) noisy"));
}

TEST_CASE("those who were kept to a class of instructions have a table of their own", "[bench]") {
  Lines l;
  for (const char* isa : {"", "avx2"})
    for (const char* name : {"fovea", "torch"}) {
      Lines one;
      one.engine("m", name);
      for (int i = 0; i < 4; ++i) one.round("m", i, name, *isa ? 20 : 10);
      std::istringstream lines(one.text);
      for (std::string line; std::getline(lines, line);) {
        json row = json::parse(line);
        if (*isa) row["isa"] = isa;
        l.text += row.dump() + "\n";
      }
    }
  const Scratch scratch;
  const std::string text = report(scratch.file("r.jsonl", l.text));
  const size_t limited = text.find("Inference, f32, batch 1, kept to avx2");
  REQUIRE(limited != std::string::npos);
  CHECK(says(text.substr(0, limited), "10.00"));
  CHECK_FALSE(says(text.substr(0, limited), "20.00"));
  CHECK(says(text.substr(limited), "20.00"));
}

TEST_CASE("of each module the smallest, the median and the largest are measured, then more of large ones", "[bench]") {
  const std::string program =
      "import zoo\n"
      "infos = [dict(module=m, name=f'{m}{i}', macs=i) for m, n in (('a', 9), ('b', 4), ('c', 1)) for i in range(n)]\n"
      "print(*(i['name'] for i in zoo.choose(infos, 9, 7)))\n"
      "print(zoo.spread(5), zoo.spread(1), zoo.spread(2))\n";
  const Scratch scratch;
  const std::string out = python(scratch.file("p.py", "import sys\nsys.path.insert(0, '.')\n" + program));
  // a8 is too large; of a: 0, 7, 4 (the middle), then 2 and 6; of b: 0, 3, 2, then 1
  CHECK(out == "a0 a2 a4 a7 b0 b1 b2 b3 c0\n[0, 4, 2, 1, 3] [0] [0, 1]\n");
}

TEST_CASE("the catalogue's section has a table, a plot and the worst with their kernels", "[bench]") {
  Lines l;
  l.text = example();
  for (const char* model : {"ahead", "behind", "void"})
    l.add(l.key("zoo", model), {{"module", "family"},
                                {"macs", 1.5e9},
                                {"params", 3e6},
                                {"kernels", json::array({json::array({"conv cpu:product avx2", 0.75}),
                                                         json::array({"binary cpu:avx2", 0.2})})}});
  const Scratch scratch;
  const std::string rows = scratch.file("z.jsonl", l.text), page = scratch / "page.md";
  report(str_cat(rows, " --page ", page, " --zoo ", rows));
  const std::string markdown = read_file(page), section = markdown.substr(markdown.find("## The catalogue"));
  CHECK(says(section, "3 models, f32, batch 1, 4 rounds each"));
  CHECK(says(line_of(section, "| ahead"), "| family | 1.50 | 10.00 | 21.00 | 40.00 | 2.10 | 4.00 | Known |"));
  CHECK(says(line_of(section, "| void"), "other answer"));
  CHECK(says(section,
             "geometric mean 1.296, median 1.45, a tenth of the models below 0.80, worst 0.80; 1 of 2 below 1."));
  CHECK(says(section, "- `behind` 0.80: conv cpu:product avx2 75 %, binary cpu:avx2 20 %"));
  const std::string plot = read_file(scratch / "images/zoo.svg");
  CHECK(says(plot, "PyTorch / fovea, 2 models"));
  CHECK(plot.ends_with("</svg>\n"));
}

TEST_CASE("lines of a model that was not measured to its end are dropped when the catalogue goes on", "[bench]") {
  Lines l;
  l.engine("done", "fovea");
  l.add(l.key("zoo", "done"), {{"module", "f"}, {"macs", 1}, {"params", 1}, {"kernels", json::array()}});
  const std::string whole = l.text;
  l.engine("half", "fovea");
  const Scratch scratch;
  const std::string rows = scratch.file("z.jsonl", l.text + "{\"kind\": \"rou");
  const std::string program = str_cat("import sys\nsys.path.insert(0, '.')\nimport zoo\nzoo.drop_unfinished('", rows,
                                      "')\nprint(sorted(zoo.measured('", rows, "')))\n");
  CHECK(python(scratch.file("p.py", program)) == "['done']\n");
  CHECK(read_file(rows) == whole);
}
