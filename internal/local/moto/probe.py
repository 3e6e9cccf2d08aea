"""Prints as JSON what an interpreter offers. Runs on any Python, so that an old one can be named as old."""
import json
import sys

found = {"version": list(sys.version_info[:3]), "executable": sys.executable, "moto": "", "missing": []}
try:
    from importlib import metadata
    from importlib.util import find_spec

    found["missing"] = [m for m in ("venv", "ensurepip") if find_spec(m) is None]
    # One module of each distribution that the extra "server" adds and the store cannot start without.
    if all(find_spec(m) for m in ("flask", "flask_cors", "werkzeug", "joserfc", "docker", "cfnlint")):
        found["moto"] = metadata.version("moto")
except Exception:
    pass
print(json.dumps(found))
