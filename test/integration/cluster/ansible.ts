/** Ansible from PyPI, for tests on this machine and as wheels for emulated hosts that reach no internet. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { pythonVenv } from "../../support/python-venv.js";

/** The version of ansible-core in the ansible that Kubespray v2.31 asks for. */
export const ansibleCore = "ansible-core==2.18.12";

/** The folder of a virtual environment with it; `wheels` in it has it and all that it needs, for the system's own Python. */
export async function ansibleVenv(): Promise<string> {
  return await pythonVenv("venv-ansible", [ansibleCore], async (folder) => {
    const wheels = join(folder, "wheels");
    const pip = [
      join(folder, "bin", "python"),
      "-m",
      "pip",
      "download",
      "--quiet",
      "--disable-pip-version-check",
    ];
    const [program = "", ...args] = pip;
    await promisify(execFile)(program, [...args, "--dest", wheels, ansibleCore]);
  });
}

/** A command for a host that reaches no internet: from then on its pip takes what was fetched before. */
export async function takeWheels(): Promise<string> {
  const wheels = join(await ansibleVenv(), "wheels");
  return `printf '[global]\\nno-index = true\\nfind-links = %s\\n' '${wheels}' >/etc/pip.conf`;
}
