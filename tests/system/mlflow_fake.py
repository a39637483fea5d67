"""An MLflow server's REST interface as far as isobit uses it, in memory, with faults on demand."""
import http.server
import json
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse


class Missing(Exception):
    pass


class Exists(Exception):
    pass


class Fake:
    """fault(server, method, path) returns None or one of: refuse, reset-before, reset-after, 429,
    500, 503, html, slow, 401, redirect."""

    def __init__(self, fault=None, authorization=None, certificate=None, port=0):
        self.fault = fault or (lambda fake, method, path: None)
        self.authorization = authorization
        self.lock = threading.RLock()
        self.forget()
        self.seen_authorization = set()
        self.requests = 0
        self.certificate = certificate
        self.port = port
        self.start()

    def known(self):
        return self.experiments, self.runs, self.models, self.files, self.registered

    def forget(self, known=None):
        """Everything but what known() has said."""
        with self.lock:
            self.experiments, self.runs, self.models, self.files, self.registered = \
                known or ({}, {}, {}, {}, {})  # the last: name -> [version, ...]

    def start(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_any(self):
                fake.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_any

        class Listener(http.server.ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.listener = Listener(("127.0.0.1", self.port), Handler)
        self.port = self.listener.server_address[1]
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True)
        self.uri = f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()

    def handle(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(h.path)
        path = url.path.removeprefix("/api/2.0")
        with self.lock:
            self.requests += 1
            self.seen_authorization.add(h.headers.get("Authorization"))
            action = self.fault(self, h.command, path)
            if self.authorization and h.headers.get("Authorization") != self.authorization:
                action = "401"
        if action == "slow":
            time.sleep(0.3)
            action = None
        if action == "reset-before":
            return self.reset(h)
        if action == "429":
            return self.reply(h, 429, b'{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"wait"}',
                              {"Retry-After": "1"})
        if action in ("500", "503"):
            return self.reply(h, int(action), b"oops")
        if action == "html":
            return self.reply(h, 200, b"<html><body>We will be back soon</body></html>")
        if action == "401":
            echo = h.headers.get("Authorization", "") + " is not welcome"
            return self.reply(h, 401, json.dumps({"message": echo}).encode())
        if action == "redirect":
            return self.reply(h, 302, b"", {"Location": "http://127.0.0.1:1/elsewhere"})
        try:
            with self.lock:
                status, answer = 200, self.answer(h.command, path, url.query, body)
        except Missing as why:
            status = 404
            answer = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": str(why)}
        except Exists as why:
            status = 400
            answer = {"error_code": "RESOURCE_ALREADY_EXISTS", "message": str(why)}
        if action == "reset-after":
            return self.reset(h)
        return self.reply(h, status, b"" if answer is None else json.dumps(answer).encode())

    @staticmethod
    def reset(h):
        h.close_connection = True
        h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        h.connection.close()

    @staticmethod
    def reply(h, status, body, headers=()):
        h.send_response(status)
        for key, value in dict(headers).items():
            h.send_header(key, value)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def run(self, run_id):
        if run_id not in self.runs:
            raise Missing("run " + run_id)
        return self.runs[run_id]

    def answer(self, method, path, query, body):
        if path.startswith("/mlflow-artifacts/artifacts/"):
            assert method == "PUT"
            name = urllib.parse.unquote(path.removeprefix("/mlflow-artifacts/artifacts/"))
            self.files[name] = body
            return None
        asked = json.loads(body) if body else dict(urllib.parse.parse_qsl(query))
        name = path.removeprefix("/mlflow/").replace("-", "_").replace("/", "_")
        if method == "PATCH":
            self.models[path.split("/")[-1]]["status"] = asked["status"]
            return {"model": {}}
        return getattr(self, "do_" + name)(asked)

    def do_experiments_get_by_name(self, asked):
        for number, experiment in self.experiments.items():
            if experiment["name"] == asked["experiment_name"]:
                return {"experiment": {"experiment_id": number, **experiment}}
        raise Missing(asked["experiment_name"])

    def do_experiments_create(self, asked):
        number = str(len(self.experiments) + 1)
        self.experiments[number] = {"name": asked["name"], "lifecycle_stage": "active"}
        return {"experiment_id": number}

    def do_runs_create(self, asked):
        run_id = f"{len(self.runs):032x}"
        uri = f"mlflow-artifacts:/{asked['experiment_id']}/{run_id}/artifacts"
        self.runs[run_id] = {
            "info": {"run_id": run_id, "artifact_uri": uri, "lifecycle_stage": "active",
                     "start_time": asked["start_time"], "status": "RUNNING",
                     "experiment_id": asked["experiment_id"]},
            "tags": {t["key"]: t["value"] for t in asked["tags"]}, "params": {}, "points": [],
            "inputs": {}, "outputs": []}
        return self.do_runs_get({"run_id": run_id})

    def do_runs_get(self, asked):
        run = self.run(asked["run_id"])
        params = [{"key": k, "value": v} for k, v in run["params"].items()]
        outputs = [{"model_id": model, "step": 0} for model in run["outputs"]]
        last = {}
        for key, value, when, step in run["points"]:
            last[key] = max(last.get(key, (step, when, value)), (step, when, value))
        metrics = [{"key": key, "value": value, "timestamp": when, "step": step}
                   for key, (step, when, value) in last.items()]
        return {"run": {"info": run["info"], "data": {"params": params, "metrics": metrics},
                        "outputs": {"model_outputs": outputs}}}

    def do_runs_search(self, asked):
        wanted = re.fullmatch(r"tags\.`isobit\.run_id` = '([^']*)'", asked["filter"]).group(1)
        return {"runs": [{"info": run["info"]} for run in self.runs.values()
                         if run["tags"]["isobit.run_id"] == wanted
                         and run["info"]["experiment_id"] in asked["experiment_ids"]]}

    def do_runs_delete(self, asked):
        self.run(asked["run_id"])["info"]["lifecycle_stage"] = "deleted"
        return {}

    def do_runs_update(self, asked):
        info = self.run(asked["run_id"])["info"]
        info.update({key: asked[key] for key in ("status", "end_time") if key in asked})
        return {"run_info": info}

    def do_runs_log_batch(self, asked):
        run = self.run(asked["run_id"])
        assert len(asked.get("metrics", [])) <= 1000
        assert len(asked.get("params", [])) <= 100 and len(asked.get("tags", [])) <= 100
        for point in asked.get("metrics", []):
            if "model_id" in point:
                metrics = self.models[point["model_id"]]["metrics"]
                entry = (point["value"], point["dataset_name"], point["dataset_digest"])
                assert metrics.get(point["key"], entry) == entry, "MLflow fails here"
                metrics[point["key"]] = entry
            entry = (point["key"], str(point["value"]), point["timestamp"], point["step"])
            if entry not in run["points"]:  # as MLflow's SQL stores
                run["points"].append(entry)
        for param in asked.get("params", []):
            assert run["params"].get(param["key"], param["value"]) == param["value"]
            run["params"][param["key"]] = param["value"]
        for tag in asked.get("tags", []):
            run["tags"][tag["key"]] = tag["value"]
        return {}

    def do_runs_log_inputs(self, asked):
        for entry in asked["datasets"]:
            self.run(asked["run_id"])["inputs"][entry["dataset"]["name"]] = entry
        return {}

    def do_runs_outputs(self, asked):
        outputs = self.run(asked["run_id"])["outputs"]
        for model in asked["models"]:
            assert model["model_id"] not in outputs, "MLflow refuses this"
            outputs.append(model["model_id"])
        return {}

    def do_logged_models(self, asked):
        model_id = f"m-{len(self.models):032x}"
        uri = f"mlflow-artifacts:/{asked['experiment_id']}/models/{model_id}/artifacts"
        self.models[model_id] = {"info": {"model_id": model_id, "artifact_uri": uri},
                                 "run": asked["source_run_id"], "status": "PENDING",
                                 "metrics": {}, "params": {p["key"]: p["value"]
                                                           for p in asked["params"]}}
        return {"model": self.models[model_id]}

    def do_registered_models_create(self, asked):
        if asked["name"] in self.registered:
            raise Exists(asked["name"])
        self.registered[asked["name"]] = []
        return {"registered_model": {"name": asked["name"]}}

    def do_model_versions_create(self, asked):
        versions = self.registered[asked["name"]]
        assert asked["source"] == "models:/" + asked["model_id"] and asked["model_id"] in self.models
        versions.append({**asked, "version": str(len(versions) + 1)})
        return {"model_version": versions[-1]}

    def do_model_versions_search(self, asked):
        name, run = re.fullmatch(r"name = '([^']*)' and run_id = '([^']*)'",
                                 asked["filter"]).groups()
        return {"model_versions": [v for v in self.registered.get(name, [])
                                   if v["run_id"] == run]}

    def do_logged_models_search(self, asked):
        run = re.fullmatch(r"source_run_id = '([^']*)'", asked["filter"]).group(1)
        return {"models": [m for m in self.models.values() if m["run"] == run]}
