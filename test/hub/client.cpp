// SPDX-License-Identifier: Apache-2.0
// test/hub/client.cpp — what comes from a hub: fetched, verified, kept as huggingface_hub keeps it, or refused with
// advice.
#include "hub/client.h"

#include <algorithm>
#include <filesystem>

#include "hub/cache.h"
#include "hub/file_hash.h"
#include "hub/partial.h"
#include "test/hub/loopback.h"
#include "test/support/catch.h"

using namespace fovea;
using namespace fovea::test;
using hub::Client;
using hub::Repo;
using K = Error::Kind;
namespace fs = std::filesystem;

namespace {

const Repo kRepo{.id = "org/model"};
const std::string kWeights = noise(300'000, 1), kConfig = R"({"architecture": "resnet18"})";

struct HubSite {
  LoopbackHub server;
  Scratch scratch;
  hub::Settings settings = server.settings(scratch / "");
  HubSite() {
    server.put("org/model", "model.safetensors", kWeights);
    server.put("org/model", "config.json", kConfig);
  }
  std::string fetch(std::string_view name = "model.safetensors") { return Client(settings).file(kRepo, name); }
  Error error(std::string_view name = "model.safetensors", const Repo& repo = kRepo) {
    return error_of([&] { Client(settings).file(repo, name); });
  }
  std::string folder() const { return str_cat(settings.cache, "/models--org--model"); }
  size_t partials() const {
    size_t n = 0;
    for (const std::string& name : tree(settings.cache)) n += hub::is_partial_name(name) ? 1 : 0;
    return n;
  }
};

}  // namespace

TEST_CASE("hub: SHA-1 and git's name for a blob", "[hub]") {
  CHECK(hub::Sha1().update(bytes_of("abc")).finish() == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(hub::Sha1().finish() == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  const std::string million(1'000'000, 'a');
  CHECK(hub::Sha1().update(bytes_of(million)).finish() == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  hub::FileHash git(std::string(40, '0'), 6);
  git.update(bytes_of("hello\n"));
  CHECK(git.finish() == "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST_CASE("hub: repositories, files and URLs by name", "[hub]") {
  CHECK(hub::parse_repo("timm/resnet18.a1_in1k").id == "timm/resnet18.a1_in1k");
  CHECK(hub::parse_repo("gpt2").revision == "main");
  CHECK(hub::parse_repo("org/name@v1.0").revision == "v1.0");
  for (const char* bad : {"", "/", "a/", "/a", "a/b/c", "../b", "a/..", "a--b/c", "a/b.git", "a/b@", "a/b@..",
                          "a/b@c@d", "a b/c", "a/b@../../x", "a/b@C:\\x", "-a/b", "a/b\n", "http://a/b"}) {
    INFO(bad);
    CHECK(error_of([&] { hub::parse_repo(bad); }).kind() == K::argument);
  }
  CHECK(hub::file_url("https://hub", {.id = "a/b", .revision = "refs/pr/1"}, "sub/a b.bin") ==
        "https://hub/a/b/resolve/refs%2Fpr%2F1/sub/a%20b.bin");
  CHECK(hub::origin_of("HTTPS://User:pass@Hub.example:443/x?y") == "https://hub.example");
  CHECK(hub::origin_of("http://hub.example:80") == "http://hub.example");
  CHECK(hub::origin_of("https://hub.example\\@evil.example/") == "https://hub.example");
  CHECK(hub::origin_of("file:///etc/passwd").empty());
  CHECK(hub::resolved("https://hub/a/b?c", "/d") == "https://hub/d");
  CHECK(hub::resolved("https://hub/a/b?c", "d") == "https://hub/a/d");
  CHECK(hub::resolved("https://hub/a", "//evil/x") == "https://evil/x");
  CHECK(hub::resolved("https://hub/a", "https://evil/x") == "https://evil/x");
  CHECK(hub::resolved("https://hub", "x?u=http://y") == "https://hub/x?u=http://y");
  CHECK(hub::shown("https://me:secret@hub/a?token=1") == "https://hub/a");
}

TEST_CASE("hub: a file is fetched once, verified and kept as huggingface_hub keeps it", "[hub]") {
  HubSite site;
  const std::string path = site.fetch();
  CHECK(read_file(path) == kWeights);
  CHECK(read_file(site.fetch("config.json")) == kConfig);
  CHECK(error_of([&] { site.fetch("pytorch_model.bin"); }).kind() == K::not_found);
  const std::string commit = read_file(str_cat(site.folder(), "/refs/main"));
  CHECK(hub::is_commit(commit));
  const std::string sha = sha256(kWeights),
                    git = hub::hash_of_file(site.folder() + "/snapshots/" + commit + "/config.json",
                                            std::string(40, '0'));
  std::vector<std::string> expected{str_cat(".no_exist/", commit, "/pytorch_model.bin"),
                                    str_cat("blobs/", sha),
                                    str_cat("blobs/", git),
                                    "refs/main",
                                    str_cat("snapshots/", commit, "/config.json -> ../../blobs/", git),
                                    str_cat("snapshots/", commit, "/model.safetensors -> ../../blobs/", sha)};
  std::sort(expected.begin(), expected.end());
  CHECK(tree(site.folder()) == expected);
  CHECK(fs::exists(str_cat(site.settings.cache, "/.locks/models--org--model/", sha, ".lock")));
  CHECK(fs::exists(str_cat(site.settings.cache, "/CACHEDIR.TAG")));

  site.server.log();
  CHECK(site.fetch() == path);  // nobody is asked again, nor for what is known to be absent
  CHECK_FALSE(Client(site.settings).find_file(kRepo, "pytorch_model.bin"));
  CHECK(Client(site.settings).file({.id = "org/model", .revision = commit}, "config.json").ends_with("config.json"));
  CHECK(site.server.log().empty());

  site.server.put("org/model", "config.json", "{}");  // a new commit
  CHECK(read_file(site.fetch("config.json")) == kConfig);
  CHECK(read_file(Client(site.settings).file(kRepo, "config.json", hub::Freshness::newest)) == "{}");
  CHECK(read_file(str_cat(site.folder(), "/refs/main")) != commit);
  // the weights are the same content: they are linked, not fetched
  site.server.log();
  CHECK(read_file(site.fetch()) == kWeights);
  for (const Asked& a : site.server.log()) CHECK(a.method == "HEAD");
}

TEST_CASE("hub: other revisions, folders, renamed repositories, empty files", "[hub]") {
  HubSite site;
  site.server.put("org/model", "sub/empty.bin", "");
  site.server.put("org/model", "empty.txt", "");
  CHECK(read_file(Client(site.settings).file({.id = "org/model", .revision = "a/branch"}, "sub/empty.bin")).empty());
  CHECK(read_file(site.fetch("empty.txt")).empty());
  CHECK(fs::exists(str_cat(site.folder(), "/refs/a/branch")));
  CHECK(read_file(Client(site.settings).file({.id = "renamed/model"}, "model.safetensors")) == kWeights);
  const Error none = site.error("config.json", {.id = "org/model", .revision = "v9"});
  CHECK(none.kind() == K::not_found);
  CHECK(mentions(none, "no revision 'v9'"));
}

TEST_CASE("hub: every fault ends in the right file or in none", "[hub]") {
  HubSite site;
  struct Case {
    const char* fault;
    int count;
    const char* method;
    const char* error;  // null: it gets over it
  };
  const Case all[] = {{"drop", 3, "GET", nullptr},
                      {"short", 3, "GET", nullptr},
                      {"bytes", 1, "GET", nullptr},
                      {"bytes", 9, "GET", "its hash is another"},
                      {"whole", 1, "GET", nullptr},
                      {"long", 9, "GET", "more came than the file has"},
                      {"other_part", 1, "GET", nullptr},
                      {"gzip", 2, "GET", nullptr},
                      {"gzip", 99, "GET", "encoded as gzip"},
                      {"page", 2, "GET", nullptr},
                      {"loop", 99, "GET", "redirects"},
                      {"loop", 99, "HEAD", "redirects"},
                      {"other_host", 99, "GET", "cannot fetch"},
                      {"to_plain_file", 99, "GET", "a redirect to file:///etc/passwd"},
                      {"401", 1, "HEAD", "or it is private"},
                      {"gated", 1, "HEAD", "is gated"},
                      {"404", 1, "HEAD", "no file model.safetensors"},
                      {"429", 2, "", nullptr},
                      {"500", 2, "", nullptr},
                      {"503", 99, "", "status 503"},
                      {"reset", 1, "HEAD", nullptr},
                      {"reset", 3, "GET", nullptr},
                      {"reset", 99, "", "cannot fetch"},
                      {"stall", 1, "GET", nullptr},
                      {"no_hash", 1, "HEAD", "no hash to compare with"},
                      {"wrong_hash", 1, "HEAD", "its hash is another"},
                      {"wrong_size", 1, "HEAD", "cannot fetch"},
                      {"huge", 1, "HEAD", "MB are free"}};
  for (const Case& c : all) {
    INFO(c.fault << " " << c.count << " " << c.method);
    fs::remove_all(site.settings.cache);
    site.server.control("calm");
    site.server.fault(c.fault, c.count, c.method);
    if (std::string(c.fault) == "other_part" || std::string(c.fault) == "whole") {
      site.server.control("calm");
      site.server.fault("drop", 1, "GET");
      site.server.fault(c.fault, c.count, "GET");
    }
    if (c.error) {
      const Error e = site.error();
      INFO(e.what());
      CHECK(mentions(e, c.error));
    } else {
      CHECK(read_file(site.fetch()) == kWeights);
      CHECK(site.partials() == 0);
    }
    for (const std::string& name : tree(site.settings.cache))
      CHECK(((name.find("snapshots/") == name.npos) || !c.error));
  }
}

TEST_CASE("hub: five hundred downloads with faults leave no bad file and give no token away", "[hub]") {
  HubSite site;
  site.settings.token = "hf_test_token";
  constexpr int kRepos = 50, kDownloads = 500;
  std::vector<std::string> contents;
  for (int i = 0; i < kRepos; ++i) {
    contents.push_back(noise(static_cast<size_t>(1 + i * i * 20), static_cast<uint64_t>(i)));
    site.server.put(str_cat("org/r", i), i % 3 ? "model.safetensors" : "config.json", contents.back());
  }
  site.server.control("random/25/7");
  int fetched = 0, refused = 0;
  for (int n = 0; n < kDownloads; ++n) {
    const int i = n % kRepos;
    const Repo repo{.id = str_cat("org/r", i)};
    const std::string name = i % 3 ? "model.safetensors" : "config.json";
    try {
      const std::string path = Client(site.settings).file(repo, name);
      ++fetched;
      CHECK(read_file(path) == contents[static_cast<size_t>(i)]);
    } catch (const Error& e) {
      ++refused;
      CHECK_FALSE(mentions(e, "hf_test_token"));
    }
    const std::string folder = str_cat(site.settings.cache, "/", hub::repo_folder(repo.id));
    for (const std::string& there : tree(folder))
      if (there.starts_with("snapshots/"))
        CHECK(read_file(str_cat(folder, "/", there.substr(0, there.find(" -> ")))) == contents[static_cast<size_t>(i)]);
    fs::remove_all(folder + "/snapshots");  // so that the next round asks again
    fs::remove_all(folder + "/.no_exist");
    if (n % 3) fs::remove_all(folder + "/blobs");  // some find the content, or a part of it
  }
  CHECK(fetched > kDownloads / 2);
  CHECK(refused > 0);
  int with_token = 0;
  for (const Asked& a : site.server.log()) {
    if (a.role == "hub") with_token += a.authorization == "Bearer hf_test_token" ? 1 : 0;
    else CHECK(a.authorization.empty());
  }
  CHECK(with_token > kDownloads);
}

TEST_CASE("hub: what broke off is continued, and a wrong beginning is found out", "[hub]") {
  HubSite site;
  site.settings.attempts = 1;
  site.server.control("random/0/3");
  site.server.fault("drop", 1, "GET");
  CHECK(mentions(site.error(), "cannot fetch"));
  REQUIRE(site.partials() == 1);
  site.server.log();
  CHECK(read_file(site.fetch()) == kWeights);
  bool ranged = false;
  for (const Asked& a : site.server.log()) ranged = ranged || !a.range.empty();
  CHECK(ranged);

  fs::remove_all(site.settings.cache);
  hub::RepoCache(site.settings, "org/model").prepare(std::string(40, 'a'), "x");
  const std::string blob = str_cat(site.folder(), "/blobs/", sha256(kWeights));
  write_file(blob + ".0123abcd.incomplete", noise(1000, 99));  // of another content
  CHECK(read_file(site.fetch()) == kWeights);

  fs::remove_all(site.settings.cache);
  hub::RepoCache(site.settings, "org/model").prepare(std::string(40, 'a'), "x");
  write_file(blob, noise(kWeights.size(), 99));  // a content under a name that is not its hash
  CHECK(read_file(site.fetch()) == kWeights);
}

TEST_CASE("hub: private and gated repositories, and where tokens go", "[hub]") {
  HubSite site;
  site.server.put("private/model", "model.safetensors", kWeights);
  site.server.put("gated/model", "model.safetensors", kWeights);
  CHECK(mentions(site.error("model.safetensors", {.id = "private/model"}), "set HF_TOKEN"));
  const Error gated = site.error("model.safetensors", {.id = "gated/model"});
  CHECK(mentions(gated, "gated"));
  CHECK(mentions(gated, str_cat("ask at ", site.server.endpoint(), "/gated/model")));
  CHECK(mentions(site.error("model.safetensors", {.id = "org/none"}), "there is no repository org/none"));
  site.server.log();
  site.settings.token = "hf_test_token";
  CHECK(read_file(Client(site.settings).file({.id = "private/model"}, "model.safetensors")) == kWeights);
  CHECK(read_file(Client(site.settings).file({.id = "gated/model"}, "model.safetensors")) == kWeights);
  int told = 0;
  for (const Asked& a : site.server.log()) {
    CHECK(a.path.find("hf_test_token") == a.path.npos);
    if (a.role == "hub") ++told;
    else CHECK(a.authorization.empty());
  }
  CHECK(told >= 4);
}

TEST_CASE("hub: offline, without a network, and caches that cannot be written or have no links", "[hub]") {
  HubSite site;
  site.settings.offline = true;
  const Error off = site.error();
  CHECK(off.kind() == K::not_found);
  CHECK(mentions(off, "HF_HUB_OFFLINE"));
  CHECK(site.server.log().empty());
  site.settings.offline = false;
  site.fetch("config.json");
  site.settings.offline = true;
  CHECK(read_file(site.fetch("config.json")) == kConfig);

  hub::Settings nowhere = site.settings;
  nowhere.offline = false;
  nowhere.endpoint = "http://127.0.0.1:1";
  const Error e = error_of([&] { Client(nowhere).file(kRepo, "model.safetensors"); });
  CHECK(e.kind() == K::io);
  CHECK(mentions(e, "http://127.0.0.1:1/org/model/resolve/main/model.safetensors"));
  CHECK(mentions(e, "--weights FILE"));
  CHECK(read_file(Client(nowhere).file(kRepo, "config.json", hub::Freshness::newest)) == kConfig);

  hub::Settings linkless = site.server.settings(site.scratch / "linkless");
  linkless.links = false;
  const std::string path = Client(linkless).file(kRepo, "model.safetensors");
  CHECK(read_file(path) == kWeights);
  CHECK_FALSE(fs::is_symlink(path));
  linkless.offline = true;
  CHECK(Client(linkless).file(kRepo, "model.safetensors") == path);

  hub::Settings homeless = site.server.settings("");
  homeless.cache.clear();
  CHECK(mentions(error_of([&] { Client(homeless).file(kRepo, "config.json"); }), "HF_HOME"));
  hub::Settings blocked = site.server.settings("/dev/null");
  CHECK(mentions(error_of([&] { Client(blocked).file(kRepo, "config.json"); }), "cannot make the folder"));
}

TEST_CASE("hub: files by URL, with the hash in their name", "[hub]") {
  HubSite site;
  const std::string content = noise(50'000, 5), hash = sha256(content).substr(0, 8),
                    name = str_cat("net-", hash, ".pth");
  site.server.put("plain", name, content);
  site.server.put("plain", "net.pth", content);
  site.server.put("plain", "net-01234567.pth", content);
  site.server.put("plain", "large.pth", content);
  const auto url = [&](const std::string& n) {
    return str_cat(site.server.endpoint(), "/plain/", n, "?download=true");
  };
  site.server.fault("drop", 2, "GET");
  const std::string path = Client(site.settings).url(url(name));
  CHECK(path == str_cat(site.settings.checkpoints, "/", name));
  CHECK(read_file(path) == content);
  site.server.log();
  CHECK(Client(site.settings).url(url(name)) == path);
  CHECK(site.server.log().empty());
  site.server.fault("drop", 2, "GET");
  CHECK(read_file(Client(site.settings).url(url("net.pth"))) == content);
  for (const Asked& a : site.server.log()) CHECK(a.range.empty());  // nothing would show a wrong beginning
  CHECK(mentions(error_of([&] { Client(site.settings).url(url("net-01234567.pth")); }), "its hash is another"));
  site.server.fault("huge", 1, "GET");
  CHECK(mentions(error_of([&] { Client(site.settings).url(url("large.pth")); }), "MB are free"));
  CHECK(tree(site.settings.checkpoints) == std::vector<std::string>{name, "net.pth"});
  CHECK(mentions(error_of([&] { Client(site.settings).url(url("none.pth")); }), "there is nothing at"));
  CHECK(error_of([&] { Client(site.settings).url("http://x/%"); }).kind() != K::internal);
  CHECK(error_of([&] { Client(site.settings).url("http://x/a/.."); }).kind() == K::argument);
}

TEST_CASE("hub: names that would leave the cache are refused before anything happens", "[hub]") {
  HubSite site;
  const std::vector<std::string> names{"..",
                                       "../x",
                                       "a/../../x",
                                       "a/..",
                                       "/x",
                                       "//x",
                                       "\\x",
                                       "..\\x",
                                       "a\\..\\x",
                                       "C:x",
                                       "C:\\x",
                                       "c:/x",
                                       "\\\\host\\x",
                                       "//host/x",
                                       "",
                                       ".",
                                       "./x",
                                       "a/./x",
                                       "a//x",
                                       "a/",
                                       "x.",
                                       "x ",
                                       "a./x",
                                       "a /x",
                                       "CON",
                                       "con.txt",
                                       "a/NUL",
                                       "nul.bin",
                                       "COM1",
                                       "lpt9.x",
                                       "AUX",
                                       "prn",
                                       std::string("a\0b", 3),
                                       "a\nb",
                                       "a\rb",
                                       "a\tb",
                                       "\x7f",
                                       "a:b",
                                       "a:$DATA",
                                       "\xff",
                                       "a/\xc0\xaf",
                                       "...",
                                       ".. ",
                                       ". .",
                                       "a/...",
                                       "../../../../etc/passwd",
                                       "a/b/../../../c",
                                       "..//x",
                                       "\\..\\..",
                                       "file:x",
                                       "x/..",
                                       "x/.",
                                       "~/../x",
                                       "a\\b",
                                       "\x01",
                                       "con.",
                                       "aux.h/x",
                                       "com9/y",
                                       "LPT1 ",
                                       "x\x1b[31m"};
  CHECK(names.size() >= 60);
  for (const std::string& name : names) {
    INFO(name);
    CHECK(error_of([&] { Client(site.settings).find_file(kRepo, name); }).kind() == K::argument);
    CHECK(error_of([&] { Client(site.settings).cached(kRepo, name); }).kind() == K::argument);
  }
  CHECK(tree(site.settings.cache).empty());
  CHECK(site.server.log().empty());
}
