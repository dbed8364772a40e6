import { join } from "node:path";
import { pythonVenv } from "../../support/python-venv.js";

/** The Python of a virtual environment with fabric-fim in the version that FABRIC's own servers run on, which this library writes for. */
export async function fimPython(): Promise<string> {
  return join(await pythonVenv("venv-fim", ["fabric-fim==2.0.0"]), "bin", "python");
}
