"""MLflow's own loader and its pyfunc on the logged model of a run, beside onnxruntime on the record's
model.onnx. usage: mlflow_load.py URI RECORD ...
"""
import json
import os
import sys

os.environ["MLFLOW_TRACKING_URI"] = sys.argv[1]
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow.onnx  # noqa: E402 (after the environment)
import mlflow.pyfunc  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

images = np.random.default_rng(1).normal(size=(64, 1, 28, 28)).astype(np.float32)


def logits_of(model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input": images})[0]


for place in sys.argv[2:]:
    with open(os.path.join(place, "mlflow.json"), encoding="utf-8") as stream:
        servers = json.load(stream)["servers"]
    uri = "models:/" + servers[sys.argv[1]]["model_id"]
    wanted = logits_of(os.path.join(place, "model.onnx"))
    assert wanted.shape == (64, 10)
    assert np.array_equal(logits_of(mlflow.onnx.load_model(uri).SerializeToString()), wanted)
    served = mlflow.pyfunc.load_model(uri)
    assert served.metadata.signature is not None
    assert np.array_equal(np.asarray(served.predict(images)["logits"]), wanted)
    print(f"{place}: MLflow gives the logits of model.onnx")
