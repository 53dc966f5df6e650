// SPDX-License-Identifier: Apache-2.0
// test/zoo/hub_config.cpp — config.json in and out, names of sources, fields of a row by name, licenses.
#include "zoo/hub_config.h"

#include <nlohmann/json.hpp>

#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "zoo/hub_folder.h"
#include "zoo/licenses.h"
#include "zoo/overlay.h"
#include "zoo/source.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;
using K = Error::Kind;

TEST_CASE("names of models and weights are told apart as timm does", "[zoo]") {
  using Source = zoo::ModelSource;
  CHECK(zoo::parse_source("resnet18.a1_in1k").kind == Source::Kind::catalogue);
  CHECK(zoo::parse_source("hf-hub:timm/resnet18@v1").id == "timm/resnet18@v1");
  CHECK(zoo::parse_source("HF_Hub:timm/resnet18").kind == Source::Kind::hub);
  CHECK(zoo::parse_source("local-dir:C:\\models#1?").id == "C:\\models#1?");
  for (const char* bad : {"timm/resnet18", "C:\\models", "a:b", "./x", "ftp:x", "hf-hub:", "local-dir:"}) {
    INFO(bad);
    CHECK(error_of([&] { zoo::parse_source(bad); }).kind() == K::argument);
  }
  CHECK(error_of([&] { zoo::create("hf-hub:a/b/c"); }).kind() == K::argument);
}

TEST_CASE("config.json says which model and how its images are prepared", "[zoo]") {
  const Scratch scratch;
  const auto read = [&](const std::string& text) { return zoo::read_hub_config(scratch.file("config.json", text)); };
  const zoo::HubConfig c =
      read(R"({"architecture": "resnet18", "num_classes": 5, "num_features": 512, "global_pool": "avg",
    "model_args": {"img_size": [96, 128], "in_chans": 1, "global_pool": "max", "drop_rate": null, "act": true},
    "pretrained_cfg": {"tag": "mine", "custom_load": true, "input_size": [3, 160, 160], "fixed_input_size": false,
      "interpolation": "bilinear", "crop_pct": 0.95, "crop_mode": "squash", "mean": [0.5], "std": [0.25, 0.5, 1.0],
      "num_classes": 1000, "pool_size": [5, 5], "first_conv": ["a", "b"], "classifier": "fc", "url": "http://x/y.pth",
      "file": "/etc/passwd", "hf_hub_id": "evil/repo", "license": "mit", "future_field": {"a": 1}}})");
  CHECK(c.row.architecture == "resnet18");
  CHECK(c.row.num_classes == 5);
  CHECK(c.row.tag == "mine");
  CHECK(c.row.crop_pct == 0.95f);
  CHECK(c.row.mean == std::array<float, 3>{0.5f, 0.5f, 0.5f});
  CHECK(c.row.std == std::array<float, 3>{0.25f, 0.5f, 1});
  CHECK(c.row.first_conv == "a,b");
  CHECK(c.row.pool_size == std::array<int, 2>{5, 5});
  CHECK_FALSE(c.row.has_weights());  // it does not say where weights are
  CHECK(c.model_args == zoo::Named{{"act", "true"}, {"global_pool", "max"}, {"img_size", "96,128"}, {"in_chans", "1"}});
  const zoo::HubConfig flat =
      read(R"({"architecture": "resnet18", "num_classes": 7, "mean": [0, 0, 0], "labels": ["a"]})");
  CHECK(flat.row.num_classes == 7);
  CHECK(flat.row.mean == std::array<float, 3>{});
  for (const char* bad : {"", "[]", "{", "{}", R"({"architecture": 3})", R"({"architecture": "x", "num_classes": -1})",
                          R"({"architecture": "x", "pretrained_cfg": {"std": [0, 1, 1]}})",
                          R"({"architecture": "x", "pretrained_cfg": {"input_size": [3, 0, 4]}})",
                          R"({"architecture": "x", "pretrained_cfg": {"input_size": [3, 99999999, 4]}})",
                          R"({"architecture": "x", "pretrained_cfg": {"input_size": 3}})",
                          R"({"architecture": "x", "pretrained_cfg": {"crop_pct": 1e999}})",
                          R"({"architecture": "x", "pretrained_cfg": {"interpolation": "magic"}})",
                          R"({"architecture": "x", "model_args": {"a": {"b": 1}}})"}) {
    INFO(bad);
    CHECK(error_of([&] { read(bad); }).kind() == K::format);
  }
}

TEST_CASE("fields of a row change by name, where the family has no setting of that name", "[zoo]") {
  const std::unique_ptr<zoo::ImageModel> m = zoo::create(
      "test_efficientnet", {.set = {{"crop_pct", "0.5"}, {"pretrained_cfg.mean", "0.1"}, {"img_size", "96"}}});
  CHECK(m->pretrained_cfg().crop_pct == 0.5f);
  CHECK(m->pretrained_cfg().mean[2] == 0.1f);
  CHECK(m->input_size() == std::array<int, 3>{3, 96, 96});
  const auto refused = [](const char* name, const char* value) {
    return error_of([&] { zoo::create("test_efficientnet", {.set = {{name, value}}}); });
  };
  CHECK(mentions(refused("crop_pct", "-1"), "no value for crop_pct"));
  CHECK(mentions(refused("pretrained_cfg.crop_pt", "1"), "closest: crop_pct"));
  CHECK(refused("no_such_setting", "1").kind() == K::argument);
}

TEST_CASE("a model becomes a folder, and the folder that model again", "[zoo]") {
  const Scratch scratch;
  const std::string folder = scratch / "made/model";
  const std::unique_ptr<zoo::ImageModel> m = zoo::create(
      "test_efficientnet", {.num_classes = 3, .in_chans = 1, .global_pool = "max", .set = {{"crop_pct", "0.9"}}});
  fill_weights(*m);
  const zoo::ModelOptions made_with{
      .num_classes = 3, .in_chans = 1, .global_pool = "max", .set = {{"crop_pct", "0.9"}}};
  zoo::write_hub_folder(*m, folder,
                        {.made_with = made_with,
                         .label_names = {"a", "b", "c"},
                         .label_descriptions = {{"a", "an a"}},
                         .license = "mit"});
  const json config = json::parse(read_file(folder + "/config.json"));
  CHECK(config.at("architecture") == "test_efficientnet");
  CHECK(config.at("num_classes") == 3);
  CHECK(config.at("num_features") == m->num_features());
  CHECK(config.at("label_names") == json({"a", "b", "c"}));
  CHECK(config.at("label_descriptions") == json({{"a", "an a"}}));
  CHECK(config.at("model_args") == json({{"in_chans", 1}, {"global_pool", "max"}}));
  const json& cfg = config.at("pretrained_cfg");
  CHECK(cfg.at("input_size") == json({1, 160, 160}));
  CHECK(cfg.at("crop_pct") == 0.9);
  CHECK(cfg.at("custom_load") == false);
  CHECK(cfg.at("license") == "mit");
  CHECK(cfg.contains("pool_size"));
  CHECK(cfg.at("classifier") == "classifier");
  CHECK_FALSE(cfg.contains("hf_hub_id"));
  CHECK_FALSE(cfg.contains("url"));
  CHECK(read_file(folder + "/README.md").find("license: mit") != std::string::npos);

  const std::unique_ptr<zoo::ImageModel> again = zoo::create("local-dir:" + folder, {.pretrained = true});
  CHECK(again->num_classes() == 3);
  CHECK(again->global_pool() == "max");
  CHECK(again->input_size() == std::array<int, 3>{1, 160, 160});
  const StateDict theirs = again->state_dict();
  for (const auto& [name, t] : m->state_dict()) {
    INFO(name);
    const Tensor* other = theirs.find(name);
    REQUIRE(other);
    CHECK(std::equal(t.bytes(), t.bytes() + t.meta().bytes(), other->bytes()));
  }
  zoo::write_hub_folder(*again, folder + "2", {.made_with = made_with});
  CHECK(read_file(folder + "2/model.safetensors") == read_file(folder + "/model.safetensors"));
  CHECK(error_of([&] { zoo::write_hub_folder(*m, folder, {.label_names = {"a"}}); }).kind() == K::argument);
  CHECK(error_of([&] {
          zoo::write_hub_folder(*m, folder, {.made_with = {.set = {{"stem_size", "8"}}}});
        }).kind() == K::unsupported);
}

TEST_CASE("licenses filter lists and are refused", "[zoo]") {
  CHECK(zoo::forbids_commercial_use("cc-by-nc-4.0"));
  CHECK(zoo::forbids_commercial_use("CC-BY-NC-SA-4.0"));
  CHECK(zoo::forbids_commercial_use("fair-noncommercial-research-license"));
  CHECK_FALSE(zoo::forbids_commercial_use("apache-2.0"));
  CHECK_FALSE(zoo::forbids_commercial_use("cc-by-4.0"));
  CHECK_FALSE(zoo::forbids_commercial_use(""));
  const std::vector<std::string> allowed{"Apache-2.0", "mit"};
  zoo::want_licensed({.license = "MIT"}, allowed);
  zoo::want_licensed({.license = "anything"}, {});
  CHECK(mentions(error_of([&] { zoo::want_licensed({.architecture = "x", .license = "cc-by-nc-4.0"}, allowed); }),
                 "the license of x is cc-by-nc-4.0"));
  CHECK(mentions(error_of([&] { zoo::want_licensed({}, allowed); }), "unknown"));
  const zoo::ListOptions all{.pretrained = true, .tags = true},
      some{.pretrained = true, .tags = true, .licenses = allowed};
  const std::vector<std::string> names = zoo::list(some);
  CHECK(names.size() <= zoo::list(all).size());
  for (const std::string& name : names) {
    const std::string_view license = zoo::find_pretrained(name)->license;
    CHECK((license == "apache-2.0" || license == "mit"));
  }
}
