"""Runs the code cells of experiment.ipynb (or of the notebook named as argument) one after the other, without Jupyter."""
import json
import sys
from pathlib import Path

notebook = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("experiment.ipynb")
names = {"__name__": "__main__"}
for number, cell in enumerate(json.loads(notebook.read_text())["cells"], start=1):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)
