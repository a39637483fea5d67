"""How fast isobit sync sends a million metric points, and how much memory it takes.

A record with that many lines is made, and sent to the MLflow server at URI; without a URI to a
server that takes everything at once, which leaves isobit's own share.
usage: mlflow_rate.py [POINTS] [URI]        environment: ISOBIT
"""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

ISOBIT = os.environ.get("ISOBIT", "build/release/isobit")


class Taker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_any(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        run = {"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}
        body = json.dumps({"experiment": {"experiment_id": "1"}, "run": run}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_any


def make_record(directory, points):
    place = os.path.join(directory, "runs/mnist-cnn/20260101T000000Z-000000")
    os.makedirs(place)
    with open(os.path.join(place, "run.json"), "w", encoding="utf-8") as stream:
        json.dump({"run_id": os.path.basename(place), "experiment": "mnist-cnn",
                   "status": "interrupted", "started": "2026-01-01T00:00:00Z",
                   "ended": "2026-01-02T00:00:00Z", "configuration": {"model": "cnn"}}, stream)
    with open(os.path.join(place, "metrics.jsonl"), "w", encoding="utf-8") as stream:
        for step in range(points):
            stream.write(f'{{"key":"train_loss","value":{2.3 / (1 + step / 1000)!r},"step":{step},'
                         f'"epoch":{1 + step // 938},"timestamp":{1767225600000 + 10 * step}}}\n')


def resident_kib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as stream:
            return next(int(line.split()[1]) for line in stream if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return 0


def main():
    points = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    uri = sys.argv[2] if len(sys.argv) > 2 else None
    if uri is None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as directory:
        make_record(directory, points)
        begun = time.monotonic()
        process = subprocess.Popen([ISOBIT, "sync", "runs", "--to", uri], cwd=directory,
                                   stdout=subprocess.DEVNULL)
        resident = []
        while process.poll() is None:
            resident.append(resident_kib(process.pid))
            time.sleep(0.25)
        seconds = time.monotonic() - begun
        used = os.times()
    resident = [kib for kib in resident if kib > 0]
    quarter = max(1, len(resident) // 4)
    print(f"exit code {process.returncode}; {points} points in {seconds:.1f} s: "
          f"{points / seconds:.0f} a second; CPU time {used.children_user + used.children_system:.1f}"
          f" s; resident at most {max(resident[:quarter]) / 1024:.1f} MiB in the first quarter, "
          f"{max(resident[-quarter:]) / 1024:.1f} MiB in the last")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
