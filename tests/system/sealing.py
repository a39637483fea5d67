"""Records that a test changes and seals again, so that what it means to test is read at all."""
import hashlib
import json
import os


def sealed(text):
    """text: an object of JSON as run.json and checkpoints hold it, without its seal."""
    body = text.rstrip()[:-1].rstrip()
    return f'{body},"sha256":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n'


def read(run):
    with open(os.path.join(run, "run.json"), encoding="utf-8") as stream:
        return json.load(stream)


def write(run, record):
    """record: run.json; what it says of its files becomes what they are."""
    record = {key: value for key, value in record.items() if key != "sha256"}
    for name, entry in record.get("files", {}).items():
        with open(os.path.join(run, name), "rb") as stream:
            content = stream.read()
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    with open(os.path.join(run, "run.json"), "w", encoding="utf-8") as stream:
        stream.write(sealed(json.dumps(record, separators=(",", ":"))))


def replace(run, old, new):
    """In the text of run.json; the files stay what they are."""
    with open(os.path.join(run, "run.json"), encoding="utf-8") as stream:
        text = stream.read()
    assert old in text
    text = text[:text.rindex(',\n  "sha256"')] + "}" if ',\n  "sha256"' in text \
        else text[:text.rindex(',"sha256"')] + "}"
    with open(os.path.join(run, "run.json"), "w", encoding="utf-8") as stream:
        stream.write(sealed(text.replace(old, new)))


def chained(lines):
    """Lines of metrics.jsonl without or with chains of old, as one text."""
    digest, text = hashlib.sha256(), ""
    for line in lines:
        value = json.loads(line)
        value.pop("chain", None)
        body = json.dumps(value, separators=(",", ":"))[:-1]
        digest.update(body.encode())
        tail = f',"chain":"{word(digest):016x}"}}\n'
        digest.update(tail.encode())
        text += body + tail
    return text


def chained_trace(header, steps):
    """The bytes of trace.bin; steps: each its bytes without the chain."""
    content = header
    for step in steps:
        content += step
        content += word(hashlib.sha256(content)).to_bytes(8, "little")
    return content


def word(digest):
    return int.from_bytes(digest.copy().digest()[:8], "little")
