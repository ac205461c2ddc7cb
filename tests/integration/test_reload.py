"""Reloading: files changed under a running agent, by SIGHUP, over HTTP and by command. And maint."""

import json
import os
import signal

from cluster import ClusterTest, main, wait_for


class Reload(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=1)
        self.s1, self.k1 = self.all.agents["s1"], self.all.agents["k1"]
        self.file = os.path.join(self.all.dir, "conf.json")
        self.out = os.path.join(self.all.dir, "out")
        self.k1.args += ["-config-file", self.file]

    def write(self, value):
        with open(self.file + ".new", "w") as f:
            f.write(value if isinstance(value, str) else json.dumps(value))
        os.rename(self.file + ".new", self.file)

    def start(self, value):
        self.write(value)
        self.all.start().wait_ready()

    def reload(self, check=0):
        return self.k1.cli("reload", check=check)

    def services(self):
        return self.k1.get("/v1/agent/services").json()

    def checks(self):
        return self.k1.get("/v1/agent/checks").json()

    def said(self, text):
        return self.k1.log_text().count(text)

    def test_services_and_checks(self):
        web = {"name": "web", "port": 80, "check": {"ttl": "1h"}}
        old = {"name": "old", "port": 81}
        alone = {"id": "alone", "name": "alone", "ttl": "1h", "service_id": "web"}
        self.start({"services": [web, old], "checks": [alone, {"name": "spare", "ttl": "1h"}]})
        self.k1.ok("PUT", "/v1/agent/service/register", {"Name": "api", "Port": 5})
        self.k1.ok("PUT", "/v1/agent/check/register",
                   {"Name": "mine", "TTL": "1h", "ServiceID": "web", "Status": "passing"})
        for check in ("service:web", "alone", "spare"):
            self.k1.ok("PUT", f"/v1/agent/check/pass/{check}", headers={})
        wait_for("all in the catalog", lambda: len(
            self.s1.get("/v1/health/service/web?passing").json()) == 1)

        # What did not change keeps its status; what went is gone; what the API said stays.
        new = {"name": "new", "port": 82, "check": {"ttl": "1h", "status": "passing"}}
        web["port"] = 8080
        self.write({"services": [web, new], "checks": [alone]})
        self.assertEqual(self.k1.put("/v1/agent/reload").body, b"")
        self.assertEqual(set(self.services()), {"web", "new", "api"})  # on return
        self.assertEqual(self.services()["web"]["Port"], 8080)
        self.assertEqual({i: c["Status"] for i, c in self.checks().items()},
                         {"service:web": "passing", "alone": "passing", "mine": "passing",
                          "service:new": "passing"})
        wait_for("the catalog to follow", lambda: set(
            self.s1.get("/v1/catalog/node/k1").json()["Services"]) == {"web", "new", "api"})
        wait_for("DNS to follow", lambda: self.s1.dig("new.service.consul", "SRV"))
        self.assertEqual(self.s1.rcode("old.service.consul"), "NXDOMAIN")
        self.assertEqual(len(self.s1.get("/v1/health/service/web?passing").json()), 1)

        # The file takes over an id that the API had registered, and gives it back to nobody.
        self.write({"services": [web, new, {"name": "api", "port": 6}], "checks": [alone]})
        self.reload()
        self.assertEqual(self.services()["api"]["Port"], 6)
        self.write({"services": [web, new], "checks": [alone]})
        self.reload()
        self.assertEqual(set(self.services()), {"web", "new"})

        # What was deregistered by hand comes back.
        self.k1.ok("PUT", "/v1/agent/check/deregister/service:new")
        self.reload()
        self.assertIn("service:new", self.checks())

    def test_empty_file_filled(self):
        """As Consul's own clients do it."""
        self.start("")
        self.write({"service": {"name": "redis", "port": 1234, "Meta": {"some": "meta"}}})
        self.k1.ok("PUT", "/v1/agent/reload")
        self.assertEqual(self.services()["redis"]["Meta"], {"some": "meta"})

    def test_a_bad_file_changes_nothing(self):
        good = {"services": [{"name": "web", "port": 80}], "log_level": "INFO",
                "node_meta": {"rack": "a1"}}
        self.start(good)
        for text, why in (
                ('{\n "services": [{"name": "web"},\n  {"prot": 81}]}\n', "services[1].prot"),
                ('{\n "service": \n', "conf.json"),
                ('{"services": [{"name": "other"}], "log_level": "LOUD"}', "LOUD"),
                ('{"checks": [{"name": "c", "ttl": "1h", "service_id": "nope"}]}',
                 'ServiceID "nope" does not exist'),
                ('{"services": [{"name": "a"}], "watches": [{"type": "bogus"}]}', "bogus")):
            self.write(text)
            refused = self.reload(check=1)
            self.assertIn("Error reloading: Unexpected response code: 500 (", refused.stderr)
            self.assertIn(why, refused.stderr)
            self.assertEqual(list(self.services()), ["web"])
        self.assertIn("line 3", self.k1.log_text())
        self.k1.send(signal.SIGHUP)
        wait_for("the refusal of SIGHUP", lambda: self.said("nothing changed") == 6)
        self.write(good)
        self.reload()
        self.assertEqual(list(self.services()), ["web"])

    def test_settings(self):
        self.start({"log_level": "INFO", "node_meta": {"rack": "a1"}, "ports": {"dns": 8600}})
        self.assertNotIn("[DEBUG]", self.k1.log_text())
        self.write({"log_level": "DEBUG", "node_meta": {"rack": "b2", "row": "4"},
                    "ports": {"dns": 8601}, "datacenter": "dc1", "raft_trailing_logs": 20000,
                    "limits": {"kv_max_value_size": 10}})
        told = self.reload()
        self.assertEqual(told.stdout, "Configuration reload triggered\n")
        self.assertEqual(told.stderr, "These settings differ and need a restart: "
                                      "ports.dns, raft_trailing_logs\n")
        self.assertIn('settings="ports.dns, raft_trailing_logs"', self.k1.log_text())
        wait_for("the metadata", lambda: self.s1.get("/v1/catalog/node/k1").json()["Node"]["Meta"]
                 == {"consul-network-segment": "", "rack": "b2", "row": "4"})
        wait_for("a line of the new level", lambda: "[DEBUG]" in self.k1.log_text())
        self.write({"log_level": "INFO"})  # back to what it was, the pairs gone
        self.assertEqual(self.reload().stderr, "")
        wait_for("the metadata", lambda: self.s1.get("/v1/catalog/node/k1").json()["Node"]["Meta"]
                 == {"consul-network-segment": ""})

    def test_dns_settings(self):
        self.s1.args += ["-config-file", self.file]
        self.start({"services": [{"name": "web", "port": 80}]})
        wait_for("the service", lambda: len(self.s1.dig("web.service.consul")) == 2)

        def ttls():
            return {line.split()[1] for line in
                    self.s1.dig("web.service.consul", "A", "+noshort", "+noall", "+answer")}
        self.assertEqual(ttls(), {"0"})
        self.write({"services": [{"name": "web", "port": 80}],
                    "dns_config": {"service_ttl": {"web": "7s"}}})
        self.s1.ok("PUT", "/v1/agent/reload")
        self.assertEqual(ttls(), {"7"})

    def test_handlers_and_watches(self):
        """A handler that asks for the reload is not killed by it; a new one runs, an old one does not."""
        done = os.path.join(self.all.dir, "done")
        asks = (f"user:go=echo began >>{self.out}; curl -s -X PUT "
                f"http://{self.k1.address}:8500/v1/agent/reload; echo ended >>{self.out}")
        watch = {"type": "key", "key": "a", "args": ["/bin/sh", "-c",
                 f"curl -s -X PUT http://{self.k1.address}:8500/v1/agent/reload; echo w >>{done}"]}
        self.start({"event_handlers": [asks]})
        self.write({"event_handlers": [f"user:late=echo late >>{self.out}"], "watches": [watch]})
        self.k1.put("/v1/event/fire/none")
        self.k1.cli("serf", "event", f"-rpc-addr={self.k1.address}:7373", "-coalesce=false", "go", check=0)
        wait_for("the handler to end", lambda: self.read(self.out) == ["began", "ended"])
        self.k1.cli("serf", "event", f"-rpc-addr={self.k1.address}:7373", "-coalesce=false", "go", check=0)
        self.k1.cli("serf", "event", f"-rpc-addr={self.k1.address}:7373", "-coalesce=false", "late", check=0)
        wait_for("the new handler", lambda: self.read(self.out) == ["began", "ended", "late"])
        wait_for("the watch, which reloads again and again", lambda: len(self.read(done)) > 2)
        self.write({})
        self.reload()
        self.assertEqual(self.k1.terminate(), 0)

    def read(self, path):
        try:
            with open(path) as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def test_many_at_once(self):
        self.start({})
        for i in range(20):
            self.write({"services": [{"name": f"s{k}", "port": k + 1} for k in range(i)]})
            self.k1.send(signal.SIGHUP)
        answer = self.k1.ok("PUT", "/v1/agent/reload")
        self.assertEqual(len(self.services()), 19)
        self.assertEqual(answer.body, b"")
        self.k1.send(signal.SIGHUP)
        self.assertEqual(self.k1.terminate(), 0)

    def test_maint(self):
        self.start({"service": {"name": "web", "port": 80}})
        cli = self.k1.cli
        self.assertEqual(cli("maint", check=0).stdout, "")
        self.assertEqual(cli("maint", "-enable", "-reason=new disk", check=0).stdout,
                         "Node maintenance is now enabled\n")
        self.assertEqual(cli("maint", "-enable", "-service=web", check=0).stdout,
                         'Service maintenance is now enabled for "web"\n')
        shown = cli("maint", check=0).stdout
        self.assertIn("Node:\n  Name:   k1\n  Reason: new disk\n\n", shown)
        self.assertIn("Service:\n  ID:     web\n  Reason: Maintenance mode is enabled for this "
                      "service, but no reason was provided. This is a default message.\n\n", shown)
        wait_for("it to be out of DNS", lambda: self.s1.dig("web.service.consul") == [])
        self.reload()  # maintenance is not a matter of files
        self.assertEqual(cli("maint", check=0).stdout, shown)
        self.assertEqual(cli("maint", "-disable", "-service=web", check=0).stdout,
                         'Service maintenance is now disabled for "web"\n')
        self.assertEqual(cli("maint", "-disable", check=0).stdout, "Node maintenance is now disabled\n")
        self.assertEqual(cli("maint", check=0).stdout, "")
        wait_for("it to be back", lambda: self.s1.dig("web.service.consul") == [self.k1.address])
        for words, error in ((("-enable", "-disable"), "Only one of -enable or -disable may be provided\n"),
                             (("-reason=x",), "Reason may only be provided with -enable\n"),
                             (("-service=web",), "Service requires either -enable or -disable\n"),
                             (("-enable", "-service=nope"), "Error enabling service maintenance: "
                              'Unexpected response code: 404 (No service registered with ID "nope")\n'),
                             (("web",), "Too many arguments (expected 0, got 1)\n")):
            refused = cli("maint", *words)
            self.assertEqual((refused.returncode, refused.stderr), (1, error))


if __name__ == "__main__":
    main()
