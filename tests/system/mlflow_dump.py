"""All that an MLflow server has, read by MLflow's own client, as JSON: run by an interpreter that
has MLflow. usage: mlflow_dump.py URI OUT
"""
import hashlib
import json
import os
import sys
import tempfile

os.environ["MLFLOW_TRACKING_URI"] = sys.argv[1]
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from mlflow.tracking import MlflowClient  # noqa: E402 (after the environment)

client = MlflowClient()


def files_of(run_id, directory):
    client.download_artifacts(run_id, "", directory)
    found = {}
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, directory)] = \
                    hashlib.sha256(stream.read()).hexdigest()
    return found


def history(run_id, key):
    return [(metric.step, metric.timestamp, repr(metric.value))
            for metric in client.get_metric_history(run_id, key)]


dump = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        with tempfile.TemporaryDirectory() as directory:
            files = files_of(run.info.run_id, directory)
        models = client.search_logged_models(
            [experiment.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'")
        dump.append({
            "experiment": experiment.name, "run_id": run.info.run_id,
            "name": run.info.run_name, "status": run.info.status,
            "start": run.info.start_time, "end": run.info.end_time,
            "params": dict(run.data.params), "tags": dict(run.data.tags), "files": files,
            "metrics": {key: history(run.info.run_id, key) for key in run.data.metrics},
            "inputs": [{"name": i.dataset.name, "digest": i.dataset.digest,
                        "profile": json.loads(i.dataset.profile),
                        "context": {t.key: t.value for t in i.tags}["mlflow.data.context"]}
                       for i in run.inputs.dataset_inputs],
            "outputs": [o.model_id for o in run.outputs.model_outputs] if run.outputs else [],
            "models": [{"id": m.model_id, "status": str(m.status), "tags": m.tags,
                        "params": m.params,
                        "metrics": {p.key: [p.value, p.dataset_name, p.dataset_digest]
                                    for p in client.get_logged_model(m.model_id).metrics or []}}
                       for m in models],
            "versions": [{"name": v.name, "version": v.version, "source": v.source}
                         for v in client.search_model_versions(f"run_id = '{run.info.run_id}'")]})
with open(sys.argv[2], "w", encoding="utf-8") as stream:
    json.dump(dump, stream)
